"""A sketch of a clip in 32 bits per 30 ms, to tell whether two pieces of audio really are the same.

Each bit says whether a band is louder than its surroundings in time and frequency; so it keeps the pattern of
harmonics and formants and drops level, equalisation and the voice's average. The idea of one bit per cell is that of
J. Haitsma and T. Kalker, "A highly robust audio fingerprinting system" (ISMIR 2002).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from workers.marks.landmarks import BINS, FRAMES_PER_SECOND, Floats

BANDS = 32
SLOT = 3  # frames: 30 ms
SLOTS_PER_SECOND = FRAMES_PER_SECOND / SLOT
_EDGES = np.linspace(0, BINS, BANDS + 1)
_NEAR_SLOTS, _NEAR_BANDS = 17, 7  # the surroundings: 0.5 s, some 0.8 octaves
_FLOOR = 1e-6
_LIMIT = 1.5  # deviations; louder cells count no more


class Bands:
    """Spectrogram summed up so that bands and slots of any pitch and speed are read from it quickly."""

    def __init__(self, power: Floats) -> None:
        """`power` is (frames, BINS) of the whole clip."""
        self.frames = len(power)
        floor = max(_FLOOR * float(np.percentile(power, 99)), 1e-12) if len(power) else 1e-12
        self._floor = floor
        self._sums = np.zeros((len(power) + 1, BINS + 1))
        np.cumsum(power, axis=1, dtype=np.float64, out=self._sums[1:, 1:])

    def slots(self, first: float, step: float, count: int, shift: float = 0.0) -> Floats:
        """Log energy (dB) of `count` slots, each `step` frames long, from frame `first`: (count, BANDS).

        Bands are `shift` bins higher than those of the sketch. Slots outside the clip repeat its ends.
        """
        edges = np.clip(_EDGES + shift, 0, BINS)
        low = edges.astype(int)
        part = edges - low
        upper = np.minimum(low + 1, BINS)
        bounds = np.clip(first + np.arange(count + 1) * step, 0, max(self.frames - 1, 0))
        start = int(bounds[0]) if count else 0
        piece = self._sums[start + 1 : int(np.ceil(bounds[-1])) + 2]
        energies = np.diff(piece[:, low] * (1 - part) + piece[:, upper] * part, axis=1)
        total = np.zeros((len(energies) + 1, BANDS))
        np.cumsum(energies, axis=0, dtype=np.float64, out=total[1:])
        at = bounds - start
        whole = np.minimum(at.astype(int), len(energies))
        rest = (at - whole)[:, None]
        sums = total[whole] * (1 - rest) + total[np.minimum(whole + 1, len(energies))] * rest
        mean = np.diff(sums, axis=0) / max(step, 1e-6)
        return np.asarray(10 * np.log10(np.maximum(mean, 0) + self._floor), np.float32)


def pattern(levels: Floats) -> Floats:
    """How each cell stands out from its surroundings, in deviations, limited to +-1.5: same shape."""
    if not len(levels):
        return levels
    around = uniform_filter(levels, (_NEAR_SLOTS, _NEAR_BANDS), mode="nearest")
    apart = levels - around
    deviation = float(apart.std()) + 1e-6
    return np.asarray(np.clip(apart / deviation, -_LIMIT, _LIMIT), np.float32)


def bits(levels: Floats) -> NDArray[np.uint8]:
    """The sketch: (slots, 4) bytes."""
    return np.packbits(pattern(levels) > 0, axis=1)


def signs(sketch: NDArray[np.uint8]) -> Floats:
    """The sketch as -1 and +1: (slots, BANDS)."""
    return np.unpackbits(sketch, axis=1).astype(np.float32) * 2 - 1
