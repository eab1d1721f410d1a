"""One loudness for everything that is heard side by side (ITU-R BS.1770, measured by pyloudnorm)."""

from __future__ import annotations

import numpy as np
import pyloudnorm
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter1d, uniform_filter1d

_BLOCK_SECONDS = 0.4  # what BS.1770 measures at least
_MOST_GAIN_DB = 30.0  # more would only raise the noise of a nearly silent recording
_LOOK_AHEAD_SECONDS = 0.005

Floats = NDArray[np.float32]


def loudness(pcm: Floats, rate: int) -> float:
    """Integrated loudness in LUFS, -inf for silence; audio under 0.4 s is measured as if it were repeated."""
    if not len(pcm):
        return float("-inf")
    shortest = int(_BLOCK_SECONDS * rate) + 1
    measured = np.resize(pcm, shortest) if len(pcm) < shortest else pcm
    return float(pyloudnorm.Meter(rate).integrated_loudness(measured.astype(np.float64)))


def normalise(pcm: Floats, rate: int, lufs: float = -19.0, ceiling_db: float = -1.0) -> Floats:
    """The same audio (mono) at the wanted loudness, its peaks held under the ceiling (dBFS) without clipping.

    -19 LUFS mono is as loud as the -16 LUFS stereo of podcasts. Silence stays as it is; gain ends at +30 dB.
    """
    measured = loudness(pcm, rate)
    if not np.isfinite(measured):
        return pcm
    gain = 10 ** (min(lufs - measured, _MOST_GAIN_DB) / 20)
    return _limited(pcm * np.float32(gain), rate, 10 ** (ceiling_db / 20))


def _limited(pcm: Floats, rate: int, ceiling: float) -> Floats:
    """Turn down ahead of each peak and back up after it.

    The least gain within the window, averaged over the same window, is nowhere above what the sample itself needs.
    """
    size = np.abs(pcm)
    if size.max() <= ceiling:
        return pcm
    needed = np.minimum(1.0, ceiling / np.maximum(size, 1e-9))
    width = 2 * int(_LOOK_AHEAD_SECONDS * rate) + 1
    gain = uniform_filter1d(minimum_filter1d(needed, width), width)
    limited: Floats = np.clip(pcm * gain, -ceiling, ceiling).astype(np.float32)  # the clip only removes rounding
    return limited
