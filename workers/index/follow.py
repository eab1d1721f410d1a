"""Keeping the index up with the database."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from app.core.db import Databases
from app.provenance import fingerprints
from workers.index.segment import Damaged
from workers.index.store import Alive, Index

log = structlog.get_logger(__name__)

LEAVES_AT_ONCE = 20_000


def catch_up(databases: Databases, index: Index) -> int:
    """Add the fingerprints that came since the last time; gives how many. Safe in several processes at once."""
    added = 0
    while True:
        index.refresh()
        since = index.read_to
        with databases.reading() as session:
            rows, read_to = fingerprints.after(session, since, LEAVES_AT_ONCE)
        if read_to == since:
            break
        months: dict[str, list[tuple[int, bytes]]] = {}
        for row in rows:
            months.setdefault(f"{row.created_at:%Y-%m}", []).append((row.number, row.data))
        added += index.add_months(months, since=since, read_to=read_to)
    if added:
        _merge(databases, index)
    return added


def opened(databases: Databases, directory: Path) -> Index:
    """The index of a folder, all of it read once: one that is damaged misses clips, so it is built anew."""
    index = Index(directory)
    try:
        index.check()
    except Damaged as problem:
        log.error("index.damaged", problem=str(problem))
        rebuild(databases, index)
    return index


def _merge(databases: Databases, index: Index) -> None:
    try:
        index.merge(alive(databases))
    except Damaged as problem:
        log.error("index.damaged", problem=str(problem))
        rebuild(databases, index)


def rebuild(databases: Databases, index: Index) -> int:
    """Make the index anew; gives how many fingerprints it has. What was erased is gone from it, and what is damaged.

    It is built beside the old one, which answers searches until the new one takes its place: needs as much disk again.
    """
    made = index.beside()
    added = catch_up(databases, made)
    index.take_over(made)
    return added


def alive(databases: Databases) -> Alive:
    """Tells which numbers still have a fingerprint in the database."""

    def tell(numbers: NDArray[np.uint64]) -> NDArray[np.bool_]:
        with databases.reading() as session:
            there = fingerprints.existing(session, (int(number) for number in numbers))
        return np.isin(numbers, np.fromiter(there, np.uint64, len(there)))

    return tell
