"""The folder of an index: its list of segments, adding, merging.

    index.json              the segments that count, and up to where the log was read; replaced as a whole
    lock                    held (flock) by the one process that adds or merges
    2026-11/00000017.seg    segments of clips made in that month
    rebuilt/                an index that is being built to replace this one

Readers take no lock: segments never change, and one that a merge replaced stays readable while it is open. What a
crash leaves behind is not on the list, and the next process that adds deletes it.

The entries of a clip whose fingerprint was erased stay until a merge or a rebuild touches their file: numbers and
pairs of peaks, that no longer lead to anything. A search still proposes their number; who asks looks numbers up in the
database, where it is gone. `merge(alive, all_segments=True)` drops them all.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workers.index import segment as segments
from workers.index.lookup import search
from workers.index.segment import MOST_POSTINGS, Damaged, Items, Postings, Segment
from workers.marks.alignment import Candidate
from workers.marks.fingerprint import VERSION as FINGERPRINT_VERSION
from workers.marks.fingerprint import BadFingerprint, Query, parse

LIST, LOCK, BESIDE = "index.json", "lock", "rebuilt"
LIST_VERSION = 1
TIER = 8
"""So many segments of about one size, in one month, become one."""
_BATCH_POSTINGS = 1 << 22  # so many are sorted at once
_MONTH = re.compile(r"\d{4}-\d{2}")
UNDATED = "0000-00"

Alive = Callable[[NDArray[np.uint64]], NDArray[np.bool_]]
"""Which of these numbers still have a fingerprint in the database."""


@dataclass(frozen=True)
class _Listed:
    """What index.json says."""

    read_to: int = 0  # leaves of the log below this position are in the index
    next: int = 1  # name of the next segment
    names: tuple[str, ...] = field(default=())

    def dump(self) -> bytes:
        said = {"version": LIST_VERSION, "fingerprint": FINGERPRINT_VERSION, "read_to": self.read_to}
        text = json.dumps(said | {"next": self.next, "segments": list(self.names)}, sort_keys=True)
        return f"{zlib.crc32(text.encode()):08x} {text}\n".encode()

    @classmethod
    def parse(cls, data: bytes) -> _Listed:
        checksum, _, text = data.decode("utf-8", "replace").strip().partition(" ")
        if checksum != f"{zlib.crc32(text.encode()):08x}":
            raise Damaged(f"{LIST} is damaged.")
        said = json.loads(text)
        if said["version"] != LIST_VERSION or said["fingerprint"] != FINGERPRINT_VERSION:
            raise Damaged(f"{LIST} is of another version.")
        return cls(said["read_to"], said["next"], tuple(said["segments"]))


class Index:
    """Fingerprints by number. Many processes of a machine may search while one adds."""

    def __init__(self, directory: Path) -> None:
        """Opens or makes the index of a folder. One that is damaged is empty, with `read_to` 0, so that the next
        catching up fills it anew.
        """
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._open: dict[str, Segment] = {}
        self._listed = _Listed()
        self._seen: tuple[int, int, int] | None = None
        self.problem: str | None = None
        """Why the folder's content could not be used, when it could not."""
        self.refresh()

    @property
    def read_to(self) -> int:
        """Position in the log up to which clips are in here."""
        return self._listed.read_to

    @property
    def segments(self) -> list[Segment]:
        """The open segments."""
        return [self._open[name] for name in self._listed.names]

    def __len__(self) -> int:
        """How many items are in here: clips, very long ones counted more than once."""
        return sum(len(each.items) for each in self.segments)

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return sum(each.path.stat().st_size for each in self.segments)

    def refresh(self) -> None:
        """See what other processes added."""
        for _ in range(5):
            try:
                self._load()
                return
            except FileNotFoundError as missing:  # a merge took the file between list and opening: the list is new
                self.problem = f"{Path(str(missing.filename)).name} is missing."
            except (Damaged, ValueError, KeyError, TypeError) as damage:
                self.problem = str(damage)
                break
        self._open, self._listed, self._seen = {}, _Listed(), None

    def _load(self) -> None:
        path = self.directory / LIST
        try:
            status = path.stat()
        except FileNotFoundError:
            self._open, self._listed, self._seen, self.problem = {}, _Listed(), None, None
            return
        seen = (status.st_ino, status.st_mtime_ns, status.st_size)
        if seen == self._seen:
            return
        listed = _Listed.parse(path.read_bytes())
        self._open = {name: self._open.get(name) or Segment(self.directory / name) for name in listed.names}
        self._listed, self._seen, self.problem = listed, seen, None

    def search(self, query: Query, most: int = 20, *, thorough: bool = False) -> list[Candidate]:
        """The places that have most pairs in common with the query, best first; see `lookup.search`."""
        self.refresh()
        return search(self.segments, query, most, thorough=thorough)

    def add(self, items: Iterable[tuple[int, bytes]], *, month: str = UNDATED) -> int:
        """Add fingerprints (number, data), all or none; gives how many. What is no fingerprint is left out.

        `month` is that of the clips, YYYY-MM.
        """
        return self.add_months({month: items})

    def add_months(
        self, months: Mapping[str, Iterable[tuple[int, bytes]]], *, since: int | None = None, read_to: int | None = None
    ) -> int:
        """As `add`, for several months at once.

        `since` and `read_to`: these are all fingerprints between these positions of the log. When another process has
        added them meanwhile, nothing is done.
        """
        if not all(_MONTH.fullmatch(month) for month in months):
            raise ValueError("A month is written YYYY-MM.")
        with self.locked():
            if since is not None and since != self.read_to:
                return 0
            names, following, added = list(self._listed.names), self._unused(), 0
            for month, items in sorted(months.items()):
                for packed, postings, count in _batches(items):
                    names.append(self._write(month, following, packed, postings))
                    following, added = following + 1, added + count
            self._publish(
                replace(
                    self._listed,
                    read_to=max(self.read_to, read_to or 0),
                    next=following,
                    names=tuple(names),
                )
            )
        return added

    def merge(self, alive: Alive | None = None, *, all_segments: bool = False) -> int:
        """Merge segments of a month and about one size, eight at a time; gives how many files went.

        `alive` tells which numbers still count; the others are dropped. `all_segments` rewrites every file, to drop
        what is no more. Raises Damaged, and changes no file any more, where one is not as it was written.
        """
        gone = 0
        with self.locked():
            for month in sorted({name.split("/")[0] for name in self._listed.names}):
                while group := self._to_merge(month):
                    self._replace(month, group, alive)
                    gone += len(group) - 1
            if all_segments:
                for name in self._listed.names:
                    self._replace(name.split("/")[0], [name], alive)
        return gone

    def _to_merge(self, month: str) -> list[str]:
        tiers: dict[int, list[str]] = {}
        for name in self._listed.names:
            size = len(self._open[name].postings)
            if name.startswith(f"{month}/") and size * TIER <= MOST_POSTINGS * 2:
                tier = tiers.setdefault(int(np.log(max(size, 1)) / np.log(TIER)), [])
                tier.append(name)
                if len(tier) == TIER and sum(len(self._open[each].postings) for each in tier) <= MOST_POSTINGS:
                    return tier
        return []

    def _replace(self, month: str, group: Sequence[str], alive: Alive | None) -> None:
        old = [self._open[name] for name in group]
        for each in old:
            each.check()
        keep = alive(np.concatenate([each.items["number"] for each in old])) if alive else None
        items, postings = segments.merged(old, keep)
        names = [name for name in self._listed.names if name not in group]
        if len(items):
            names.append(self._write(month, self._unused(), items, postings))
        self._publish(replace(self._listed, next=self._unused(), names=tuple(sorted(names))))

    def clear(self) -> None:
        """Forget everything, so that the next catching up builds the index anew."""
        with self.locked():
            self._publish(_Listed(next=self._unused()))

    def beside(self) -> Index:
        """An empty index within this one's folder, to be filled and then taken over; a crash leaves it there."""
        made = Index(self.directory / BESIDE)
        made.clear()
        return made

    def take_over(self, made: Index) -> None:
        """Have the content of the index `beside` in place of this one's, at once; searches notice nothing."""
        with self.locked():
            names = []
            for number, name in enumerate(made._listed.names, self._unused()):
                month = name.split("/")[0]
                self._folder(month)
                names.append(f"{month}/{number:08d}.seg")
                (made.directory / name).replace(self.directory / names[-1])
                segments.sync_folder(self.directory / month)
            self._publish(_Listed(made.read_to, self._unused(), tuple(names)))
        shutil.rmtree(made.directory)

    def check(self) -> None:
        """Read all files and compare checksums. Raises Damaged."""
        for each in self.segments:
            each.check()

    def _unused(self) -> int:
        """A number that no segment has, not even one that a damaged list no longer names: others may have it open."""
        there = [int(path.stem) for path in self.directory.glob("*/*.seg") if path.stem.isdecimal()]
        return max([self._listed.next, *(number + 1 for number in there)])

    def _write(self, month: str, number: int, items: Items, postings: Postings) -> str:
        self._folder(month)
        name = f"{month}/{number:08d}.seg"
        segments.write(self.directory / name, items, postings)
        return name

    def _folder(self, month: str) -> None:
        folder = self.directory / month
        if not folder.exists():
            folder.mkdir(mode=0o700)
            segments.sync_folder(self.directory)

    def _publish(self, listed: _Listed) -> None:
        segments.write_whole(self.directory / LIST, [listed.dump()])
        self.refresh()
        self._sweep()

    def _sweep(self) -> None:
        """Delete files that are not on the list: replaced by a merge, or left by a crash."""
        for path in [*self.directory.glob("*/*.seg"), *self.directory.glob("*/.*.seg.*"), *self.directory.glob(".*")]:
            if path.is_file() and path.relative_to(self.directory).as_posix() not in self._listed.names:
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Only one process at a time adds. Waits for its turn."""
        with (self.directory / LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.refresh()
            yield


def _batches(items: Iterable[tuple[int, bytes]]) -> Iterator[tuple[Items, Postings, int]]:
    """Items and sorted postings, so many at a time as fit into memory, and of how many clips."""
    packed: list[Items] = []
    postings: list[Postings] = []
    count = place = size = 0
    for number, data in items:
        try:
            pairs = parse(data).pairs
        except BadFingerprint:
            continue
        ours, more = segments.postings_of(number, pairs.code, pairs.frame, place)
        packed.append(ours)
        postings.append(more)
        count, place, size = count + 1, place + len(ours), size + len(more)
        if size >= _BATCH_POSTINGS:
            yield np.concatenate(packed), np.sort(np.concatenate(postings)), count
            packed, postings, count, place, size = [], [], 0, 0, 0
    if packed:
        yield np.concatenate(packed), np.sort(np.concatenate(postings)), count
