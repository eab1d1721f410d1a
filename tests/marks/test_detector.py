"""The trained reader: reads what the filter before it could not, favours no tag, and takes whatever audio there is."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
import pytest
from marks_sound import RATE, decode, encode, resampled
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from workers.marks import detector, spectrum
from workers.marks.matching import nearest
from workers.marks.pattern import signs
from workers.marks.search import Search
from workers.marks.watermark import Watermark

Audio = NDArray[np.float32]


def first_seconds(audio: Audio, seconds: float = 5) -> Audio:
    return audio[: int(seconds * RATE)]


def in_a_room(audio: Audio) -> Audio:
    """RT60 0.5 s, twice as much reverberation as direct sound: the far end of a kitchen."""
    time = np.arange(RATE // 2) / RATE
    tail = np.random.default_rng(11).normal(size=len(time)) * 10 ** (-6 * time)
    tail *= np.sqrt(2 / np.sum(tail**2))
    response = np.concatenate([[1.0], np.zeros(RATE // 200), tail])
    return np.asarray(fftconvolve(audio, response)[: len(audio)] / 4, np.float32)


def in_noise(audio: Audio) -> Audio:
    """White noise at 8 dB."""
    noise = np.random.default_rng(12).normal(size=len(audio))
    return np.asarray(audio + noise * np.std(audio) * 10 ** (-8 / 20), np.float32)


def in_a_room_by_messenger(audio: Audio) -> Audio:
    return decode(encode(in_a_room(audio), "opus", 16_000))


def slower(audio: Audio, tempo: float) -> Audio:
    """At another tempo and the same pitch."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(format="flt", sample_rate=RATE, layout="mono", time_base=Fraction(1, RATE))
    step, sink = graph.add("atempo", str(tempo)), graph.add("abuffersink")
    source.link_to(step)
    step.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(audio[None], format="flt", layout="mono")
    frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), 0
    graph.push(frame)
    graph.push(None)
    out = []
    while True:
        try:
            out.append(graph.pull().to_ndarray()[0])
        except av.EOFError:
            return np.concatenate(out)


@pytest.mark.parametrize(("attack", "least"), [(in_a_room, 7.5), (in_noise, 9.25), (in_a_room_by_messenger, 5.0)])
def test_copies_are_read_that_a_fixed_filter_can_not_read(
    attack: Callable[[Audio], Audio], least: float, mark: Watermark, marked: list[Audio], tags: NDArray[np.uint8]
) -> None:
    agreements = []
    for index, clip in enumerate(marked):
        match = nearest(mark.read(attack(first_seconds(clip)), RATE), tags[index : index + 1])
        assert match is not None
        agreements.append(match.z)
    assert np.mean(agreements) >= least, agreements  # the filter had 7.1, 9.0 and 4.0


def test_tags_that_are_not_there_agree_by_chance_alone(
    mark: Watermark, speech: list[Audio], marked: list[Audio]
) -> None:
    others = signs(np.random.default_rng(9).integers(0, 256, (50_000, 16), dtype=np.uint8))
    for clip in (speech[1], marked[0], in_a_room(marked[2])):
        for reading in mark.read(first_seconds(clip), RATE)[:4]:
            z = others @ (reading.bits / np.linalg.norm(reading.bits))
            assert abs(float(np.mean(z))) < 0.05
            assert abs(float(np.var(z)) - 1) < 0.05
            assert np.max(np.abs(z)) < 5.5


def test_the_evidence_of_a_frame_is_the_same_wherever_blocks_end(
    monkeypatch: pytest.MonkeyPatch, speech: list[Audio]
) -> None:
    energies = spectrum.band_energies(spectrum.power(spectrum.stft(first_seconds(speech[0], 4))))
    whole = detector.evidence(energies)
    assert whole.shape == energies.shape
    assert np.array_equal(whole, detector.evidence(energies))
    np.testing.assert_allclose(detector.evidence(energies, alignments=1), whole[: len(whole) // 5 * 5 : 5], atol=1e-4)
    monkeypatch.setattr(detector, "_BLOCK", 300)
    np.testing.assert_allclose(detector.evidence(energies), whole, atol=1e-4)


def test_a_copy_with_tempo_and_pitch_changed_apart_is_read_when_the_changes_are_known(
    mark: Watermark, marked: list[Audio], tags: NDArray[np.uint8]
) -> None:
    changed = slower(resampled(first_seconds(marked[0]), RATE, round(RATE * 1.06)), 0.87)
    pair = (1 / 1.06, 1.06 / 0.87)
    match = nearest(mark.read(changed, RATE, [(1.0, 1.0), pair]), tags)
    assert match is not None
    assert (match.index, match.accepted) == (0, True), match
    assert (match.reading.pitch_scale, match.reading.time_scale) == pytest.approx(pair)
    neither = nearest(mark.read(changed, RATE, [(1.0, 1.0), (pair[0], 1.0)]), tags)
    assert neither is not None
    assert not neither.accepted


def test_pairs_out_of_range_and_too_many_are_refused(mark: Watermark, speech: list[Audio]) -> None:
    for pairs in ([(0.1, 1.0)], [(1.0, float("nan"))], [(1.0, 1 + k / 1e4) for k in range(1000)]):
        with pytest.raises(ValueError, match="pairs of scales"):
            mark.read(first_seconds(speech[0], 1), RATE, pairs)
    assert mark.read(first_seconds(speech[0], 1), RATE, []) == []


@pytest.mark.parametrize(
    ("search", "seconds"), [("plain", 0.2), ("plain", 0.5), ("full", 0.2), ([(1.1, 0.95)], 0.2), ([(1.1, 0.95)], 0.21)]
)
def test_pieces_too_short_for_a_tag_are_taken(
    search: Search, seconds: float, mark: Watermark, speech: list[Audio]
) -> None:
    for clip in (speech[0], np.zeros(RATE, np.float32)):
        readings = mark.read(first_seconds(clip, seconds), RATE, search)
        assert all(np.all(np.isfinite(reading.bits)) for reading in readings)


def test_the_weights_stay_small() -> None:
    assert detector.WEIGHTS.stat().st_size < 300_000
