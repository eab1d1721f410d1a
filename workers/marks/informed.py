"""Which of several clips with the same sound a copy was made of, and whether a clip's mark is in it at all: by their
stored originals.

Two generations of the same words in the same voice differ in nothing but their marks. Where both originals are at
hand, the sound that they share cancels: the copy less their mean, compared with their difference, shows the mark
alone. So far fewer seconds, and far worse copies, are enough than for reading a mark blind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import uniform_filter, uniform_filter1d

from workers.marks import spectrum
from workers.marks.spectrum import BANDS, HOP, RATE, SLOT, WINDOW, Floats

LONGEST_SECONDS = 30.0
"""Of the stretch that is compared; more would not change an answer."""
LEAST_GAIN = 0.25
"""Of the difference of two originals as much must be found in the copy. Measured on engine clips of 3 s: 0.8 in a clean
copy, 0.4 to 0.5 with noise at 10 dB or Opus 12k, at most 0.17 in copies of a third clip, whose pilot may lie alike."""
ABSENT_GAIN, ABSENT_Z = -0.5, -5.0
"""Where a mark is clearly missing. Measured on engine clips of 4 s: clean, over the telephone or through Opus 12k -0.46
to -0.83 in copies without it, above 0.24 in copies with it; with noise at 0 dB down to -0.45 in those too."""
_FRAMES_PER_SECOND = RATE / HOP
_BLOCK = 50  # slots: a second, within which the copy's place is taken as fixed
_AROUND = 0.5  # seconds
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


@dataclass(frozen=True)
class Trace:
    """What a copy shows of the mark of one original."""

    z: float
    gain: float
    """Towards 1: the copy has the mark as the original has it; towards -1: it has the sound without the mark."""
    bound: float
    """Chance that a copy of the same sound without this mark shows as much of it, from above."""

    @property
    def clear(self) -> bool:
        """Whether enough of the mark was found for `bound` to mean anything."""
        return self.gain >= LEAST_GAIN

    @property
    def absent(self) -> bool:
        """Whether the copy is of the same sound without the mark: made elsewhere, or by somebody who took it out."""
        return self.gain <= ABSENT_GAIN and self.z <= ABSENT_Z


def presence(query: Floats, stretch: Stretch, again: Floats) -> Trace | None:
    """How much of the mark of an original is in the query, mono at 16 kHz; None when there is too little to compare.

    `again` is the whole original, marked once more with its own tag: what that changed is what the mark looks like,
    and the original less as much is the sound without it. Noise and rooms draw z and gain below zero even where the
    mark is, so a positive answer is safe, and a negative one needs a wide margin. The bound is that of `twins`.
    """
    copy, originals = _aligned(query, [stretch, replace(stretch, original=again)])
    if copy is None or len(copy) < _BLOCK // 2:
        return None
    original, twice = originals
    z, gain = _vote(copy, original, np.asarray(2 * original - twice, np.float32))
    return Trace(z, gain, _bound(z))


def _bound(z: float) -> float:
    return math.exp(-(max(z, 0.0) ** 2) / 2)


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
    bound = sum(_bound(float(each)) for each in votes[index, :, 0] if each < np.inf)
    return Decision(index, z, gain, min(bound, 1.0))


def _aligned(query: Floats, stretches: Sequence[Stretch]) -> tuple[Floats | None, list[Floats]]:
    """Cells (slots, BANDS) of the query, and of each original at the same moments, all without slow changes."""
    first = stretches[0]
    seconds = min(min(each.original_to - each.original_from for each in stretches), LONGEST_SECONDS)
    slots = int(seconds * _FRAMES_PER_SECOND / SLOT) // _PART * _PART
    if slots < _BLOCK // 2:
        return None, []
    ends = first.query_from + seconds / first.speed
    heard, query_at = _energies(query, first.query_from, ends, first.pitch)
    cut = [_energies(each.original, each.original_from, each.original_from + seconds) for each in stretches]
    copies: list[Floats] = []
    parts: list[list[Floats]] = [[] for _ in stretches]
    for begin in range(0, slots, _BLOCK):
        size = min(_BLOCK, slots - begin)
        wanted = _slots(cut[0][0], cut[0][1] + begin * SLOT, size, 1.0)
        place = query_at + begin * SLOT / first.speed
        block = [_placed(heard, wanted, place, 1 / first.speed)]
        block += [_placed(sound, wanted, at + begin * SLOT, 1.0) for sound, at in cut]
        found = [each for each in block if each is not None]
        if len(found) < len(block):
            break
        copies.append(found[0])
        for part, cells in zip(parts, found[1:], strict=True):
            part.append(cells)
    if not copies:
        return None, []
    return np.concatenate(copies), [np.concatenate(part) for part in parts]


def _energies(audio: Floats, start: float, end: float, pitch: float = 1.0) -> tuple[Floats, float]:
    """Band energies of the audio around a stretch given in seconds, and the frame at which the stretch begins."""
    first = max(int((start - _AROUND) * _FRAMES_PER_SECOND), 0)
    piece = audio[first * HOP : int((end + _AROUND) * RATE)]
    padded = np.pad(spectrum.levelled(piece), WINDOW)
    return spectrum.band_energies(spectrum.power(spectrum.stft(padded)), pitch), start * _FRAMES_PER_SECOND - first


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
