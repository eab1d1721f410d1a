"""A stream is marked as a whole clip is: the same samples, bounded delay, no peak out of range."""

from __future__ import annotations

import numpy as np
import pytest
from marks_sound import RATE, resampled
from numpy.typing import NDArray

from workers.marks import detector, spectrum
from workers.marks.pattern import signs
from workers.marks.stream import LATENCY_SECONDS, MarkStream
from workers.marks.watermark import Watermark

Audio = NDArray[np.float32]


def streamed(mark: Watermark, clip: Audio, rate: int, tag: bytes, cuts: list[int]) -> Audio:
    stream = MarkStream(mark, rate, tag)
    return np.concatenate([*[stream.push(piece) for piece in np.split(clip, cuts)], stream.finish()])


@pytest.mark.parametrize("rate", [16_000, 24_000])
@pytest.mark.parametrize("seconds", [0, 0.7, 9.3])
def test_however_a_clip_is_cut_the_stream_gives_the_same_samples(
    rate: int, seconds: float, mark: Watermark, speech: list[Audio]
) -> None:
    clip = resampled(np.resize(speech[0], int(seconds * RATE) + 1), RATE, rate)[: int(seconds * rate)]
    loud = np.clip(clip * 8, -0.99, 0.99)  # so that the limiter works, too
    whole = mark.embed(loud, rate, bytes(range(16)))
    assert len(whole) == len(clip)
    random_cuts = sorted(np.random.default_rng(2).integers(0, len(clip) + 1, 40).tolist())
    for cuts in ([], random_cuts, list(range(480, len(clip), 480))):
        np.testing.assert_array_equal(streamed(mark, loud, rate, bytes(range(16)), cuts), whole)


def test_a_stream_is_never_further_behind_than_it_says(mark: Watermark, speech: list[Audio]) -> None:
    stream = MarkStream(mark, RATE, bytes(16))
    behind = 0
    long = np.resize(speech[0], 20 * RATE)
    for begin in range(0, len(long), 1600):
        behind += len(long[begin : begin + 1600]) - len(stream.push(long[begin : begin + 1600]))
        assert behind <= (LATENCY_SECONDS + 0.6) * RATE
    assert behind > 0
    assert len(stream.finish()) == behind


def test_the_pattern_runs_on_across_the_pieces_of_a_stream(
    mark: Watermark, speech: list[Audio], tags: NDArray[np.uint8]
) -> None:
    """Every stretch agrees with the tag where the pattern must be if it started once, at the start of the clip."""
    long, tag = np.resize(speech[0], 14 * RATE), tags[9].tobytes()
    result = streamed(mark, long, RATE, tag, list(range(4000, len(long), 4000)))
    power = spectrum.power(spectrum.stft(np.pad(spectrum.levelled(result), spectrum.WINDOW)))
    seen = detector.evidence(spectrum.band_energies(power), alignments=1)
    for first in range(0, 500, 100):
        chips = mark.pattern.over(200, mark.pattern.start(tag) + first)
        bits = (chips @ seen[first : first + 200].ravel())[1:]
        assert signs(tag) @ bits / np.linalg.norm(bits) > 8, first


def test_only_what_is_too_loud_is_turned_down(mark: Watermark) -> None:
    seconds = np.arange(6 * RATE) / RATE
    tone = (0.3 * np.sin(2 * np.pi * 100 * seconds)).astype(np.float32)  # below the marked bands: it has no change
    tone[3 * RATE : 3 * RATE + 800] *= 5
    result = mark.embed(tone, RATE, bytes(16))
    assert np.max(np.abs(result)) <= 1
    quiet = np.abs(seconds - 3.025) > 0.5
    np.testing.assert_allclose(result[quiet], tone[quiet], atol=2e-3)
