"""Reading the log so that a row that was damaged spoils no other: a batch that can't be read is read row by row."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.core.errors import DomainError
from app.provenance.ledger import leaves
from app.provenance.ledger.models import LeafKind, MerkleLeaf, MerkleNode
from app.provenance.ledger.proofs import tree_size

BATCH = 512
DEEPEST = 62
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, OverflowError, SQLAlchemyError, DomainError)
"""What damaged values raise when they are read or used."""


@dataclass(frozen=True)
class Fault:
    """One row or file that is not as it was written."""

    table: str
    row: str
    what: str


@dataclass(frozen=True)
class Leaf:
    """The columns of a leaf."""

    position: int
    kind: LeafKind
    subject_id: uuid.UUID
    salt: str
    content: str
    hash: bytes
    created_at: datetime


_LEAF = (
    MerkleLeaf.position,
    MerkleLeaf.kind,
    MerkleLeaf.subject_id,
    MerkleLeaf.salt,
    MerkleLeaf.content,
    MerkleLeaf.hash,
    MerkleLeaf.created_at,
)


def read_leaves(session: Session, after: int | None) -> tuple[dict[int, Leaf], list[int]]:
    """The next leaves behind a position, and the positions of those among them that can't be read."""
    behind = () if after is None else (MerkleLeaf.position > after,)
    query = select(*_LEAF).where(*behind).order_by(MerkleLeaf.position).limit(BATCH)
    try:
        return {row[0]: Leaf(*row) for row in session.execute(query)}, []
    except UNREADABLE:
        session.rollback()
    found: dict[int, Leaf] = {}
    broken: list[int] = []
    positions = select(MerkleLeaf.position).where(*behind).order_by(MerkleLeaf.position).limit(BATCH)
    for position in session.scalars(positions).all():
        try:
            found[position] = Leaf(*session.execute(select(*_LEAF).where(MerkleLeaf.position == position)).one())
        except UNREADABLE:
            session.rollback()
            broken.append(position)
    return found, broken


class Subjects:
    """The rows that some leaves are of. `faults` tells which of them can't be read."""

    def __init__(self, session: Session, batch: dict[int, Leaf]) -> None:
        self.faults: list[Fault] = []
        self._rows: dict[leaves.Entry, Any] = {}
        self._broken: set[leaves.Entry] = set()
        for kind in LeafKind:
            ids = [leaf.subject_id for leaf in batch.values() if leaf.kind is kind]
            if ids:
                self._read(session, kind, ids)

    def of(self, leaf: Leaf) -> Any | None:
        """The row of a leaf; None when it is gone or can't be read."""
        return self._rows.get((leaf.kind, leaf.subject_id))

    def is_broken(self, leaf: Leaf) -> bool:
        """Whether the row is there and can't be read."""
        return (leaf.kind, leaf.subject_id) in self._broken

    def _read(self, session: Session, kind: LeafKind, ids: Sequence[uuid.UUID]) -> None:
        table = leaves.TABLES[kind]
        try:
            self._rows |= {(kind, row.id): row for row in leaves.rows_of(session, kind, table.id.in_(ids))}
            return
        except UNREADABLE:
            session.rollback()
        for each in ids:
            try:
                self._rows |= {(kind, row.id): row for row in leaves.rows_of(session, kind, table.id == each)}
            except UNREADABLE:
                session.rollback()
                self._broken.add((kind, each))
                self.faults.append(Fault(table.__tablename__, str(each), "can't be read"))


def nodes_completed(session: Session, begin: int, end: int) -> dict[tuple[int, int], bytes]:
    """The stored nodes that leaves number `begin` to `end` (excluded) complete."""
    wanted: list[ColumnElement[bool]] = []
    for level in range(1, DEEPEST):
        first, behind = (begin + (1 << level)) // (1 << level) - 1, end >> level
        if behind == 0:
            break
        if first < behind:
            wanted.append(and_(MerkleNode.level == level, MerkleNode.position.between(first, behind - 1)))
    if not wanted:
        return {}
    query = select(MerkleNode.level, MerkleNode.position, MerkleNode.hash).where(or_(*wanted))
    return {(level, position): digest for level, position, digest in session.execute(query)}


def stray_nodes(session: Session, size: int) -> Iterator[Fault]:
    """Nodes that neither a tree of `size` leaves has, nor that of the leaves which came while it was checked."""
    beyond: list[ColumnElement[bool]] = [MerkleNode.level < 1, MerkleNode.level >= DEEPEST, MerkleNode.position < 0]
    deepest = max(size.bit_length(), 1)
    beyond += [and_(MerkleNode.level == level, MerkleNode.position >= size >> level) for level in range(1, deepest)]
    beyond.append(MerkleNode.level >= deepest)
    found = session.execute(select(MerkleNode.level, MerkleNode.position).where(or_(*beyond))).all()
    grown = tree_size(session) if found else size
    for level, position in found:
        if 0 < level < DEEPEST and position >= 0 and (position + 1) << level <= grown:
            continue
        yield Fault("merkle_node", f"level {level}, number {position}", "belongs to no tree of this size")


def one_by_one(
    session: Session, query: Select[Any], key: Any, *wanted: ColumnElement[bool]
) -> Iterator[Sequence[Any] | None]:
    """The rows of a short query; None for each that can't be read."""
    try:
        yield from session.execute(query).all()
        return
    except UNREADABLE:
        session.rollback()
    try:
        ids = session.scalars(select(key).where(*wanted)).all()
    except UNREADABLE:
        session.rollback()
        yield None
        return
    for each in ids:
        try:
            yield session.execute(query.where(key == each)).one()
        except UNREADABLE:
            session.rollback()
            yield None
