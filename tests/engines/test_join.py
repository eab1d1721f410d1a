"""Joined segments: no clicks at the seams, pauses as asked, nothing of the speech cut."""

from __future__ import annotations

import numpy as np
import pytest

from workers.engines.base import Segment
from workers.engines.join import join, shape, trimmed

RATE = 24_000


def tone(seconds: float, hertz: float = 200.0, silence: float = 0.3) -> np.ndarray:
    wave = 0.8 * np.cos(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)
    quiet = np.zeros(round(silence * RATE))
    return np.concatenate([quiet, wave, quiet]).astype(np.float32)


def segment(pcm: np.ndarray, index: int = 0, pause: float = 0.0, rate: int = RATE) -> Segment:
    return Segment("k", pcm, rate, index, 2, pause)


def test_seams_have_no_jump_even_between_full_waves() -> None:
    hard = tone(0.5, silence=0.0)  # starts at its crest: put end to end as they are, 0.8 would be jumped
    pcm, rate = join([segment(hard, 0), segment(-hard, 1)])
    assert rate == RATE
    slope = 0.8 * 2 * np.pi * 200 / RATE
    assert np.abs(np.diff(pcm)).max() < 1.5 * slope
    assert pcm[0] == 0.0
    assert abs(pcm[-1]) < 0.01


def test_pause_is_silence_of_the_asked_length() -> None:
    pcm, _ = join([segment(tone(0.4), 0, pause=0.25), segment(tone(0.4), 1)])
    quiet = np.flatnonzero(np.abs(pcm) > 1e-4)
    gap = np.diff(quiet).max() / RATE
    assert 0.25 <= gap <= 0.25 + 0.12  # with what trimming leaves of the segments' own silence


def test_trimming_keeps_the_speech() -> None:
    kept = trimmed(tone(0.5), RATE)
    assert 0.5 <= kept.size / RATE <= 0.62
    assert np.sum(kept**2) == pytest.approx(np.sum(tone(0.5) ** 2))


def test_silent_and_tiny_segments_pass() -> None:
    assert not shape(segment(np.zeros(1000, np.float32))).any()
    assert shape(segment(np.ones(1, np.float32))).size == 1


def test_mixed_rates_and_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="one sample rate"):
        join([segment(tone(0.1)), segment(tone(0.1), rate=16_000)])
    with pytest.raises(ValueError, match="one sample rate"):
        join([])
