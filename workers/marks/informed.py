"""Which of several clips with the same sound a copy was made of, by their stored originals.

Two generations of the same words in the same voice differ in nothing but their marks. Where both originals are at
hand, the sound that they share cancels: the copy less their mean, compared with their difference, shows the mark
alone. So far fewer seconds, and far worse copies, are enough than for reading a mark blind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter, uniform_filter1d

from workers.marks import spectrum
from workers.marks.spectrum import BANDS, HOP, RATE, SLOT, WINDOW, Floats

LONGEST_SECONDS = 30.0
"""Of the stretch that is compared; more would not change an answer."""
LEAST_GAIN = 0.25
"""Of the difference of two originals as much must be found in the copy. Measured on engine clips of 3 s: 0.8 in a clean
copy, 0.4 to 0.5 with noise at 10 dB or Opus 12k, at most 0.17 in copies of a third clip, whose pilot may lie alike."""
_FRAMES_PER_SECOND = RATE / HOP
_BLOCK = 50  # slots: a second, within which the copy's place is taken as fixed
_LAGS = 10  # frames of 4 ms around the place that the fingerprint gives
_PART = 2  # slots: the pattern's chips come in pairs of opposite sign, so a pair is the least that can vote
_SLOW = 5  # slots: 5 beat 3 in rooms and 15 in noise; what changes slower is the voice, the room and the channel
_FLOOR = 0.01  # dB squared
_NEAR = (7, 3)  # slots and bands around a cell, over which its noise is taken: better than one figure for each band


@dataclass(frozen=True)
class Stretch:
    """A stretch of an original, and where it lies in the copy: seconds, and how the copy was changed as factors."""

    original: Floats  # the whole clip, mono at 16 kHz
    original_from: float
    original_to: float
    query_from: float
    speed: float
    pitch: float


@dataclass(frozen=True)
class Decision:
    """Which original, and how sure."""

    index: int
    z: float
    """The weakest of its comparisons with the others; like a standard normal where the copy is of neither."""
    gain: float
    """How much of the difference of the originals is in the copy, in that comparison."""
    bound: float
    """Chance of such an answer for a copy of another of the originals, or of none of them, from above."""

    @property
    def clear(self) -> bool:
        """Whether enough of the mark was found for `bound` to mean anything."""
        return self.gain >= LEAST_GAIN


def twins(query: Floats, stretches: Sequence[Stretch]) -> Decision | None:
    """Which of at least two originals of nearly the same sound the query, mono at 16 kHz, is a copy of.

    All stretches are of the same part of the query. None when there is too little to compare. The bound is that of a
    self-normalised sum of independent symmetric votes, one for each 40 ms: P(z or more) <= exp(-z * z / 2) (Efron
    1969, from Hoeffding's inequality), for each of the other originals. It takes the errors of the votes as
    independent and as likely to be up as down, which the marks' random signs make so.
    """
    if len(stretches) < 2:
        raise ValueError("Two originals at least are compared.")
    copy, originals = _aligned(query, stretches)
    if copy is None or len(copy) < _BLOCK // 2:
        return None
    votes = np.array([[_vote(copy, a, b) for b in originals] for a in originals])  # [a, b]: z of a against b, gain
    np.einsum("iij->ij", votes)[:] = np.inf
    weakest = votes[:, :, 0].min(axis=1)
    index = int(np.argmax(weakest))
    rival = int(np.argmin(votes[index, :, 0]))
    z, gain = float(votes[index, rival, 0]), float(votes[index, rival, 1])
    bound = sum(math.exp(-(max(float(each), 0.0) ** 2) / 2) for each in votes[index, :, 0] if each < np.inf)
    return Decision(index, z, gain, min(bound, 1.0))


def _aligned(query: Floats, stretches: Sequence[Stretch]) -> tuple[Floats | None, list[Floats]]:
    """Cells (slots, BANDS) of the query, and of each original at the same moments, all without slow changes."""
    first = stretches[0]
    seconds = min(min(each.original_to - each.original_from for each in stretches), LONGEST_SECONDS)
    slots = int(seconds * _FRAMES_PER_SECOND / SLOT) // _PART * _PART
    if slots < _BLOCK // 2:
        return None, []
    heard = _energies(query, first.pitch)
    sounds = [_energies(each.original) for each in stretches]
    copies: list[Floats] = []
    parts: list[list[Floats]] = [[] for _ in stretches]
    for begin in range(0, slots, _BLOCK):
        size = min(_BLOCK, slots - begin)
        wanted = _slots(sounds[0], first.original_from * _FRAMES_PER_SECOND + begin * SLOT, size, 1.0)
        place = first.query_from * _FRAMES_PER_SECOND + begin * SLOT / first.speed
        block = [_placed(heard, wanted, place, 1 / first.speed)]
        for sound, each in zip(sounds, stretches, strict=True):
            block.append(_placed(sound, wanted, each.original_from * _FRAMES_PER_SECOND + begin * SLOT, 1.0))
        found = [each for each in block if each is not None]
        if len(found) < len(block):
            break
        copies.append(found[0])
        for part, cells in zip(parts, found[1:], strict=True):
            part.append(cells)
    if not copies:
        return None, []
    return np.concatenate(copies), [np.concatenate(part) for part in parts]


def _energies(audio: Floats, pitch: float = 1.0) -> Floats:
    return spectrum.band_energies(spectrum.power(spectrum.stft(np.pad(spectrum.levelled(audio), WINDOW))), pitch)


def _slots(energies: Floats, start: float, count: int, stretch: float) -> Floats | None:
    """Mean energies of `count` slots from frame `start` on, each `stretch` times as long; None outside the audio."""
    lead = WINDOW / HOP  # the audio was padded by a window
    bounds = start + lead + np.arange(count + 1) * SLOT * stretch
    if bounds[0] < 0 or bounds[-1] > len(energies) - 1:
        return None
    total = np.zeros((len(energies) + 1, BANDS))
    np.cumsum(energies, axis=0, dtype=np.float64, out=total[1:])
    whole = bounds.astype(int)
    share = (bounds - whole)[:, None]
    at = total[whole] * (1 - share) + total[whole + 1] * share
    return np.asarray(np.diff(at, axis=0) / (SLOT * stretch), np.float32)


def _placed(heard: Floats, sound: Floats | None, place: float, stretch: float) -> Floats | None:
    """The query's cells of a block, at the place around `place` where they follow the sound of the original best."""
    if sound is None:
        return None
    wanted = _detrended(sound)
    best, most = None, -np.inf
    for lag in range(-_LAGS, _LAGS + 1):
        copy = _slots(heard, place + lag, len(sound), stretch)
        if copy is None:
            continue
        level = _detrended(copy)
        fit = float(np.sum(wanted * level) / (np.linalg.norm(level) + 1e-9))
        if fit > most:
            best, most = copy, fit
    return best


def _detrended(values: Floats) -> Floats:
    """Without what a filter, a gain or a room adds slowly: each band's running mean over 0.1 s."""
    return np.asarray(values - uniform_filter1d(values, _SLOW, axis=0, mode="nearest"), np.float32)


def _vote(copy: Floats, one: Floats, other: Floats) -> tuple[float, float]:
    """(z, gain) for `one` against `other`."""
    difference = _detrended(one - other)
    mean = np.asarray((one + other) / 2, np.float32)
    rest = _detrended(copy - mean)
    weight = spectrum.reliability(mean[None])[0]
    deviation = np.sqrt(uniform_filter(rest * rest, _NEAR, mode="nearest") + _FLOOR)
    weight = weight / deviation**2
    cells = weight * 2 * deviation * np.tanh(rest / deviation / 2) * difference
    parts = cells[: len(cells) // _PART * _PART].reshape(-1, _PART * BANDS).sum(axis=1)
    energy = float(np.sum(weight * difference * difference)) / 2
    return float(parts.sum() / (np.linalg.norm(parts) + 1e-9)), float(cells.sum() / (energy + 1e-9))
