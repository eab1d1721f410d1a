"""A reader of cells without training: a fixed filter that whitens speech.

Training starts from it (data.py), and it is what somebody without our training would use (benches/mark_attacks.py).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.ndimage import uniform_filter1d

from workers.marks.spectrum import BANDS, Floats, cells, reliability

# Whitening: predicts a cell from its 7 x 9 neighbours (slots x bands) and keeps what is new. Least squares on
# attacked marked speech of two speakers, by the prototype. Symmetric in time: rows are 3, 2, 1 and 0 slots
# away.
_WHITEN_FAR = [0.002, -0.007, 0.002, 0.019, -0.029, 0.003, 0.009, 0.001, 0.007]
_WHITEN_MIDDLE = [-0.002, 0.002, 0.010, 0.012, -0.023, 0.022, 0.005, 0.002, -0.013]
_WHITEN_NEAR = [0.036, 0.035, 0.033, 0.044, -0.396, 0.044, 0.027, 0.039, 0.034]
_WHITEN_HERE = [-0.077, -0.056, -0.107, -0.183, 1.000, -0.183, -0.096, -0.079, -0.054]
_WHITEN = [_WHITEN_FAR, _WHITEN_MIDDLE, _WHITEN_NEAR, _WHITEN_HERE, _WHITEN_NEAR, _WHITEN_MIDDLE, _WHITEN_FAR]
_REACH = len(_WHITEN) // 2
_LOCAL_SLOTS = 15  # 0.3 s: over this the local variance of the statistic is taken
_LOCAL_SHARE = 0.8  # the rest is the variance of the whole piece, which helped under noise and in rooms


@cache
def _whitening_matrix() -> Floats:
    """The whitening filter as one matrix, (7 * BANDS, BANDS); band edges are repeated outwards."""
    matrix = np.zeros((len(_WHITEN), BANDS, BANDS))
    for row, taps in enumerate(_WHITEN):
        for tap, weight in enumerate(taps):
            for band in range(BANDS):
                matrix[row, min(max(band + tap - len(taps) // 2, 0), BANDS - 1), band] += weight
    return matrix.reshape(-1, BANDS).astype(np.float32)


@cache
def _three_bands() -> Floats:
    """Mean over a band and its two neighbours, as a matrix."""
    matrix = np.zeros((BANDS, BANDS), np.float32)
    for band in range(BANDS):
        for near in (-1, 0, 1):
            matrix[min(max(band + near, 0), BANDS - 1), band] += 1 / 3
    return matrix


def _local_mean(values: Floats) -> Floats:
    return np.asarray(uniform_filter1d(values, _LOCAL_SLOTS, axis=1, mode="nearest") @ _three_bands())


def evidence(energies: Floats) -> Floats:
    """Energies in dB (frames, BANDS) made into evidence of whole slots, (slots, BANDS).

    Whitened, weighted by reliability, divided by the local deviation, and softly limited to +-2 so that no
    loud event outvotes the rest.
    """
    values = cells(energies)
    if values.shape[1] == 0:
        return values[0]
    weight = reliability(values)
    centred = values - values.mean(axis=1, keepdims=True)
    padded = np.pad(centred, ((0, 0), (_REACH, _REACH), (0, 0)), mode="edge")
    slots = values.shape[1]
    neighbours = np.concatenate([padded[:, k : k + slots] for k in range(len(_WHITEN))], axis=2)
    new = neighbours @ _whitening_matrix()
    overall = np.sum(weight * new * new, axis=(1, 2), keepdims=True)
    overall = overall / (np.sum(weight, axis=(1, 2), keepdims=True) + 1e-9) + 1e-9
    limited = weight * np.minimum(new * new, 9 * overall)
    local = _local_mean(limited) / (_local_mean(weight) + 1e-3)
    variance = _LOCAL_SHARE * local + (1 - _LOCAL_SHARE) * overall
    found = weight * np.sqrt(overall / variance) * 2 * np.tanh(new / np.sqrt(variance) / 2)
    return np.asarray(found[0], dtype=np.float32)
