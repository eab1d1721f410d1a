"""Music made from nothing, for what needs a bed of music: chords, bass, a tune and drums, other for every seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from benches.trace.attacks import RATE, Floats, levelled

_MINOR = (0, 2, 3, 5, 7, 8, 10)
_PROGRESSIONS = ((0, 5, 2, 6), (0, 3, 4, 0), (0, 2, 5, 4), (0, 4, 5, 3))
_EIGHTHS = 8


def compose(seconds: float, seed: int) -> Floats:
    """Mono at 16 kHz, peak 0.7. 80 to 140 beats a minute, one of four chord progressions in a minor key."""
    rng = np.random.default_rng(seed)
    beat = 60 / rng.uniform(80, 140)
    root = int(rng.integers(45, 57))
    chords = _PROGRESSIONS[int(rng.integers(len(_PROGRESSIONS)))]
    out = np.zeros(int((seconds + 4 * beat) * RATE))
    for bar in range(int(seconds / (4 * beat)) + 1):
        degree = chords[bar % len(chords)]
        begin = bar * 4 * beat
        for step in (0, 2, 4):
            _add(out, begin, 0.25 * _pad(_pitch(root, degree + step), 4 * beat))
        for eighth in range(_EIGHTHS):
            at = begin + eighth * beat / 2
            _add(out, at, 0.35 * _plucked(_pitch(root - 12, degree), beat / 2))
            if rng.random() < 0.7:
                _add(out, at, 0.3 * _plucked(_pitch(root + 12, degree + int(rng.integers(0, 7))), beat))
            _add(out, at, _drum(eighth, rng))
    return levelled(out[: int(seconds * RATE)])


def _pitch(root: int, degree: int) -> float:
    """Hertz of a step of the scale."""
    note = root + 12 * (degree // 7) + _MINOR[degree % 7]
    return float(440 * 2 ** ((note - 69) / 12))


def _times(seconds: float) -> NDArray[np.float64]:
    return np.arange(int(seconds * RATE)) / RATE


def _pad(hertz: float, seconds: float) -> NDArray[np.float64]:
    """A held note: two sawtooths a little apart, softened."""
    t = _times(seconds)
    saw = sum(2 * ((hertz * detune * t) % 1) - 1 for detune in (1.0, 1.006))
    soft = sosfilt(butter(2, min(6 * hertz, 6000), fs=RATE, output="sos"), saw)
    return np.asarray(soft * np.minimum(1, np.minimum(t / 0.1, (seconds - t) / 0.2)))


def _plucked(hertz: float, seconds: float) -> NDArray[np.float64]:
    t = _times(seconds)
    return np.asarray(sum(np.sin(2 * np.pi * hertz * k * t) * np.exp(-t * 5 * k) / k for k in (1, 2, 3, 4)))


def _drum(eighth: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Bass drum on one and three, snare on two and four, hats between."""
    t = _times(0.15)
    if eighth % 4 == 0:
        return np.asarray(0.9 * np.sin(2 * np.pi * (50 * t + 8 * (1 - np.exp(-t * 30)))) * np.exp(-t * 18))
    noise = rng.normal(size=len(t))
    return np.asarray(noise * np.exp(-t * 25) * 0.3 if eighth % 4 == 2 else noise * np.exp(-t * 70) * 0.15)


def _add(out: NDArray[np.float64], seconds: float, sound: NDArray[np.float64]) -> None:
    begin = int(seconds * RATE)
    piece = sound[: max(len(out) - begin, 0)]
    out[begin : begin + len(piece)] += piece
