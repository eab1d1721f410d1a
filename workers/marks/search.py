"""Which changes of pitch and time are worth a close look: a cheap search for the pilot over all of them.

The detector runs once for every two per cent of pitch, not for every pair: two per cent are a sixth of a band, and its
evidence is taken at the places where a slot would be under each change of time. Only the pilot is looked for
everywhere; the bits of its best places then decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

from workers.marks import detector, spectrum
from workers.marks.pattern import Pattern, evidence, fold
from workers.marks.spectrum import PERIOD, SECOND, SLOT, Floats

Pair = tuple[float, float]  # pitch scale, time scale
Search = Literal["plain", "full"] | Sequence[Pair]

# The search line: speed (pitch and time together), tempo (time alone) and pitch alone. A mark is found within
# about half a step; +-12 % covers the +-10 % that is promised. Source: prototype, off-grid checks.
_SPAN, _STEP = 24, 0.005
_PITCH_SPAN, _PITCH_STEPS_PER_OCTAVE = 8, 48  # +-2 semitones by quarters
LOWEST_SCALE, HIGHEST_SCALE = 0.5, 2.0  # of pairs that a caller may ask for
MOST_PAIRS = 256

_COARSE_PITCH = 0.02
_PLACES = 6  # of each window under each pair, by the pilot
_CANDIDATES = 1024  # places of a chunk whose bits are looked at
_PROMISING = 4  # pairs that are looked at closely, each with its neighbours half a step away in time
_WINDOWS = (3, 6, 12)  # seconds: a clip inside a longer file is found by the window that fits it best


def hypotheses(search: Search) -> list[Pair]:
    """The (pitch scale, time scale) pairs that a search tries, sorted: 1 for plain, 113 for full, or those given.

    Raises ValueError for too many pairs or scales out of range.
    """
    if search == "plain":
        return [(1.0, 1.0)]
    if search == "full":
        scales = [1 + _STEP * k for k in range(-_SPAN, _SPAN + 1) if k]
        found = {(s, 1 / s) for s in scales} | {(1.0, 1 / s) for s in scales}
        found |= {(2 ** (k / _PITCH_STEPS_PER_OCTAVE), 1.0) for k in range(-_PITCH_SPAN, _PITCH_SPAN + 1)}
        return sorted(found)
    pairs = sorted({(float(pitch), float(time)) for pitch, time in search})
    if len(pairs) > MOST_PAIRS or not all(LOWEST_SCALE <= s <= HIGHEST_SCALE for pair in pairs for s in pair):
        raise ValueError(
            f"A search takes at most {MOST_PAIRS} pairs of scales from {LOWEST_SCALE} to {HIGHEST_SCALE}."
            " Leave out the others, or search for fewer."
        )
    return pairs


def statistics(power: Floats, pitch: float, time_scale: float) -> Floats:
    """Evidence of power spectra (frames, 257) as the audio was before a change: (SLOT alignments, slots, BANDS)."""
    energies = spectrum.band_energies(power, pitch)
    if time_scale != 1:
        places = np.arange(int(len(energies) / time_scale)) * time_scale
        energies = energies[np.minimum(np.round(places).astype(int), len(energies) - 1)]
    return _slots(detector.evidence(energies), 1.0)


def windows(slots: int) -> Iterator[tuple[int, int]]:
    """(first slot, slots) of all, and of the inner windows, which start a third apart."""
    yield 0, slots
    for seconds in _WINDOWS:
        if slots > seconds * SECOND * 1.5:
            last = slots // SECOND - seconds
            for first in sorted({*range(0, last, seconds // 3), last}):
                yield first * SECOND, seconds * SECOND


def promising(pattern: Pattern, power: Floats) -> list[Pair]:
    """The pairs of the full search that a mark seems to be under, and their neighbours in time."""
    pairs = hypotheses("full")
    pool: list[_Place] = []
    for pitch in sorted({_coarse(pair[0]) for pair in pairs}):
        clear = detector.evidence(spectrum.band_energies(power, pitch))
        for pair in pairs:
            if _coarse(pair[0]) == pitch:
                pool += _pilots(pattern, _slots(clear, pair[1]), pair)
        pool = sorted(pool, key=lambda place: -place.pilot)[:_CANDIDATES]
    best: dict[Pair, float] = {}
    for metric, place in zip(_metrics(pattern, pool), pool, strict=True):
        best[place.pair] = max(best.get(place.pair, -np.inf), metric)
    chosen = sorted(best, key=lambda pair: -best[pair])[:_PROMISING]
    return sorted({(pitch, time * (1 + near)) for (pitch, time), near in product(chosen, (-_STEP / 2, 0.0, _STEP / 2))})


def _coarse(pitch: float) -> float:
    return 1 + _COARSE_PITCH * round((pitch - 1) / _COARSE_PITCH)


def _slots(clear: Floats, time_scale: float) -> Floats:
    """Evidence by frames (frames, BANDS) taken where slots would begin: (SLOT, slots, BANDS)."""
    length = SLOT * time_scale
    count = max(int((len(clear) - SLOT) // length), 0)
    places = np.round(np.arange(SLOT)[:, None] + np.arange(count) * length).astype(int)
    return np.asarray(clear[places])


@dataclass(frozen=True)
class _Place:
    """Where the pilot fits."""

    pilot: float
    pair: Pair
    folded: Floats  # (PERIOD, BANDS) of one alignment, shared between places
    slot: int


def _pilots(pattern: Pattern, evidences: Floats, pair: Pair) -> Iterable[_Place]:
    """The best places of the pilot in each window."""
    transform = np.conj(np.fft.rfft(pattern.chips[0], axis=0)).astype(np.complex64)
    for first, length in windows(evidences.shape[1]):
        folded = fold(evidences[:, first : first + length])
        spectra = np.fft.rfft(folded, axis=1).astype(np.complex64)
        matches = np.fft.irfft(np.einsum("pfb,fb->pf", spectra, transform), n=PERIOD, axis=1)
        matches /= np.sqrt(np.sum(folded * folded, axis=(1, 2)) + 1e-9)[:, None]
        for flat in np.argpartition(matches, -_PLACES, axis=None)[-_PLACES:]:
            phase, slot = divmod(int(flat), PERIOD)
            yield _Place(float(matches[phase, slot]), pair, folded[phase], slot)


def _metrics(pattern: Pattern, places: Sequence[_Place]) -> list[float]:
    """How much each place looks like a mark, bits and pilot."""
    chips = pattern.chips.reshape(len(pattern.chips), -1)
    found: list[float] = []
    for begin in range(0, len(places), 128):
        rolled = np.stack([np.roll(each.folded, -each.slot, axis=0).ravel() for each in places[begin : begin + 128]])
        matches = rolled @ chips.T / (np.linalg.norm(rolled, axis=1, keepdims=True) + 1e-6)
        found += evidence(matches).tolist()
    return found
