"""What a mark adds to a piece of audio: gains of cells, fitted to the voice so that all bits come out alike."""

from __future__ import annotations

import numpy as np

from workers.marks import detector, spectrum
from workers.marks.pattern import BITS, PILOT, Pattern
from workers.marks.spectrum import BANDS, HOP, SLOT, WINDOW, Floats, Spectrum

_ITERATIONS = 2  # of evening out the bits; 4 gave the same at twice the cost
_STEP = 0.5
_CUT, _BOOST = 2.0, 1.4  # most that a cell is lowered and raised, in strengths; a boost of 2 sounded and read alike


def change(pattern: Pattern, audio: Floats, bits: Floats, start: int, strength_db: float) -> Floats:
    """What to add to `audio` (16 kHz), same length, so that it carries `bits` (129 signs, the pilot's first).

    The first WINDOW samples of `audio` are of the piece before: the change may begin in them, and the rest is whole
    slots. `start` is the slot of the pattern at which the piece begins; `strength_db` the rms of the cells' gains.
    """
    level = float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))
    if level < 1e-7:
        return np.zeros_like(audio)
    audio = spectrum.levelled(audio)
    frames = (len(audio) - WINDOW) // HOP
    spectra = spectrum.stft(audio)[:frames]
    energies = spectrum.cells(spectrum.band_energies(spectrum.power(spectra)))[0]
    allowed = spectrum.reliability(energies[None])[0] if len(energies) else energies
    if not np.any(allowed):
        return np.zeros_like(audio)
    chips = pattern.over(len(energies), start)
    amplitude = np.ones(BITS + 1, np.float32)
    amplitude[0] = PILOT
    strengths = amplitude.copy()
    for last in [False] * _ITERATIONS + [True]:
        gains, scale = _gains(allowed, np.asarray((strengths * bits) @ chips), strength_db)
        strengths *= np.float32(scale)
        added = audio_of(spectra, gains, len(audio))
        if last:
            break
        margins = bits * _matches(chips, audio + added, frames) / amplitude
        mean = float(margins.mean())
        correction = _STEP * strengths[1:].mean() * amplitude * (mean - margins) / max(mean, 0.2)
        strengths = np.maximum(strengths + correction, 0).astype(np.float32)
    return added * np.float32(level / spectrum.LEVEL)


def _matches(chips: Floats, marked: Floats, frames: int) -> Floats:
    """Normalised match of pilot and bits, (129,), as the reader will see it."""
    energies = spectrum.band_energies(spectrum.power(spectrum.stft(marked)[:frames]))
    seen = _evidence(energies).ravel()
    return np.asarray(chips @ seen / np.sqrt(seen @ seen + 1e-9), dtype=np.float32)


def _evidence(energies: Floats) -> Floats:
    """What the reader sees in the slots of the piece, (slots, BANDS)."""
    return detector.evidence(energies, alignments=1)


def _gains(allowed: Floats, wanted: Floats, strength_db: float) -> tuple[Floats, float]:
    """Gains in dB (slots, BANDS) of the given weighted rms, within limits, and their scale."""
    gains = allowed * _PROFILE * wanted.reshape(allowed.shape)
    total, scale = float(allowed.sum()) + 1e-9, 1.0
    lowest, highest = -_CUT * strength_db, _BOOST * strength_db
    for _ in range(8):  # clipping takes energy away, so the scale is approached in steps
        clipped = np.clip(gains * scale, lowest, highest)
        scale *= strength_db / float(np.sqrt(np.sum(allowed * clipped**2) / total + 1e-12))
    return np.clip(gains * scale, lowest, highest).astype(np.float32), scale


def audio_of(spectra: Spectrum, gains: Floats, length: int) -> Floats:
    """The audio that these gains add, `length` samples."""
    lifted = np.float32(10) ** (gains / np.float32(20)) - 1
    factors = np.zeros(spectra.shape, np.float32)
    factors[: len(gains) * SLOT, _MARKED_BINS] = np.repeat(lifted[:, _BAND_OF_BIN], SLOT, axis=0)
    added = spectrum.overlap_add(spectra * factors)
    return np.pad(added, (0, max(length - len(added), 0)))[:length]


# Gentler where single harmonics are resolved: that sounds better and is as robust.
_PROFILE = np.interp(np.log(spectrum.CENTRES), np.log([600.0, 1200.0]), [0.5, 1.0]).astype(np.float32)
_bins = np.searchsorted(spectrum.EDGES, np.arange(WINDOW // 2 + 1) * spectrum.BIN_HZ, side="right") - 1
_MARKED_BINS = np.flatnonzero((_bins >= 0) & (_bins < BANDS))
_BAND_OF_BIN = _bins[_MARKED_BINS]
