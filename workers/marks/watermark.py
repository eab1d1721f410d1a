"""The keyed mark: 16 bytes in the fine structure of a voice, read back from what is left of a copy.

Spread spectrum in log band energies from 300 Hz to 6.8 kHz: every bit of the tag raises and lowers all cells
of a secret pattern that repeats each second, by a few tenths of a decibel each, so any cut holds the whole
tag, and a telephone leaves enough of it. The embedder knows the voice and evens out the margins of the bits.
A pilot gives the reader the alignment.

A reading alone means nothing; `matching.nearest` compares readings with the tags that were issued.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import soxr

from workers.marks import detect, spectrum
from workers.marks.detect import Reading, Search
from workers.marks.pattern import BITS, PILOT, TAG_BYTES, Pattern, fold, signs
from workers.marks.spectrum import BANDS, HOP, PERIOD_SAMPLES, RATE, SLOT, WINDOW, Floats

LOWEST_RATE, HIGHEST_RATE = 8_000, 48_000
STRENGTH_DB = 3.0
_ITERATIONS = 4  # of evening out the bits; more did not help
_STEP = 0.5
_SEGMENT = 6 * PERIOD_SAMPLES  # samples embedded as one piece: a cut of five seconds holds most of one piece


class Watermark:
    """Embeds and reads marks under one secret key of at least 16 random bytes.

    Safe to share between threads.
    """

    def __init__(self, key: bytes) -> None:
        self._pattern = Pattern(key)

    def embed(self, pcm: Floats, sample_rate: int, tag: bytes, strength_db: float = STRENGTH_DB) -> Floats:
        """The audio with the mark of `tag` (16 bytes): same length and rate, float32 mono.

        `sample_rate` is 8000 to 48000; what lies above 7 kHz stays as it was. `strength_db` is the rms of the
        cells' gains, 0 < strength_db <= 6. If a peak would pass 1.0, the whole clip is turned down by that
        much. Silence stays unmarked. Raises ValueError for anything that isn't finite mono audio of a rate in
        range, or for a tag of another length.
        """
        pcm = checked_audio(pcm, sample_rate)
        if len(tag) != TAG_BYTES:
            raise ValueError(f"A tag has {TAG_BYTES} bytes; this one has {len(tag)}.")
        if not 0 < strength_db <= 6:
            raise ValueError(f"The strength is above 0 and at most 6 dB, not {strength_db}.")
        working = _resampled(pcm, sample_rate, RATE)
        padded = np.pad(working, (WINDOW, 2 * WINDOW))
        change = np.zeros_like(padded)
        start = self._pattern.start(tag)
        bits = np.concatenate([np.ones(1, np.float32), signs(tag)])
        for begin, end in _segments(len(working)):
            piece = self._change(padded[begin : end + 2 * WINDOW], bits, start, strength_db)
            change[begin : begin + len(piece)] += piece
        change = change[WINDOW : WINDOW + len(working)]
        marked = pcm + _fitted(_resampled(change, RATE, sample_rate), len(pcm))
        peak = float(np.max(np.abs(marked), initial=0.0))
        return marked / np.float32(peak * (1 + 1e-6)) if peak > 1 else marked

    def read(self, pcm: Floats, sample_rate: int, search: Search = "plain") -> list[Reading]:
        """The most mark-like readings, best first; empty for audio of less than a fifth of a second.

        "plain" finds copies at the original pitch and speed; "full" also those within 12 % of speed or tempo
        and 2 semitones of pitch, at many times the cost. Any length: long audio is read in overlapping
        chunks and windows, so a clip inside a longer file is found, and its reading says where. Raises
        ValueError as `embed` does.
        """
        working = _resampled(checked_audio(pcm, sample_rate), sample_rate, RATE)
        return detect.read(self._pattern, working, search) if len(working) >= RATE // 5 else []

    def _change(self, audio: Floats, bits: Floats, start: int, strength_db: float) -> Floats:
        """What to add to a piece of audio, given with WINDOW samples of its surroundings on both sides."""
        level = float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))
        if level < 1e-7:
            return np.zeros_like(audio)
        audio = spectrum.levelled(audio)
        frames = (len(audio) - 2 * WINDOW) // HOP
        spectra = spectrum.stft(audio)[:frames]
        energies = spectrum.cells(spectrum.band_energies(spectrum.power(spectra)))[0]
        slots = len(energies)
        allowed = spectrum.reliability(energies[None])[0] if slots else energies
        if not np.any(allowed):
            return np.zeros_like(audio)
        amplitude = np.ones(BITS + 1, np.float32)
        amplitude[0] = PILOT
        strengths = amplitude.copy()
        chips = self._pattern.over(slots, start)
        change = np.zeros(0, np.float32)
        for last in [False] * _ITERATIONS + [True]:
            gains, scale = _gains(allowed, np.asarray((strengths * bits) @ chips), strength_db)
            strengths *= np.float32(scale)
            change = spectrum.overlap_add(spectra * _factors(gains, frames))
            change = np.pad(change, (0, max(len(audio) - len(change), 0)))[: len(audio)]
            if last:
                break
            marked = spectrum.band_energies(spectrum.power(spectrum.stft(audio + change)[:frames]))
            evidence = spectrum.statistic(spectrum.cells(marked))[0]
            margins = bits * self._pattern.correlate(fold(evidence), start) / amplitude
            mean = float(margins.mean())
            correction = _STEP * strengths[1:].mean() * amplitude * (mean - margins) / max(mean, 0.2)
            strengths = np.maximum(strengths + correction, 0).astype(np.float32)
        return change * np.float32(level / spectrum.LEVEL)


class KeyRing:
    """Keys by epoch. New clips are marked under the latest epoch; old ones stay readable."""

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        if not keys:
            raise ValueError("A key ring needs at least one watermark key.")
        self._marks = {epoch: Watermark(key) for epoch, key in sorted(keys.items(), reverse=True)}

    @property
    def current_epoch(self) -> int:
        """The latest epoch; a generation's ledger row stores it."""
        return next(iter(self._marks))

    @property
    def current(self) -> Watermark:
        """The mark that new clips get."""
        return self._marks[self.current_epoch]

    def read(self, pcm: Floats, sample_rate: int, search: Search = "plain") -> list[Reading]:
        """Readings under every key, each with its epoch, best first."""
        found = [
            replace(reading, epoch=epoch)
            for epoch, mark in self._marks.items()
            for reading in mark.read(pcm, sample_rate, search)
        ]
        return sorted(found, key=lambda reading: -reading.metric)


