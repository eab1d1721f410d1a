"""Plain measures of a recording: clipping, level, noise floor, bandwidth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FRAME = 512
_FLAT = 3  # samples in a row at the ceiling that make a clipped peak
_QUIETEST_CEILING = 0.1  # below it, equal peaks are quantisation, not clipping

Floats = NDArray[np.float32]


def clipped_share(pcm: Floats) -> float:
    """Share of samples in flat tops: runs of three or more within 0.1 % of the loudest sample of the recording."""
    if not len(pcm):
        return 0.0
    size = np.abs(pcm)
    ceiling = float(size.max())
    if ceiling < _QUIETEST_CEILING:
        return 0.0
    at_top = (size >= 0.999 * ceiling).astype(np.int8)
    edges = np.flatnonzero(np.diff(at_top, prepend=0, append=0))
    lengths = edges[1::2] - edges[::2]
    return float(lengths[lengths >= _FLAT].sum() / len(pcm))


def level_dbfs(pcm: Floats) -> float:
    """Root mean square relative to full scale, in dB; -120 for silence."""
    power = float(np.mean(np.square(pcm, dtype=np.float64))) if len(pcm) else 0.0
    return 10 * float(np.log10(max(power, 1e-12)))


def signal_to_noise_db(speech: Floats, pauses: Floats) -> float | None:
    """Level of the speech over that of the quieter half of the pauses; None with less than half a second of pauses."""
    frames = pauses[: len(pauses) // _FRAME * _FRAME].reshape(-1, _FRAME)
    if len(frames) < 16:
        return None
    power = np.sort(np.mean(np.square(frames, dtype=np.float64), axis=1))
    floor = float(np.mean(power[: len(power) // 2]))
    return level_dbfs(speech) - 10 * float(np.log10(max(floor, 1e-12)))


def bandwidth_hz(speech: Floats, rate: int) -> float:
    """Frequency below which the speech has 99.9 % of its energy above 1 kHz; up to half the rate.

    The first kilohertz is left out because it holds most of the energy of speech whatever the channel.
    """
    frames = speech[: len(speech) // _FRAME * _FRAME].reshape(-1, _FRAME)
    if not len(frames):
        return 0.0
    spectrum = np.mean(np.abs(np.fft.rfft(frames * np.hanning(_FRAME).astype(np.float32))) ** 2, axis=0)
    frequency = np.fft.rfftfreq(_FRAME, 1 / rate)
    upper = np.cumsum(np.where(frequency >= 1000, spectrum, 0))
    if upper[-1] <= 0:
        return 0.0
    return float(frequency[np.searchsorted(upper, 0.999 * upper[-1])])
