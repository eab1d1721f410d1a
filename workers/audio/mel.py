"""Mel spectra as librosa computes them by default (Slaney's scale, bands of equal area), without librosa."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

_CHUNK_FRAMES = 2_000  # frames transformed at once: bounds the memory for long input


def _hz_to_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slaney's Auditory Toolbox: linear to 1 kHz (3 mel per 200 Hz), then logarithmic (27 mel per factor 6.4)."""
    linear = hz * 3 / 200
    return np.where(hz < 1000, linear, 15 + 27 * np.log(np.maximum(hz, 1000) / 1000) / np.log(6.4))


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


@cache
def filterbank(rate: int, n_fft: int, bands: int) -> NDArray[np.float32]:
    """Triangles from 0 Hz to half the rate, each of area one: shape (n_fft / 2 + 1, bands)."""
    top = _hz_to_mel(np.array([rate / 2]))[0]
    edges = _mel_to_hz(np.linspace(0, top, bands + 2))
    bins = np.fft.rfftfreq(n_fft, 1 / rate)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * 2 / (edges[2:] - edges[:-2])).astype(np.float32)


def mel_power(
    pcm: NDArray[np.float32], window: NDArray[np.float64], n_fft: int, hop: int, bands: int, rate: int = 16_000
) -> NDArray[np.float32]:
    """Mel power spectrum of whole frames: shape (frames, bands); the window is centred in each frame of `n_fft`."""
    left = (n_fft - len(window)) // 2
    weights = np.pad(window, (left, n_fft - len(window) - left)).astype(np.float32)
    if len(pcm) < n_fft:
        return np.zeros((0, bands), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(pcm, n_fft)[::hop]
    basis = filterbank(rate, n_fft, bands)
    parts = [
        np.abs(np.fft.rfft(frames[start : start + _CHUNK_FRAMES] * weights)) ** 2 @ basis
        for start in range(0, len(frames), _CHUNK_FRAMES)
    ]
    return np.concatenate(parts).astype(np.float32)