def checked_audio(pcm: Floats, sample_rate: int) -> Floats:
    """The audio as float32, or a ValueError that says what is wrong with it."""
    if not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
        raise ValueError(f"The sample rate must be {LOWEST_RATE} to {HIGHEST_RATE} Hz, not {sample_rate}.")
    if pcm.ndim != 1 or not np.issubdtype(pcm.dtype, np.floating):
        raise ValueError(f"Audio must be mono floating point samples, not {pcm.dtype} of shape {pcm.shape}.")
    if not np.all(np.isfinite(pcm)):
        raise ValueError("The audio has samples that are not finite numbers.")
    return pcm.astype(np.float32, copy=False)


def _gains(allowed: Floats, wanted: Floats, strength_db: float) -> tuple[Floats, float]:
    """Gains in dB (slots, BANDS) of the given weighted rms, none above twice it, and their scale."""
    gains = allowed * _PROFILE * wanted.reshape(allowed.shape)
    total, scale, limit = float(allowed.sum()) + 1e-9, 1.0, 2 * strength_db
    for _ in range(8):  # clipping takes energy away, so the scale is approached in steps
        clipped = np.clip(gains * scale, -limit, limit)
        scale *= strength_db / float(np.sqrt(np.sum(allowed * clipped**2) / total + 1e-12))
    return np.clip(gains * scale, -limit, limit).astype(np.float32), scale


def _factors(gains: Floats, frames: int) -> Floats:
    """Factor - 1 of every spectral bin in every frame, (frames, 257)."""
    factors = np.zeros((frames, WINDOW // 2 + 1), np.float32)
    lifted = np.float32(10) ** (gains / np.float32(20)) - 1
    factors[: len(gains) * SLOT, _MARKED_BINS] = np.repeat(lifted[:, _BAND_OF_BIN], SLOT, axis=0)
    return factors


def _segments(length: int) -> Iterator[tuple[int, int]]:
    """(begin, end) of pieces of about six seconds, whole periods; the last one runs out past the end."""
    count = max(round(length / _SEGMENT), 1)
    bounds = [round(k * length / count / PERIOD_SAMPLES) * PERIOD_SAMPLES for k in range(count)]
    yield from zip(bounds, [*bounds[1:], length + WINDOW], strict=True)


def _resampled(audio: Floats, source: int, target: int) -> Floats:
    if source == target or not len(audio):
        return audio
    return np.asarray(soxr.resample(audio, source, target), dtype=np.float32)


def _fitted(audio: Floats, length: int) -> Floats:
    return np.pad(audio, (0, max(length - len(audio), 0)))[:length]


# Gentler where single harmonics are resolved: that sounds better and is as robust.
_PROFILE = np.interp(np.log(spectrum.CENTRES), np.log([600.0, 1200.0]), [0.5, 1.0]).astype(np.float32)
_bins = np.searchsorted(spectrum.EDGES, np.arange(WINDOW // 2 + 1) * spectrum.BIN_HZ, side="right") - 1
_MARKED_BINS = np.flatnonzero((_bins >= 0) & (_bins < BANDS))
_BAND_OF_BIN = _bins[_MARKED_BINS]
