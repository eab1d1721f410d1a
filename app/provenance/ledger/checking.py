"""Checking all of the log: every leaf against its row, every node, every checkpoint, and the copies outside.

Reads in batches, so memory stays bounded however long the log is. Nothing that is found stops the check.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.core.audit import AuditEntry
from app.core.db import Databases
from app.core.errors import DomainError
from app.core.storage import Storage
from app.provenance.ledger import checkpoints, exports, keys, leaves, notes
from app.provenance.ledger.checkpoints import Forked
from app.provenance.ledger.merkle import completed_by, fold, leaf_hash, node_hash
from app.provenance.ledger.models import Checkpoint, LeafKind, MerkleLeaf, ProvenanceKey
from app.provenance.ledger.reading import (
    UNREADABLE,
    Fault,
    Leaf,
    Subjects,
    nodes_completed,
    one_by_one,
    read_leaves,
    stray_nodes,
)
from app.settings import Settings

LONGEST_GAP = 4096
"""Missing leaves in a row after which the positions behind are taken to be wrong."""

Progress = Callable[[int, int], None]
"""Is called with the number of leaves that are checked and that of all leaves."""


def check(databases: Databases, settings: Settings, storage: Storage, progress: Progress) -> Iterator[Fault]:
    """Everything that is wrong with the log, one after the other; nothing when all is as it was written."""
    run = _Run(databases, settings)
    yield from run.leaves(progress)
    with databases.reading() as session:
        yield from stray_nodes(session, run.size)
    yield from run.checkpoints_beyond()
    for kind in LeafKind:
        yield from _rows_without_leaf(databases, kind)
    with databases.reading() as session:
        yield from _keys(session)
    yield from run.copies(storage)


class _Run:
    """One pass over the leaves, in order, with the hashes of the complete subtrees so far.

    A hash is None where a leaf below is not known; then the stored node stands in for it, unchecked.
    """

    def __init__(self, databases: Databases, settings: Settings) -> None:
        self.databases, self.folder = databases, settings.checkpoint_directory
        self.size = 0
        self.subtrees: list[bytes | None] = []
        self.outside = exports.sizes_in(self.folder)  # before the rows: each copy has a row, not the other way round
        with databases.reading() as session:
            self.trusted = keys.signing_keys(session)
            self.signed = checkpoints.sizes(session)
            self.total = session.scalar(select(func.count()).select_from(MerkleLeaf)) or 0
        self.unchecked = sorted({*self.signed, *self.outside}, reverse=True)

    def leaves(self, progress: Progress) -> Iterator[Fault]:
        """Leaves, the rows that they are of, the nodes above them, and the checkpoints at their sizes."""
        last, seen = None, 0
        while True:
            with self.databases.reading() as session:
                batch, broken = read_leaves(session, last)
                subjects = Subjects(session, batch)
                positions = sorted([*batch, *broken])
                if not positions:
                    return
                yield from (Fault("merkle_leaf", str(each), "can't be read") for each in broken)
                yield from subjects.faults
                nodes = nodes_completed(session, self.size, min(positions[-1] + 1, self.size + 2 * LONGEST_GAP))
                for position in positions:
                    leaf = batch.get(position)
                    digest, faults = (None, []) if leaf is None else _judge(leaf, subjects)
                    yield from faults
                    yield from self._place(position, digest, nodes)
            last, seen = positions[-1], seen + len(positions)
            progress(seen, max(seen, self.total))

    def _place(self, position: int, digest: bytes | None, nodes: dict[tuple[int, int], bytes]) -> Iterator[Fault]:
        if position != self.size:
            gap = position - self.size
            if not 0 < gap <= LONGEST_GAP:
                yield Fault("merkle_leaf", str(position), f"has a wrong position: number {self.size} was expected")
                return
            yield Fault("merkle_leaf", str(self.size), f"is missing: the next one is number {position}")
            for _ in range(gap):
                yield from self._push(None, nodes)
        yield from self._push(digest, nodes)

    def _push(self, digest: bytes | None, nodes: dict[tuple[int, int], bytes]) -> Iterator[Fault]:
        for level, place in completed_by(self.size):
            left, stored = self.subtrees.pop(), nodes.get((level, place))
            digest = None if left is None or digest is None else node_hash(left, digest)
            if stored is None:
                yield Fault("merkle_node", f"level {level}, number {place}", "is missing")
            elif digest is not None and stored != digest:
                yield Fault("merkle_node", f"level {level}, number {place}", "is not the hash of what is below it")
            digest = stored if digest is None else digest
        self.subtrees.append(digest)
        self.size += 1
        while self.unchecked and self.unchecked[-1] <= self.size:
            size = self.unchecked.pop()
            if size == self.size:
                yield from self._checkpoint(size)
            else:
                yield Fault("checkpoint", str(size), "has an impossible size")

    def _checkpoint(self, size: int) -> Iterator[Fault]:
        known = [each for each in self.subtrees if each is not None]
        root = fold(known) if len(known) == len(self.subtrees) else None
        row: Checkpoint | None = None
        if size in self.signed:
            try:
                with self.databases.reading() as session:
                    row = checkpoints.checkpoint_of(session, size)
                yield from self._row(row, root)
            except UNREADABLE:
                yield Fault("checkpoint", str(size), "can't be read")
        if size in self.outside or exports.is_outside(self.folder, size):
            yield from self._copy(size, row, root)
        elif row is not None:
            yield Fault("checkpoint", str(size), f"has no copy in {self.folder}")

    def _row(self, row: Checkpoint, root: bytes | None) -> Iterator[Fault]:
        name = str(row.size)
        try:
            head = notes.opened(row.note, self.trusted)
        except notes.BadNote as error:
            yield Fault("checkpoint", name, f"is not signed as it should be: {error}")
            return
        if (head.size, head.root) != (row.size, row.root):
            yield Fault("checkpoint", name, "has another size or root than its signed note")
        if root is not None and head.root != root:
            yield Fault("checkpoint", name, "was signed over other leaves than these")

    def _copy(self, size: int, row: Checkpoint | None, root: bytes | None) -> Iterator[Fault]:
        for path, wanted in exports.copies_of(self.folder, size, row).items():
            try:
                found = path.read_bytes()
            except OSError as error:
                yield Fault("file", str(path), f"can't be read: {error.strerror}")
                continue
            if wanted is not None and found != wanted:
                yield Fault("file", str(path), f"differs from the row of the checkpoint of size {size}")
            if path.suffix == ".txt" and wanted is None:
                yield Fault("checkpoint", str(size), f"is gone or unreadable; a copy of it is in {path}")
                with suppress(notes.BadNote, UnicodeDecodeError):
                    if root not in (None, notes.opened(found.decode(), self.trusted).root):
                        yield Fault("file", str(path), "was signed over other leaves than these")

    def checkpoints_beyond(self) -> Iterator[Fault]:
        """Checkpoints of more leaves than there are: leaves were lost."""
        for size in reversed(self.unchecked):
            where = "checkpoint" if size in self.signed else "file"
            yield Fault(where, str(size), f"covers more leaves than the {self.size} that are there: leaves were lost")

    def copies(self, storage: Storage) -> Iterator[Fault]:
        """The newest copies, in the folder and in the object storage: does the log continue them?"""
        try:
            with self.databases.reading() as session:
                for head in exports.heads(self.folder, storage, self.trusted):
                    checkpoints.check_continues(session, head)
        except Forked as error:
            yield Fault("copies", "newest", str(error))
        except (DomainError, OSError, UnicodeDecodeError) as error:
            yield Fault("copies", "newest", f"can't be compared: {error}")


def _judge(leaf: Leaf, subjects: Subjects) -> tuple[bytes, list[Fault]]:
    """The hash that the leaf should have, by two of three: its content, its row, and its hash as stored."""
    name, row = str(leaf.position), subjects.of(leaf)
    table = leaves.TABLES[leaf.kind].__tablename__
    by_content, by_row, faults = leaf_hash(leaf.content.encode()), None, []
    if row is None:
        if not subjects.is_broken(leaf):
            faults.append(Fault(table, str(leaf.subject_id), f"is gone, but leaf {name} is of it"))
    else:
        with suppress(*UNREADABLE):
            by_row = leaf_hash(leaves.leaf_content(leaf.kind, row, leaf.salt, leaf.created_at).encode())
    if leaf.created_at.microsecond:
        faults.append(Fault("merkle_leaf", name, "has another time than it was written with"))
    if by_content == leaf.hash:
        if row is not None and by_row != leaf.hash:
            what = f"is not what leaf {name} was written of; or that leaf's salt or time was changed"
            faults.append(Fault(table, str(leaf.subject_id), what))
        return leaf.hash, faults
    if by_row == by_content:
        return by_content, [*faults, Fault("merkle_leaf", name, "has a hash that is not that of its content")]
    return leaf.hash, [*faults, Fault("merkle_leaf", name, "has a content that is not what its hash is of")]


def _rows_without_leaf(databases: Databases, kind: LeafKind) -> Iterator[Fault]:
    table, after = leaves.TABLES[kind].__tablename__, None
    while True:
        try:
            with databases.reading() as session:
                found = leaves.unlogged(session, kind, after)
        except UNREADABLE:
            yield Fault(table, "?", "has an id that can't be read")
            return
        if not found:
            return
        yield from (Fault(table, str(each), "is not in the ledger") for each in found)
        after = found[-1]


def _keys(session: Session) -> Iterator[Fault]:
    """The register of keys says what the logged acts of their registration say."""
    said: dict[str, Any] = {}
    acts = select(AuditEntry.subject_id, AuditEntry.facts).where(AuditEntry.action == "provenance_key.registered")
    for values in one_by_one(session, acts, AuditEntry.id, AuditEntry.action == "provenance_key.registered"):
        said |= {} if values is None else {values[0]: values[1]}
    for row in one_by_one(session, select(ProvenanceKey), ProvenanceKey.id):
        if row is None:
            yield Fault("provenance_key", "?", "can't be read")
        elif json.dumps(said.pop(str(row[0].id), None), sort_keys=True) != json.dumps(
            keys.facts_of(row[0]), sort_keys=True
        ):
            yield Fault("provenance_key", str(row[0].id), "is not what was registered")
    yield from (Fault("provenance_key", gone, "was registered, but is gone") for gone in said)
