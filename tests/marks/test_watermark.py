"""The mark survives what a copy goes through, is nobody else's, and does no harm to the sound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from conftest import KEY
from marks_sound import RATE, decode, encode, resampled
from numpy.typing import NDArray

from workers.marks import assure
from workers.marks.matching import nearest, nearest_each
from workers.marks.watermark import KeyRing, Watermark

Audio = NDArray[np.float32]


def five_seconds(audio: Audio) -> Audio:
    begin = (len(audio) - 5 * RATE) // 3
    return audio[begin : begin + 5 * RATE]


def unchanged(audio: Audio) -> tuple[Audio, int]:
    return audio, RATE


def upside_down_and_faint(audio: Audio) -> tuple[Audio, int]:
    return audio * np.float32(-0.02), RATE


def mp3(audio: Audio) -> tuple[Audio, int]:
    return decode(encode(audio, "audio/mpeg", 64_000)), RATE


def opus(audio: Audio) -> tuple[Audio, int]:
    return decode(encode(audio, "opus", 16_000)), RATE


def telephone(audio: Audio) -> tuple[Audio, int]:
    return assure.telephone(audio, RATE)


def telephone_as_mp3(audio: Audio) -> tuple[Audio, int]:
    narrow, rate = assure.telephone(audio, RATE)
    return decode(encode(narrow, "audio/mpeg", 64_000, rate), rate), rate


def noisy(audio: Audio) -> tuple[Audio, int]:
    noise = np.random.default_rng(3).normal(size=len(audio)).astype(np.float32)
    return audio + noise * np.float32(0.1 * np.std(audio)), RATE


@pytest.mark.parametrize("attack", [unchanged, upside_down_and_faint, mp3, opus, telephone_as_mp3, noisy])
def test_a_five_second_copy_leads_to_its_tag_among_a_hundred_thousand(
    attack: Callable[[Audio], tuple[Audio, int]], mark: Watermark, marked: list[Audio], tags: NDArray[np.uint8]
) -> None:
    assert marked, "tests/data/speech holds no recordings"
    for index, clip in enumerate(marked):
        match = nearest(mark.read(*attack(five_seconds(clip))), tags)
        assert match is not None
        assert (match.index, match.accepted) == (index, True), match
        assert match.runner_up_z < 6.2  # what 8 * 10^5 random comparisons give


def test_all_bits_come_out_alike_as_the_reader_sees_them(
    mark: Watermark, marked: list[Audio], tags: NDArray[np.uint8]
) -> None:
    agreements = []
    for index, clip in enumerate(marked):
        match = nearest(mark.read(five_seconds(clip), RATE), tags[index : index + 1])
        assert match is not None
        agreements.append(match.z)
    assert np.mean(agreements) > 10.92, agreements  # evened out by the fixed filter: 10.84; not at all: 10.41


def test_speech_that_carries_no_mark_matches_nothing(
    mark: Watermark, speech: list[Audio], tags: NDArray[np.uint8]
) -> None:
    for clip in speech:
        match = nearest(mark.read(clip, RATE), tags)
        assert match is not None
        assert not match.accepted, match


def test_another_key_finds_nothing(marked: list[Audio], tags: NDArray[np.uint8]) -> None:
    stranger = Watermark(b"another key altogether, 32 bytes")
    for clip in marked[:3]:
        match = nearest(stranger.read(clip, RATE), tags)
        assert match is not None
        assert not match.accepted, match


def test_twins_of_one_recording_are_told_apart(mark: Watermark, speech: list[Audio], tags: NDArray[np.uint8]) -> None:
    for index in (11, 12):
        twin = mark.embed(speech[0], RATE, tags[index].tobytes())
        match = nearest(mark.read(*telephone(twin)), tags)
        assert match is not None
        assert (match.index, match.accepted) == (index, True)


def test_a_clip_that_is_marked_again_leads_to_both_tags(
    mark: Watermark, speech: list[Audio], tags: NDArray[np.uint8]
) -> None:
    once = mark.embed(five_seconds(speech[2]), RATE, tags[21].tobytes())
    twice = mark.embed(once, RATE, tags[22].tobytes())
    found = nearest_each(mark.read(*telephone(twice)), tags)
    assert {match.index for match in found if match.accepted} == {21, 22}


def test_the_full_search_finds_a_copy_played_faster_and_says_how_much(
    mark: Watermark, marked: list[Audio], tags: NDArray[np.uint8]
) -> None:
    faster = resampled(five_seconds(marked[0]), round(RATE * 1.06), RATE)
    assert not nearest(mark.read(faster, RATE), tags).accepted  # type: ignore[union-attr]
    match = nearest(mark.read(faster, RATE, "full"), tags)
    assert match is not None
    assert (match.index, match.accepted) == (0, True)
    assert match.reading.pitch_scale == pytest.approx(1.06, abs=0.006)
    assert match.reading.time_scale == pytest.approx(1 / 1.06, abs=0.006)


def test_a_clip_inside_a_long_recording_is_found_and_placed(
    mark: Watermark, speech: list[Audio], marked: list[Audio], tags: NDArray[np.uint8]
) -> None:
    before, after = np.resize(speech[1], 41 * RATE), np.resize(speech[2], 30 * RATE)
    match = nearest(mark.read(np.concatenate([before, five_seconds(marked[0]), after]), RATE), tags)
    assert match is not None
    assert (match.index, match.accepted) == (0, True)
    assert match.reading.start < 46
    assert match.reading.end > 41
    assert match.reading.end - match.reading.start <= 12


@pytest.mark.parametrize("rate", [8_000, 22_050, 24_000, 44_100, 48_000])
def test_any_rate_keeps_its_length_and_its_treble(rate: int, mark: Watermark, speech: list[Audio]) -> None:
    noise = np.random.default_rng(1).normal(0, 0.01, 5 * rate).astype(np.float32)
    clip = resampled(speech[0][: 5 * RATE], RATE, rate)[: 5 * rate] + noise
    tag = bytes(range(16))
    result = mark.embed(clip, rate, tag)
    assert (result.shape, result.dtype) == (clip.shape, np.float32)
    spectrum = np.abs(np.fft.rfft(result - clip))
    treble = np.fft.rfftfreq(len(clip), 1 / rate) > 8000
    assert np.sum(spectrum[treble] ** 2) <= 1e-6 * np.sum(spectrum**2)
    match = nearest(mark.read(result, rate), np.frombuffer(tag, np.uint8)[None])
    assert match is not None
    assert match.accepted


def test_peaks_stay_in_range(mark: Watermark, speech: list[Audio]) -> None:
    loud = np.clip(speech[0] / np.max(np.abs(speech[0])) * 1.4, -1, 1)
    result = mark.embed(loud, RATE, bytes(16))
    assert np.max(np.abs(result)) <= 1


def test_a_long_clip_is_marked_everywhere(mark: Watermark, speech: list[Audio], tags: NDArray[np.uint8]) -> None:
    long = np.resize(speech[0], 31 * RATE)
    result = mark.embed(long, RATE, tags[77].tobytes())
    for begin in range(0, 26, 5):
        match = nearest(mark.read(result[begin * RATE : (begin + 5) * RATE], RATE), tags)
        assert match is not None
        assert (match.index, match.accepted) == (77, True), begin


def test_the_start_of_the_pattern_depends_on_the_tag(mark: Watermark, tags: NDArray[np.uint8]) -> None:
    starts = {mark.pattern.start(tag.tobytes()) for tag in tags[:200]}
    assert len(starts) > 75


def test_silence_stays_silent_and_carries_nothing(mark: Watermark, tags: NDArray[np.uint8]) -> None:
    silence = np.zeros(3 * RATE, np.float32)
    assert not np.any(mark.embed(silence, RATE, tags[0].tobytes()))
    match = nearest(mark.read(silence, RATE), tags)
    assert match is None or not match.accepted


@pytest.mark.parametrize("length", [0, 1, 100, 511, 4800])
def test_very_short_clips_are_taken(length: int, mark: Watermark, speech: list[Audio]) -> None:
    clip = speech[0][RATE : RATE + length]
    assert len(mark.embed(clip, RATE, bytes(16))) == length
    mark.read(clip, RATE)


def test_bad_input_is_refused_in_words(mark: Watermark) -> None:
    clip = np.zeros(RATE, np.float32)
    broken = clip.copy()
    broken[5] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        mark.embed(broken, RATE, bytes(16))
    with pytest.raises(ValueError, match="not finite"):
        mark.read(broken, RATE)
    with pytest.raises(ValueError, match="sample rate"):
        mark.embed(clip, 96_000, bytes(16))
    with pytest.raises(ValueError, match="mono"):
        mark.embed(np.zeros((RATE, 2), np.float32), RATE, bytes(16))
    with pytest.raises(ValueError, match="16 bytes"):
        mark.embed(clip, RATE, bytes(8))
    with pytest.raises(ValueError, match="strength"):
        mark.embed(clip, RATE, bytes(16), 0)
    with pytest.raises(ValueError, match="at least 16 bytes"):
        Watermark(b"short")


def test_a_key_ring_marks_with_the_latest_key_and_reads_every_epoch(
    speech: list[Audio], tags: NDArray[np.uint8]
) -> None:
    old = KeyRing({1: KEY})
    clip = old.current.embed(speech[0], RATE, tags[3].tobytes())
    ring = KeyRing({1: KEY, 2: bytes(reversed(KEY))})
    assert ring.current_epoch == 2
    match = nearest(ring.read(clip, RATE), tags)
    assert match is not None
    assert (match.index, match.accepted, match.reading.epoch) == (3, True, 1)
    newer = nearest(ring.read(ring.current.embed(speech[0], RATE, tags[4].tobytes()), RATE), tags)
    assert newer is not None
    assert (newer.index, newer.reading.epoch) == (4, 2)
