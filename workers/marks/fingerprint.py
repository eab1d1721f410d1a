"""Fingerprints: what a finished clip sounds like, in 200 bytes a second, and the query that is compared to them.

A fingerprint holds the clip's strongest spectral peaks, from which the index takes its pairs, and a sketch of the
whole clip, with which a candidate is checked. Neither can be turned back into words that somebody would understand.

Layout of version 1, little endian: version (1 byte), frames (4), number of entries (4), then three arrays of one byte
per entry (frames since the entry before, bin, strength), then the sketch, 4 bytes per slot. An entry with bin 255 is
no peak: it only bridges a long silence.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from workers.marks import landmarks, sketch
from workers.marks.landmarks import BINS, FRAMES_PER_SECOND, Floats, Pairs, Peaks

VERSION = 1
QUERY_SECONDS = 600.0
"""The longest piece that can be a query; longer audio is asked for in pieces."""
_HEADER = struct.Struct("<BII")
_BRIDGE, _FARTHEST = 255, 255
_LONGEST = 1 << 24  # frames: 46 hours


class BadFingerprint(ValueError):
    """These bytes are no fingerprint of a version that this program reads."""


@dataclass(frozen=True)
class Fingerprint:
    """A stored fingerprint, read: `peaks`, and `sketch` (slots, 4) in bytes; `frames` of 10 ms."""

    frames: int
    peaks: Peaks
    sketch: NDArray[np.uint8]

    @property
    def seconds(self) -> float:
        """How long the clip is."""
        return self.frames / FRAMES_PER_SECOND

    @cached_property
    def pairs(self) -> Pairs:
        """What stands in the index."""
        return landmarks.pair(self.peaks, landmarks.STORED_PAIRS)


def make(pcm: Floats, rate: int) -> bytes:
    """The fingerprint of a mono clip (float32, +-1 is full scale) at any rate from 8 kHz.

    Works for any length in bounded memory. Silence gives a fingerprint without peaks, which matches nothing.
    """
    _check(rate)
    peaks: list[Peaks] = []
    bits: list[NDArray[np.uint8]] = []
    frames = 0
    for power in landmarks.blocks(pcm, rate):
        peaks.append(landmarks.find_peaks(power, landmarks.STORED_PEAKS, frames))
        slots = -(-(frames + len(power)) // sketch.SLOT) - _rows(bits)
        # A block that does not end with a slot gives its last slot from what it has.
        first = _rows(bits) * sketch.SLOT - frames
        bits.append(sketch.bits(sketch.Bands(power).slots(first, sketch.SLOT, slots)))
        frames += len(power)
    whole = np.concatenate(bits) if bits else np.zeros((0, 4), np.uint8)
    entries = _entries(peaks)
    return b"".join(
        [_HEADER.pack(VERSION, frames, entries.shape[1]), entries.tobytes(), np.ascontiguousarray(whole).tobytes()]
    )


def _rows(parts: list[NDArray[np.uint8]]) -> int:
    """How many rows these arrays have together."""
    return sum(len(part) for part in parts)


def _entries(blocks: list[Peaks]) -> NDArray[np.uint8]:
    """Rows: frames since the entry before, bin, strength."""
    if not blocks:
        return np.zeros((3, 0), np.uint8)
    frame = np.concatenate([each.frame for each in blocks]).astype(np.int64)
    bins = np.concatenate([each.bin for each in blocks]).astype(np.uint8)
    strength = np.concatenate([each.strength for each in blocks])
    since = np.diff(frame, prepend=0)
    bridges = np.maximum(since - 1, 0) // _FARTHEST  # so many bridges of 255 frames before each peak
    at = np.arange(len(frame)) + np.cumsum(bridges)
    rows = np.zeros((3, int(len(frame) + bridges.sum())), np.uint8)
    rows[0], rows[1] = _FARTHEST, _BRIDGE
    rows[:, at] = np.stack([(since - bridges * _FARTHEST).astype(np.uint8), bins, strength])
    return rows


def parse(data: bytes) -> Fingerprint:
    """Read a fingerprint. Raises BadFingerprint."""
    if len(data) < _HEADER.size or data[0] != VERSION:
        raise BadFingerprint("This is no fingerprint of version 1.")
    _, frames, entries = _HEADER.unpack_from(data)
    slots = -(-frames // sketch.SLOT)
    if frames > _LONGEST or len(data) != _HEADER.size + 3 * entries + 4 * slots:
        raise BadFingerprint("The fingerprint has the wrong length.")
    values = np.frombuffer(data, np.uint8, offset=_HEADER.size)
    rows = values[: 3 * entries].reshape(3, entries)
    frame = np.cumsum(rows[0], dtype=np.int64)
    real = rows[1] < BINS
    if frame.size and int(frame[-1]) >= frames:
        raise BadFingerprint("The fingerprint has peaks beyond its end.")
    peaks = Peaks(frame[real].astype(np.int32), rows[1][real].astype(np.int16), rows[2][real])
    return Fingerprint(frames, peaks, values[3 * entries :].reshape(slots, 4))


class Query:
    """A piece of audio to look for: its peaks, and its spectrogram for checking candidates."""

    def __init__(self, pcm: Floats, rate: int) -> None:
        """Mono float32 at any rate from 8 kHz, at most QUERY_SECONDS long. Raises ValueError."""
        _check(rate)
        if len(pcm) > QUERY_SECONDS * rate:
            raise ValueError(f"A query is at most {QUERY_SECONDS:.0f} seconds long: ask for longer audio in pieces.")
        power = list(landmarks.blocks(pcm, rate))
        whole = np.concatenate(power) if power else np.zeros((0, BINS), np.float32)
        self.seconds = len(pcm) / rate
        self.peaks = landmarks.peaks_of(iter(power), landmarks.QUERY_PEAKS)
        self.bands = sketch.Bands(whole)

    def pairs(self, per_second: int = landmarks.QUERY_PAIRS, shift: int = 0, stretch: float = 1.0) -> Pairs:
        """Its pairs as those of an unchanged copy; see `landmarks.pair`."""
        return landmarks.pair(self.peaks, per_second, shift, stretch)


def _check(rate: int) -> None:
    if rate < landmarks.RATE:
        raise ValueError(f"Fingerprints need audio at {landmarks.RATE} Hz or more, not {rate}.")
