"""The keyed mark: 16 bytes in the fine structure of a voice, read back from what is left of a copy.

Spread spectrum in log band energies from 300 Hz to 6.8 kHz: every bit of the tag raises and lowers all cells
of a secret pattern, by a few tenths of a decibel each, so any cut of a second or more holds the whole tag, and a
telephone leaves enough of it. The embedder knows the voice and evens out the margins of the bits. A pilot gives the
reader the alignment.

A reading alone means nothing; `matching.nearest` compares readings with the tags that were issued.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import soxr

from workers.marks import detect
from workers.marks.detect import Reading, Search
from workers.marks.pattern import Pattern
from workers.marks.spectrum import RATE, Floats
from workers.marks.stream import STRENGTH_DB as STRENGTH_DB  # the default strength, for those who embed
from workers.marks.stream import MarkStream, checked_audio


class Watermark:
    """Embeds and reads marks under one secret key of at least 16 random bytes.

    Safe to share between threads.
    """

    def __init__(self, key: bytes) -> None:
        self.pattern = Pattern(key)

    def embed(self, pcm: Floats, sample_rate: int, tag: bytes, strength_db: float = STRENGTH_DB) -> Floats:
        """The audio with the mark of `tag` (16 bytes): same length and rate, float32 mono; see `MarkStream`."""
        stream = MarkStream(self, sample_rate, tag, strength_db)
        return np.concatenate([stream.push(pcm), stream.finish()])

    def read(self, pcm: Floats, sample_rate: int, search: Search = "plain") -> list[Reading]:
        """The most mark-like readings, best first; empty for audio of less than a fifth of a second.

        "plain" finds copies at the original pitch and speed; "full" also those within 12 % of speed or tempo
        and 2 semitones of pitch, at many times the cost. Any length: long audio is read in overlapping
        chunks and windows, so a clip inside a longer file is found, and its reading says where. Raises
        ValueError as `embed` does.
        """
        working = _resampled(checked_audio(pcm, sample_rate), sample_rate, RATE)
        return detect.read(self.pattern, working, search) if len(working) >= RATE // 5 else []


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

    def under(self, epoch: int) -> Watermark:
        """The mark of an epoch: a clip gets that of its ledger row, even if a new one began since."""
        return self._marks[epoch]

    def read(self, pcm: Floats, sample_rate: int, search: Search = "plain") -> list[Reading]:
        """Readings under every key, each with its epoch, best first."""
        found = [
            replace(reading, epoch=epoch)
            for epoch, mark in self._marks.items()
            for reading in mark.read(pcm, sample_rate, search)
        ]
        return sorted(found, key=lambda reading: -reading.metric)


def _resampled(audio: Floats, source: int, target: int) -> Floats:
    if source == target or not len(audio):
        return audio
    return np.asarray(soxr.resample(audio, source, target), dtype=np.float32)
