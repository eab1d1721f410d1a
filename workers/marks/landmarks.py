"""Landmarks of speech: pairs of spectral peaks, which survive codecs, telephones, noise and other speech on top.

The idea is that of A. Wang, "An industrial-strength audio search algorithm" (ISMIR 2003), with a log-frequency axis as
in J. Six and M. Leman's Panako (ISMIR 2014): a change of pitch shifts both peaks of a pair alike, and a change of
tempo scales the time between them, so both can be searched by changing the query's pairs alone. The band is that of a
telephone. Numbers were chosen by measurement on clips of the engine under codecs, telephone, noise, rooms, music, and
changes of speed: of several resolutions this kept most pairs for the same size of an index.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import scipy.fft
import soxr
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, uniform_filter

Floats = NDArray[np.float32]

RATE = 8000
WINDOW = 512  # samples: 64 ms, so that the harmonics of most voices are apart
HOP = 80  # samples
FRAMES_PER_SECOND = RATE // HOP
LOWEST_HZ, HIGHEST_HZ = 250.0, 3500.0
BINS_PER_OCTAVE = 48
BINS = int(np.log2(HIGHEST_HZ / LOWEST_HZ) * BINS_PER_OCTAVE) + 1
_FFT = 1024
_NARROWEST_HZ = 12.0  # half width of a bin: the window tells no finer

BLOCK_SECONDS = 60  # worked on at once: bounds the memory, however long the audio is
_BLOCK = BLOCK_SECONDS * FRAMES_PER_SECOND
_LOUDEST = 100.0  # samples beyond are no audio; +-1 is full scale

_PEAK_BINS, _PEAK_FRAMES = 4, 3  # a peak is the highest within this reach
_NEAR_SECONDS, _NEAR_OCTAVES = 0.5, 1.0  # and stands out from the mean of this neighbourhood
_LEAST_DB = 3.0
_FLOOR = 1e-6  # of the loud parts: what is 60 dB below is silence
_STRENGTH_STEPS_PER_DB = 8

STORED_PEAKS, QUERY_PEAKS = 25, 45  # per second
STORED_PAIRS, QUERY_PAIRS = 48, 400  # per second
GAP_LEAST, GAP_MOST = 6, 70  # frames between the peaks of a pair
STEP_MOST = 63  # bins between them
_GAPS, _STEPS = GAP_MOST - GAP_LEAST + 1, 2 * STEP_MOST + 1
CODES = BINS * _STEPS * _GAPS
"""Pairs have codes from 0 to CODES - 1."""


@dataclass(frozen=True)
class Peaks:
    """Spectral peaks in order of time: frame, bin, and by how much each stands out (1/8 dB, at most 255)."""

    frame: NDArray[np.int32]
    bin: NDArray[np.int16]
    strength: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True)
class Pairs:
    """Pairs of peaks: code, and frame of the first peak; strongest first within each second."""

    code: NDArray[np.int32]
    frame: NDArray[np.int32]


def blocks(pcm: Floats, rate: int) -> Iterator[Floats]:
    """Power spectrogram of any mono audio, at most a minute at a time: (frames, BINS).

    Frame i of the whole is centred on i / FRAMES_PER_SECOND seconds. What is not finite counts as silence.
    """
    stream = soxr.ResampleStream(rate, RATE, 1, dtype="float32", quality="MQ")
    step = BLOCK_SECONDS * rate
    kept = np.zeros(WINDOW // 2, np.float32)
    for start in range(0, len(pcm), step):
        last = start + step >= len(pcm)
        piece = np.nan_to_num(pcm[start : start + step], nan=0.0, posinf=0.0, neginf=0.0)
        piece = np.clip(piece, -_LOUDEST, _LOUDEST).astype(np.float32)
        kept = np.concatenate([kept, stream.resample_chunk(piece, last=last)])
        if last:
            kept = np.concatenate([kept, np.zeros(WINDOW // 2, np.float32)])
        frames = max((len(kept) - WINDOW) // HOP + 1, 0)
        if frames:
            yield _spectrogram(kept, frames)
        kept = kept[frames * HOP :]


def _spectrogram(samples: Floats, frames: int) -> Floats:
    out = np.empty((frames, BINS), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    for start in range(0, frames, 1000):
        spectra = scipy.fft.rfft(windows[start : start + 1000] * _taper(), n=_FFT, axis=1)
        out[start : start + 1000] = (spectra.real**2 + spectra.imag**2) @ _bins()
    return out


@cache
def _taper() -> Floats:
    return np.hanning(WINDOW + 1)[:WINDOW].astype(np.float32)


@cache
def _bins() -> Floats:
    """Triangles on the log-frequency axis, each with sum 1: (spectrum, BINS)."""
    centres = LOWEST_HZ * 2 ** (np.arange(BINS) / BINS_PER_OCTAVE)
    width = np.maximum(centres * (2 ** (1 / BINS_PER_OCTAVE) - 1), _NARROWEST_HZ)
    apart = np.abs(np.arange(_FFT // 2 + 1)[:, None] * RATE / _FFT - centres)
    weights = np.maximum(0, 1 - apart / width)
    return np.asarray(weights / weights.sum(axis=0), np.float32)


def find_peaks(power: Floats, per_second: int, first_frame: int = 0) -> Peaks:
    """The peaks of one block that stand out most, at most `per_second` in each second (in halves)."""
    power = power + np.float32(max(_FLOOR * float(np.percentile(power, 99)), 1e-12))
    near = (int(_NEAR_SECONDS * FRAMES_PER_SECOND) | 1, int(_NEAR_OCTAVES * BINS_PER_OCTAVE) | 1)
    around = uniform_filter(power, near, mode="nearest")
    whole = uniform_filter(power.mean(axis=1), FRAMES_PER_SECOND, mode="nearest")[:, None]
    above = 10 * np.log10(power / (around + 0.02 * whole))
    highest = maximum_filter(power, (2 * _PEAK_FRAMES + 1, 2 * _PEAK_BINS + 1), mode="nearest")
    frame, bin_ = np.nonzero((power == highest) & (above > _LEAST_DB))
    strength = np.minimum(above[frame, bin_] * _STRENGTH_STEPS_PER_DB, 255).astype(np.uint8)
    kept = np.sort(_strongest(frame // (FRAMES_PER_SECOND // 2), strength, per_second // 2))
    return Peaks(
        (frame[kept] + first_frame).astype(np.int32), bin_[kept].astype(np.int16), np.asarray(strength[kept], np.uint8)
    )


def peaks_of(power: Iterator[Floats], per_second: int) -> Peaks:
    """The peaks of all blocks."""
    found, first = [Peaks(np.zeros(0, np.int32), np.zeros(0, np.int16), np.zeros(0, np.uint8))], 0
    for block in power:
        found.append(find_peaks(block, per_second, first))
        first += len(block)
    return Peaks(
        np.concatenate([each.frame for each in found]),
        np.concatenate([each.bin for each in found]),
        np.concatenate([each.strength for each in found]),
    )


def pair(peaks: Peaks, per_second: int, shift: int = 0, stretch: float = 1.0) -> Pairs:
    """The strongest pairs of peaks, at most `per_second` that begin in each second.

    `shift` (bins) and `stretch` (of time) turn the pairs of a changed copy into those of its original: a copy that is
    higher by n bins needs shift -n, a copy that is faster by 5 % needs stretch 1.05. Frames stay those of the copy.
    """
    first, second = _near_pairs(peaks.frame, int(GAP_MOST / stretch) + 1)
    gap = np.rint((peaks.frame[second] - peaks.frame[first]) * stretch).astype(np.int32)
    step = peaks.bin[second].astype(np.int32) - peaks.bin[first]
    low = peaks.bin[first].astype(np.int32) + shift
    good = (gap >= GAP_LEAST) & (gap <= GAP_MOST) & (np.abs(step) <= STEP_MOST)
    good &= (low >= 0) & (low < BINS) & (low + step >= 0) & (low + step < BINS)
    first, second, gap, step, low = first[good], second[good], gap[good], step[good], low[good]
    strength = np.minimum(peaks.strength[first], peaks.strength[second])
    kept = _strongest(peaks.frame[first] // FRAMES_PER_SECOND, strength, per_second)
    code = (low * _STEPS + step + STEP_MOST) * _GAPS + gap - GAP_LEAST
    return Pairs(code[kept].astype(np.int32), peaks.frame[first[kept]])


def _near_pairs(frame: NDArray[np.int32], reach: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices (i, j > i) of all peaks that are at most `reach` frames apart."""
    ends = np.searchsorted(frame, frame + reach, side="right")
    starts = np.arange(1, len(frame) + 1)
    counts = np.maximum(ends - starts, 0)
    first = np.repeat(np.arange(len(frame)), counts)
    within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    return first, starts[first] + within


def _strongest(group: NDArray[np.integer], strength: NDArray[np.uint8], most: int) -> NDArray[np.int64]:
    """Indices of the `most` strongest of each group, by group and strength. Ties go to the earlier one."""
    order = np.lexsort((-strength.astype(np.int16), group))
    ordered = group[order]
    rank = np.arange(len(order)) - np.searchsorted(ordered, ordered, side="left")
    return np.asarray(order[rank < most])
