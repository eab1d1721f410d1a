"""Fingerprints in the database, which the index of the workers is built from and checked against.

A fingerprint's number is the position of its stamp's leaf in the log: without gaps and in the order of commits, so
that whoever has read up to a position has missed nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.provenance.ledger.leaves import tree_size
from app.provenance.ledger.models import LeafKind, MerkleLeaf
from app.provenance.models import Fingerprint, Stamp

_Value = TypeVar("_Value", int, uuid.UUID)
_AT_ONCE = 500
"""Parameters of one statement: far below what either database takes."""


@dataclass(frozen=True)
class Numbered:
    """One fingerprint with its number."""

    number: int
    generation_id: uuid.UUID
    data: bytes
    created_at: datetime


def write(session: Session, generation_id: uuid.UUID, data: bytes) -> None:
    """Keep the fingerprint of a finished clip. Its first byte is the version of its layout."""
    session.add(Fingerprint(generation_id=generation_id, version=data[0], data=data))


def after(session: Session, position: int, limit: int) -> tuple[list[Numbered], int]:
    """Fingerprints of the next `limit` leaves from `position` on, and the position up to which these are all."""
    end = min(tree_size(session), position + limit)  # read first: what is committed meanwhile is for the next time
    query = (
        select(MerkleLeaf.position, Fingerprint.generation_id, Fingerprint.data, Fingerprint.created_at)
        .join(Stamp, Stamp.id == MerkleLeaf.subject_id)
        .join(Fingerprint, Fingerprint.generation_id == Stamp.generation_id)
        .where(MerkleLeaf.kind == LeafKind.STAMP, MerkleLeaf.position >= position, MerkleLeaf.position < end)
        .order_by(MerkleLeaf.position)
    )
    return [Numbered(*row) for row in session.execute(query)], max(end, position)


def numbered(session: Session, numbers: Iterable[int]) -> dict[int, Numbered]:
    """The fingerprints with these numbers. Those that were erased are missing."""
    found: dict[int, Numbered] = {}
    for some in _batches(sorted(set(numbers))):
        query = (
            select(MerkleLeaf.position, Fingerprint.generation_id, Fingerprint.data, Fingerprint.created_at)
            .join(Stamp, Stamp.id == MerkleLeaf.subject_id)
            .join(Fingerprint, Fingerprint.generation_id == Stamp.generation_id)
            .where(MerkleLeaf.kind == LeafKind.STAMP, MerkleLeaf.position.in_(some))
        )
        found |= {row[0]: Numbered(*row) for row in session.execute(query)}
    return found


def existing(session: Session, numbers: Iterable[int]) -> set[int]:
    """Which of these numbers still have a fingerprint."""
    found: set[int] = set()
    for some in _batches(sorted(set(numbers))):
        query = (
            select(MerkleLeaf.position)
            .join(Stamp, Stamp.id == MerkleLeaf.subject_id)
            .join(Fingerprint, Fingerprint.generation_id == Stamp.generation_id)
            .where(MerkleLeaf.kind == LeafKind.STAMP, MerkleLeaf.position.in_(some))
        )
        found |= set(session.scalars(query))
    return found


def data_of(session: Session, generation_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, bytes]:
    """Fingerprints of generations; those that have none are missing."""
    found: dict[uuid.UUID, bytes] = {}
    for some in _batches(sorted(set(generation_ids))):
        query = select(Fingerprint.generation_id, Fingerprint.data).where(Fingerprint.generation_id.in_(some))
        found |= {row[0]: row[1] for row in session.execute(query)}
    return found


def forget(session: Session, generation_ids: Iterable[uuid.UUID]) -> int:
    """Delete the fingerprints of these generations; gives how many there were."""
    gone = 0
    for some in _batches(sorted(set(generation_ids))):
        statement = delete(Fingerprint).where(Fingerprint.generation_id.in_(some))
        result = session.execute(statement.execution_options(synchronize_session=False))
        gone += int(result.rowcount)  # type: ignore[attr-defined]  # a DELETE always has a row count
    return gone


def _batches(values: list[_Value]) -> Iterator[list[_Value]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]
