"""Finds where a pattern lies in audio, at which pitch and speed, and reads the soft bits there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from workers.marks import spectrum
from workers.marks.pattern import Pattern, evidence, fold
from workers.marks.search import Search, hypotheses, promising, statistics, windows
from workers.marks.spectrum import HOP, PERIOD, RATE, SLOT, WINDOW, Floats

__all__ = ["Reading", "Search", "read"]

_CHUNK = 36 * RATE  # samples analysed at once: bounds the working memory
_CHUNK_STEP = 24 * RATE  # chunks overlap by the longest inner window
_KEEP_WHOLE = 8  # readings kept of a whole chunk: of 1, 4 and 8 the prototype traced most with 8
_KEEP_INNER = 16  # readings kept of all inner windows of a chunk together
_PHASE_SECONDS = HOP / RATE


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
    for pitch, time_scale in promising(pattern, power) if search == "full" else hypotheses(search):
        evidences = statistics(power, pitch, time_scale)
        for first, length in windows(evidences.shape[1]):
            found = _at(pattern, evidences[:, first : first + length], first, pitch, time_scale)
            if length == evidences.shape[1]:
                whole = _best(whole + found, _KEEP_WHOLE)
            else:
                inner = _best(inner + found, _KEEP_INNER)
    seconds = len(audio) / RATE
    return [replace(r, start=max(r.start, 0.0), end=min(r.end, seconds)) for r in whole + inner]


def _best(readings: Sequence[Reading], keep: int) -> list[Reading]:
    return sorted(readings, key=lambda reading: -reading.metric)[:keep]


def _at(pattern: Pattern, evidences: Floats, first: int, pitch: float, time_scale: float) -> list[Reading]:
    """The best readings of one window of evidence (alignments, slots, BANDS) that begins at slot `first`."""
    slot_seconds = SLOT * time_scale * _PHASE_SECONDS
    matches = pattern.correlate_everywhere(fold(evidences))
    metric = evidence(matches)
    found = []
    for flat in np.argpartition(metric, -_KEEP_INNER, axis=None)[-_KEEP_INNER:]:
        phase, slot = divmod(int(flat), PERIOD)
        found.append(
            Reading(
                bits=matches[phase, slot, 1:].copy(),
                pilot=float(matches[phase, slot, 0]),
                metric=float(metric[phase, slot]),
                pitch_scale=pitch,
                time_scale=time_scale,
                offset=slot * slot_seconds + phase * _PHASE_SECONDS * time_scale,
                start=first * slot_seconds,
                end=(first + evidences.shape[1]) * slot_seconds,
            )
        )
    return found
