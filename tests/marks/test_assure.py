"""No clip leaves with a mark that can't be read."""

from __future__ import annotations

import numpy as np
import pytest
from marks_sound import RATE
from numpy.typing import NDArray

from workers.marks import assure
from workers.marks.harm import harm
from workers.marks.matching import nearest
from workers.marks.stream import STRENGTH_DB
from workers.marks.watermark import Watermark

Audio = NDArray[np.float32]


def test_speech_is_marked_and_read_back_after_the_attacks(
    mark: Watermark, speech: list[Audio], tags: NDArray[np.uint8]
) -> None:
    for index, clip in enumerate(speech[:2]):
        result = assure.embed_checked(mark, clip, RATE, tags[index].tobytes())
        assert result.robust
        assert result.z > result.z_attacked
        assert not result.too_short_to_trace
        match = nearest(mark.read(result.pcm, RATE), tags)
        assert match is not None
        assert match.index == index


def test_a_clip_that_fails_is_marked_stronger_once_and_never_beyond_what_is_heard(
    mark: Watermark, speech: list[Audio], tags: NDArray[np.uint8]
) -> None:
    raised = 0
    for clip in (recording[RATE : 2 * RATE] for recording in speech):
        result = assure.embed_checked(mark, clip, RATE, tags[0].tobytes())
        plain = mark.embed(clip, RATE, tags[0].tobytes())
        tried = min(_agreement(mark, *attack(plain, RATE), tags[0]) for attack in assure.ATTACKS)
        assert result.z_attacked >= tried or result.strength_db < STRENGTH_DB
        assert result.harm == pytest.approx(harm(clip, result.pcm, RATE))
        assert result.harm <= assure.MOST_HARM
        assert result.strength_db <= assure.RAISED_DB
        assert tried < assure.REQUIRED_Z or result.strength_db <= STRENGTH_DB
        raised += result.strength_db > STRENGTH_DB
    assert raised, "of these clips of one second, some need it"


def test_a_clip_that_only_the_attacks_silence_is_read_as_it_is(
    mark: Watermark, speech: list[Audio], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assure, "ATTACKS", [lambda pcm, rate: (np.zeros_like(pcm), rate)])
    result = assure.embed_checked(mark, speech[1][: 3 * RATE], RATE, bytes(range(16)))
    assert (result.robust, result.too_short_to_trace) == (False, False)
    assert result.z > assure.REQUIRED_Z


def test_a_delicate_clip_gets_a_weaker_mark(
    mark: Watermark, speech: list[Audio], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = speech[0][: 4 * RATE]
    usual = assure.embed_checked(mark, clip, RATE, bytes(range(16)))
    monkeypatch.setattr(assure, "MOST_HARM", usual.harm / 2)
    result = assure.embed_checked(mark, clip, RATE, bytes(range(16)))
    assert result.harm <= usual.harm / 2
    assert result.strength_db < usual.strength_db


def test_harm_grows_with_the_mark_and_ignores_loudness(mark: Watermark, speech: list[Audio]) -> None:
    clip = speech[0][: 4 * RATE]
    grown = [harm(clip, mark.embed(clip, RATE, bytes(16), strength), RATE) for strength in (1.0, 2.0, 4.0)]
    assert 0 == harm(clip, clip, RATE) < grown[0] < grown[1] < grown[2]
    marked = mark.embed(clip, RATE, bytes(16), 4.0)
    assert harm(clip * np.float32(0.1), marked * np.float32(0.1), RATE) == pytest.approx(grown[2], rel=0.01)
    assert harm(np.zeros(RATE, np.float32), np.zeros(RATE, np.float32), RATE) == 0


def _agreement(mark: Watermark, audio: Audio, rate: int, tag: NDArray[np.uint8]) -> float:
    match = nearest(mark.read(audio, rate), tag[None])
    return match.z if match else 0.0


def test_a_very_short_clip_is_marked_and_says_so(mark: Watermark, speech: list[Audio]) -> None:
    clip = speech[0][RATE : RATE + 4800]
    result = assure.embed_checked(mark, clip, RATE, bytes(range(16)))
    assert result.too_short_to_trace
    assert len(result.pcm) == len(clip)
    assert np.any(result.pcm != clip)


@pytest.mark.parametrize("seconds", [0, 0.01, 2])
@pytest.mark.parametrize("hertz", [0, 1000])
def test_silence_and_tones_are_never_passed_off_as_marked(seconds: float, hertz: int, mark: Watermark) -> None:
    clip = 0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)
    with pytest.raises(assure.MarkFailed, match="nothing that can carry a mark"):
        assure.embed_checked(mark, clip.astype(np.float32), RATE, bytes(16))


def test_what_cannot_be_read_back_is_refused(mark: Watermark) -> None:
    """A tone switched on and off: two seconds of sound, but in one band only."""
    seconds = np.arange(3 * RATE) / RATE
    beeps = np.sin(2 * np.pi * 1000 * seconds) * 0.3 * (seconds * 4 % 1 < 0.5)
    with pytest.raises(assure.MarkFailed, match="could not be read back"):
        assure.embed_checked(mark, beeps.astype(np.float32), RATE, bytes(range(16)))


def test_the_telephone_has_a_telephones_band() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)
    heard, rate = assure.telephone(noise, RATE)
    assert rate == 8000
    spectrum = np.abs(np.fft.rfft(heard)) ** 2
    hertz = np.fft.rfftfreq(len(heard), 1 / rate)
    inside = spectrum[(hertz > 500) & (hertz < 3000)].mean()
    assert spectrum[hertz < 120].mean() < 0.02 * inside
    assert spectrum[hertz > 3900].mean() < 0.2 * inside
