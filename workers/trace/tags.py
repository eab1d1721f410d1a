"""Every issued tag in the memory of one worker process: 32 bytes each, read once, then only what is new."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from app.core.db import Databases
from app.provenance.ledger.leaves import tree_size
from app.provenance.traces import Tag, all_tags, tags_since
from workers.trace.known import Tags

_AT_ONCE = 50_000
_FIRST_ROOM = 1_024


class Ids(Sequence[uuid.UUID]):
    """Ids kept as rows of 16 bytes: a tenth of what as many objects take."""

    def __init__(self, rows: NDArray[np.uint8]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> uuid.UUID: ...
    @overload
    def __getitem__(self, index: slice) -> Ids: ...
    def __getitem__(self, index: int | slice) -> uuid.UUID | Ids:
        if isinstance(index, slice):
            return Ids(self._rows[index])
        return uuid.UUID(bytes=self._rows[index].tobytes())


class _Book:
    """The tags of one key epoch, in arrays with room to grow."""

    def __init__(self) -> None:
        self._ids = np.zeros((_FIRST_ROOM, 16), np.uint8)
        self._tags = np.zeros((_FIRST_ROOM, 16), np.uint8)
        self._count = 0

    def add(self, ids: bytes, tags: bytes) -> None:
        added = len(ids) // 16
        while self._count + added > len(self._ids):  # a third more: doubling would waste too much at ten millions
            more = np.zeros((max(len(self._ids) // 3, _FIRST_ROOM), 16), np.uint8)
            self._ids, self._tags = np.concatenate([self._ids, more]), np.concatenate([self._tags, more])
        place = slice(self._count, self._count + added)
        self._ids[place] = np.frombuffer(ids, np.uint8).reshape(-1, 16)
        self._tags[place] = np.frombuffer(tags, np.uint8).reshape(-1, 16)
        self._count += added

    def view(self) -> Tags:
        return Tags(Ids(self._ids[: self._count]), self._tags[: self._count])


class TagCache:
    """All issued tags by key epoch. Safe between threads: what `current` gave never changes."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._books: dict[int, _Book] = {}
        self._lock = threading.Lock()
        self._next: int | None = None

    def current(self) -> Mapping[int, Tags]:
        """The tags of every generation that is committed by now."""
        with self._lock, self._databases.reading() as session:
            if self._next is None:
                self._books = {}  # a first reading that broke off may have left a part
                size = tree_size(session)  # read first: what comes meanwhile is read twice, not never
                self._take(all_tags(session, _AT_ONCE))
                self._next = size
            self._next, rows = tags_since(session, self._next)
            self._take([rows])
            return {epoch: book.view() for epoch, book in self._books.items()}

    def _take(self, batches: Iterable[Sequence[Tag]]) -> None:
        for batch in batches:
            for epoch in {row[1] for row in batch}:
                of_epoch = [row for row in batch if row[1] == epoch]
                book = self._books.setdefault(epoch, _Book())
                book.add(b"".join(row[0].bytes for row in of_epoch), b"".join(row[2] for row in of_epoch))
