"""How somebody speaks, apart from the timbre: pitch, its spread, and pace."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import butter, find_peaks, sosfiltfilt

from workers.audio.vad import cut, speech_segments

_RATE = 16_000
_LOWEST, _HIGHEST = 55.0, 500.0  # Hz, the range of speaking voices
_WINDOW, _FFT, _HOP = 400, 1024, 160  # samples: 25 ms of comparison, every 10 ms
_LONGEST_LAG = int(_RATE / _LOWEST)
_DIP = 0.2  # depth below which YIN takes a dip for the period
_FLOOR_DB = 35  # frames that far under the loud ones are no voice
_BATCH = 2_000  # frames at once: bounds memory
_NUCLEUS_DB = 1.5  # a syllable's peak stands at least so far above the dips beside it

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Prosody:
    """Median pitch in Hz and its spread (standard deviation of the natural logarithm), 0 if no frame is voiced; share
    of the speech that is voiced; syllables a second of speech."""

    f0_median: float
    f0_log_sd: float
    voiced_share: float
    rate: float


def prosody(pcm16k: Floats) -> Prosody:
    """Measured on the speech in mono 16 kHz audio, pauses left out."""
    speech = cut(pcm16k, speech_segments(pcm16k))
    pitch, level = _pitch_track(speech)
    if not len(pitch):
        return Prosody(0.0, 0.0, 0.0, 0.0)
    voiced = pitch > 0
    syllables = _syllables(level, voiced)
    found = pitch[voiced]
    if not len(found):
        return Prosody(0.0, 0.0, 0.0, 0.0)
    median = float(np.median(found))
    near = found[(found > median / 1.8) & (found < median * 1.8)]  # leaves out errors of an octave
    return Prosody(
        f0_median=float(np.median(near)),
        f0_log_sd=float(np.std(np.log(near))),
        voiced_share=float(voiced.mean()),
        rate=syllables / (len(speech) / _RATE),
    )


def _pitch_track(speech: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pitch in Hz (0: unvoiced) and level in dB of each 10 ms, by YIN (de Cheveigné and Kawahara 2002)."""
    if len(speech) < _WINDOW + _LONGEST_LAG:
        return np.zeros(0), np.zeros(0)
    voice_band = sosfiltfilt(butter(2, (60, 900), "bandpass", fs=_RATE, output="sos"), speech)
    frames = np.lib.stride_tricks.sliding_window_view(voice_band, _WINDOW + _LONGEST_LAG)[::_HOP]
    pitch, level = [], []
    for start in range(0, len(frames), _BATCH):
        part = frames[start : start + _BATCH]
        pitch.append(_periods(_difference(part)))
        level.append(10 * np.log10(np.mean(part[:, :_WINDOW] ** 2, axis=1) + 1e-12))
    tracked, loud = np.concatenate(pitch), np.concatenate(level)
    return np.where(loud > np.percentile(loud, 95) - _FLOOR_DB, tracked, 0.0), loud


def _difference(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """YIN's difference function over its running mean, for each lag: shape (frames, lags)."""
    spectrum = np.fft.rfft(frames, _FFT)
    head = np.fft.rfft(frames[:, :_WINDOW], _FFT)
    correlation = np.fft.irfft(spectrum * head.conj(), _FFT)[:, : _LONGEST_LAG + 1]
    energy = np.cumsum(np.pad(frames**2, ((0, 0), (1, 0))), axis=1)
    lagged = energy[:, _WINDOW : _WINDOW + _LONGEST_LAG + 1] - energy[:, : _LONGEST_LAG + 1]
    difference = np.maximum(lagged[:, :1] + lagged - 2 * correlation, 0)
    lags = np.arange(1, _LONGEST_LAG + 1)
    mean = np.cumsum(difference[:, 1:], axis=1) / lags
    return np.concatenate([np.ones((len(frames), 1)), difference[:, 1:] / np.maximum(mean, 1e-12)], axis=1)


def _periods(difference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pitch in Hz from the first lag whose dip is deep enough, refined by a parabola; 0 where there is none."""
    shortest = int(_RATE / _HIGHEST)
    inner = difference[:, shortest:-1]
    is_dip = (inner <= difference[:, shortest - 1 : -2]) & (inner < difference[:, shortest + 1 :]) & (inner < _DIP)
    lag = is_dip.argmax(axis=1) + shortest
    rows = np.arange(len(difference))
    before, at, after = (difference[rows, lag + step] for step in (-1, 0, 1))
    bend = before - 2 * at + after
    shift = np.where(bend > 0, 0.5 * (before - after) / np.maximum(bend, 1e-12), 0.0)
    return np.where(is_dip.any(axis=1), _RATE / (lag + shift), 0.0)


def _syllables(level: NDArray[np.float64], voiced: NDArray[np.bool_]) -> int:
    """Voiced peaks of the level, as de Jong and Wempe (2009) count syllables."""
    smooth = gaussian_filter1d(level, 2)
    found, _ = find_peaks(smooth, prominence=_NUCLEUS_DB, height=np.percentile(level, 95) - 25)
    return int(voiced[found].sum())
