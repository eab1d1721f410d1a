"""Finds where a pattern lies in audio, at which pitch and speed, and reads the soft bits there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

import numpy as np

from workers.marks import spectrum
from workers.marks.pattern import Pattern, evidence, fold
from workers.marks.spectrum import HOP, PERIOD, RATE, SECOND, SLOT, WINDOW, Floats

Search = Literal["plain", "full"]

_CHUNK = 36 * RATE  # samples analysed at once: bounds the working memory
_CHUNK_STEP = 24 * RATE  # chunks overlap by the longest inner window
_WINDOWS = (3, 6, 12)  # seconds: a clip inside a longer file is found by the window that fits it best
_KEEP_WHOLE = 8  # readings kept of a whole chunk: of 1, 4 and 8 the prototype traced most with 8
_KEEP_INNER = 16  # readings kept of all inner windows of a chunk together
_PHASE_SECONDS = HOP / RATE

# The search line: speed (pitch and time together), tempo (time alone) and pitch alone. A mark is found within
# about half a step; +-12 % covers the +-10 % that is promised. Source: prototype, off-grid checks.
_SPAN, _STEP = 24, 0.005
_PITCH_SPAN, _PITCH_STEPS_PER_OCTAVE = 8, 48  # +-2 semitones by quarters


@dataclass(frozen=True)
class Reading:
    """Soft bits under one assumption about how the audio was changed; no evidence before it meets tags."""

    bits: Floats  # (128,) soft bits: the sign is the bit, unit noise
    pilot: float  # match of the pilot; about 5 times that of a bit when there is a mark
    metric: float  # how much it looks like a mark, whatever its bits
    pitch_scale: float  # 1.02: two per cent higher than when it was marked
    time_scale: float  # 1.02: two per cent longer
    offset: float  # seconds from `start` to the first start of a pattern
    start: float  # the part of the query that was read, in seconds
    end: float
    epoch: int | None = None  # of the key that read it, when a key ring did


def hypotheses(search: Search) -> list[tuple[float, float]]:
    """The (pitch scale, time scale) pairs that a search tries, sorted: 1 for plain, 113 for full."""
    found = {(1.0, 1.0)}
    if search == "full":
        scales = [1 + _STEP * k for k in range(-_SPAN, _SPAN + 1) if k]
        found |= {(s, 1 / s) for s in scales} | {(1.0, 1 / s) for s in scales}
        found |= {(2 ** (k / _PITCH_STEPS_PER_OCTAVE), 1.0) for k in range(-_PITCH_SPAN, _PITCH_SPAN + 1)}
    return sorted(found)


def read(pattern: Pattern, audio: Floats, search: Search) -> list[Reading]:
    """The most mark-like readings of 16 kHz audio, best first; any length, in bounded memory."""
    found: list[Reading] = []
    for start in range(0, max(len(audio) - (_CHUNK - _CHUNK_STEP), 1), _CHUNK_STEP):
        chunk = audio[start : start + _CHUNK]
        found += [_moved(reading, start / RATE) for reading in _read_chunk(pattern, chunk, search)]
    return sorted(found, key=lambda reading: -reading.metric)


def _moved(reading: Reading, seconds: float) -> Reading:
    return replace(reading, start=reading.start + seconds, end=reading.end + seconds)


def _read_chunk(pattern: Pattern, audio: Floats, search: Search) -> list[Reading]:
    power = spectrum.power(spectrum.stft(np.pad(spectrum.levelled(audio), WINDOW)))
    whole: list[Reading] = []
    inner: list[Reading] = []
    for pitch, line in groupby(hypotheses(search), key=lambda pair: pair[0]):
        energies = spectrum.band_energies(power, pitch)
        for _, time_scale in line:
            statistics = spectrum.statistic(spectrum.cells(energies, SLOT, time_scale))
            whole = _best(whole + _at(pattern, statistics, None, pitch, time_scale), _KEEP_WHOLE)
            for seconds in _WINDOWS:
                if statistics.shape[1] > seconds * SECOND * 1.5:
                    inner = _best(inner + _at(pattern, statistics, seconds, pitch, time_scale), _KEEP_INNER)
    whole_seconds = len(audio) / RATE
    return [replace(r, start=max(r.start, 0.0), end=min(r.end, whole_seconds)) for r in whole + inner]


def _best(readings: Sequence[Reading], keep: int) -> list[Reading]:
    return sorted(readings, key=lambda reading: -reading.metric)[:keep]


def _at(pattern: Pattern, statistics: Floats, seconds: int | None, pitch: float, time_scale: float) -> list[Reading]:
    """The best readings of windows of `seconds` (None: one of all) over statistics (phases, slots, BANDS)."""
    keep = _KEEP_INNER if seconds else _KEEP_WHOLE
    slot_seconds = SLOT * time_scale * _PHASE_SECONDS
    found: list[tuple[float, int, int, int, Floats]] = []
    for first, length, folded in _windows(statistics, seconds):
        matches = pattern.correlate_everywhere(folded)
        metric = evidence(matches)
        for flat in np.argpartition(metric, -keep, axis=None)[-keep:]:
            phase, slot = np.unravel_index(int(flat), metric.shape)
            found.append((float(metric[phase, slot]), first, length, int(phase * PERIOD + slot), matches[phase, slot]))
    found.sort(key=lambda item: -item[0])
    return [
        Reading(
            bits=match[1:].copy(),
            pilot=float(match[0]),
            metric=metric,
            pitch_scale=pitch,
            time_scale=time_scale,
            offset=(where % PERIOD) * slot_seconds + (where // PERIOD) * _PHASE_SECONDS,
            start=first * slot_seconds,
            end=(first + length) * slot_seconds,
        )
        for metric, first, length, where, match in found[:keep]
    ]


def _windows(statistics: Floats, seconds: int | None) -> Iterator[tuple[int, int, Floats]]:
    """(first slot, slots, folded (phases, PERIOD, BANDS)) of each window; windows start a third apart."""
    slots = statistics.shape[1]
    if seconds is None:
        yield 0, slots, fold(statistics)
        return
    last = max(slots // SECOND - seconds, 0)
    for first in sorted({*range(0, last, seconds // 3), last}):
        yield first * SECOND, seconds * SECOND, fold(statistics[:, first * SECOND : (first + seconds) * SECOND])
