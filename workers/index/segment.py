"""One immutable file of the index: the pairs of some clips, sorted by code.

Little endian: a header of 64 bytes (magic, version, counts, checksum of the header), the items (number, first frame),
a directory (where each group of codes begins), and the postings: 8 bytes each, code * 2^40 + item * 2^16 + frame.
A clip longer than 2^16 frames is several items. Files are written to the side, synced and renamed.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workers.marks.landmarks import CODES

MAGIC = b"VOUCHIDX"
VERSION = 1
MOST_POSTINGS = 1 << 25
"""No segment grows beyond: 256 MiB, which can be merged in memory."""
PART = 1 << 16
MOST_ITEMS = 1 << 24
ITEM = np.dtype([("number", "<u8"), ("first", "<u4"), ("spare", "<u4")])
_HEADER = struct.Struct("<8sIIQQQI")  # magic, version, shift of the directory, items, groups, postings, body's CRC-32
_HEADER_SIZE = 64
_CRC = struct.Struct("<I")
_CODE, _ITEM = np.uint64(40), np.uint64(16)
_DENSE = 8  # postings per group of the directory, at least, unless every code has its own

Items = NDArray[np.void]
Postings = NDArray[np.uint64]


class Damaged(ValueError):
    """This file is no whole segment of this version."""


def postings_of(number: int, code: NDArray[np.int32], frame: NDArray[np.int32], item: int) -> tuple[Items, Postings]:
    """Items (from `item` on) and unsorted postings of one clip."""
    parts = int(frame.max()) // PART + 1 if len(frame) else 1
    items = np.zeros(parts, ITEM)
    items["number"], items["first"] = number, np.arange(parts) * PART
    of = frame.astype(np.uint64) // np.uint64(PART) + np.uint64(item)
    packed = (code.astype(np.uint64) << _CODE) | (of << _ITEM) | (frame.astype(np.uint64) % np.uint64(PART))
    return items, packed


def write(path: Path, items: Items, postings: Postings) -> None:
    """Write a segment; there is the whole file or none. `postings` are sorted."""
    shift = _shift(len(postings))
    groups = (CODES >> shift) + 1
    bounds = np.arange(groups + 1, dtype=np.uint64) << np.uint64(shift)
    directory = np.searchsorted(postings, bounds << _CODE).astype("<u4")
    parts = [np.ascontiguousarray(part).view(np.uint8).reshape(-1) for part in (items, directory, postings)]
    checksum = 0
    for part in parts:
        checksum = zlib.crc32(part.data, checksum)
    header = _HEADER.pack(MAGIC, VERSION, shift, len(items), groups, len(postings), checksum)
    header = header.ljust(_HEADER_SIZE - _CRC.size, b"\0")
    write_whole(path, [header, _CRC.pack(zlib.crc32(header)), *(part.data for part in parts)])


def write_whole(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write a file so that after a crash there is the whole of it or none, also of its name."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            aside.unlink()
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the folder's names on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _shift(postings: int) -> int:
    shift = 0
    while (CODES >> shift) * _DENSE > max(postings, 64) and shift < 16:
        shift += 1
    return shift


class Segment:
    """A segment, mapped for reading. The file may be deleted while it is open."""

    def __init__(self, path: Path) -> None:
        """Raises Damaged (also for a file that is cut short), FileNotFoundError."""
        self.path = path
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            header = file.read(_HEADER_SIZE)
            if len(header) < _HEADER_SIZE:
                raise Damaged(f"{path.name} is cut short.")
            magic, version, shift, items, groups, postings, self._checksum = _HEADER.unpack_from(header)
            sound = zlib.crc32(header[: -_CRC.size]) == _CRC.unpack(header[-_CRC.size :])[0]
            if magic != MAGIC or version != VERSION or not sound:
                raise Damaged(f"{path.name} is no segment of version {VERSION}.")
            if size != _HEADER_SIZE + items * ITEM.itemsize + (groups + 1) * 4 + postings * 8:
                raise Damaged(f"{path.name} has the wrong length.")
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._map.madvise(mmap.MADV_RANDOM)  # else each look reads its neighbourhood into memory
        self._shift, at = shift, _HEADER_SIZE
        self.items: Items = np.frombuffer(self._map, ITEM, items, at)
        at += items * ITEM.itemsize
        self._directory = np.frombuffer(self._map, "<u4", groups + 1, at)
        self.postings: Postings = np.frombuffer(self._map, "<u8", postings, at + (groups + 1) * 4)

    def check(self) -> None:
        """Read everything and compare checksums. Raises Damaged."""
        if zlib.crc32(memoryview(self._map)[_HEADER_SIZE:]) != self._checksum:
            raise Damaged(f"{self.path.name} has been changed.")

    def find(
        self, codes: NDArray[np.int64], most: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Postings with these codes: (index of the code, item, frame within the item).

        All of them, or those of the rarest codes, that have about `most` together.
        """
        group = codes >> self._shift
        low = self._directory[group].astype(np.int64)
        counts = np.maximum(self._directory[group + 1].astype(np.int64) - low, 0)
        if most is not None and int(counts.sum()) > most:
            order = np.argsort(counts, kind="stable")
            counts[order[np.cumsum(counts[order]) > most]] = 0
        which = np.repeat(np.arange(len(codes)), counts)
        at = np.arange(len(which)) + np.repeat(low - (np.cumsum(counts) - counts), counts)
        found = self.postings[at]
        if self._shift:
            same = (found >> _CODE).astype(np.int64) == codes[which]
            which, found = which[same], found[same]
        item = ((found >> _ITEM) & np.uint64(MOST_ITEMS - 1)).astype(np.int64)
        return which, item, (found & np.uint64(PART - 1)).astype(np.int64)

    def prefetch(self) -> None:
        """Have the system read the whole file, in one go, as far as it does not have it in memory."""
        with contextlib.suppress(ValueError, OSError):
            self._map.madvise(mmap.MADV_WILLNEED)

    def release(self) -> None:
        """Let go of the pages that were read: they stay in the system's cache, not in this process."""
        with contextlib.suppress(ValueError, OSError):
            self._map.madvise(mmap.MADV_DONTNEED)


def merged(segments: Sequence[Segment], alive: NDArray[np.bool_] | None = None) -> tuple[Items, Postings]:
    """Items and sorted postings of several segments as one; `alive` tells which items (in this order) are kept."""
    items = np.concatenate([segment.items for segment in segments])
    keep = np.ones(len(items), np.bool_) if alive is None else alive
    place = np.cumsum(keep) - 1
    total = sum(len(segment.postings) for segment in segments)
    postings, filled, first = np.empty(total, np.uint64), 0, 0
    for segment in segments:
        for piece in _pieces(segment.postings):
            item = ((piece >> _ITEM) & np.uint64(MOST_ITEMS - 1)).astype(np.int64) + first
            kept = keep[item]
            piece, item = piece[kept], place[item[kept]].astype(np.uint64)
            rest = (piece & ~(np.uint64(MOST_ITEMS - 1) << _ITEM)) | (item << _ITEM)
            postings[filled : filled + len(rest)] = rest
            filled += len(rest)
        first += len(segment.items)
    postings = postings[:filled]
    postings.sort()
    return items[keep], postings


def _pieces(postings: Postings, size: int = 1 << 22) -> Iterator[Postings]:
    for start in range(0, len(postings), size):
        yield postings[start : start + size]
