"""Leaves are written by themselves, at the commit of the transaction that made what they record.

Generations, stamps, and those entries of the audit that are about what people are answered for. Nothing can forget to
write one: a listener of the session sees every new row. What still came past it, such as rows from before the log, is
found by `unlogged` and caught up.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from sqlalchemy import ColumnElement, event, exists, insert, select, text, true
from sqlalchemy.orm import Session, SessionTransaction, UOWTransaction

from app.core import crypto
from app.core.audit import AuditEntry
from app.core.db import now
from app.core.signing import canonical
from app.provenance.ledger.merkle import complete_subtrees, completed_by, leaf_hash, node_hash
from app.provenance.ledger.models import LeafKind, MerkleLeaf, MerkleNode
from app.provenance.ledger.proofs import Subtree, hashes_of
from app.provenance.ledger.proofs import tree_size as tree_size
from app.provenance.models import Stamp
from app.speech.models import Generation

LOGGED_SUBJECTS = frozenset(
    {
        "account",
        "api_key",
        "consent",
        "evidence_bundle",
        "legal_hold",
        "provenance_key",
        "signal",
        "trace_query",
        "verification",
        "voice",
    }
)
"""Acts on these are in the log; those on jobs, sign-ins, bills and the like are not."""
ADVISORY_LOCK = 0x6C6564676572  # "ledger": one transaction at a time adds leaves on PostgreSQL
AT_ONCE = 500  # rows that one statement names; SQLite takes no more than some thousands
_WAITING = "merkle_waiting"

TABLES: Mapping[LeafKind, type[Generation] | type[Stamp] | type[AuditEntry]] = {
    LeafKind.GENERATION: Generation,
    LeafKind.STAMP: Stamp,
    LeafKind.ACT: AuditEntry,
}
FIELDS: Mapping[LeafKind, tuple[str, ...]] = {
    LeafKind.GENERATION: (
        "id",
        "public_ref",
        "clip_id",
        "account_id",
        "voice_id",
        "consent_id",
        "tag",
        "key_epoch",
        "text_salt",
        "text_digest",
        "characters",
        "engine",
        "seed",
        "created_at",
    ),
    LeafKind.STAMP: (
        "id",
        "generation_id",
        "output_format",
        "storage_key",
        "size",
        "sha256",
        "seconds",
        "peaks",
        "mark_score",
        "mark_strength_db",
        "traceable",
        "credentials",
        "created_at",
    ),
    LeafKind.ACT: (
        "id",
        "at",
        "actor_kind",
        "actor_id",
        "action",
        "subject_kind",
        "subject_id",
        "before",
        "after",
        "reason",
        "facts",
        "request_id",
    ),
}
"""The columns that a leaf of version 1 commits to. They never change: a new column is for a new version."""
VERSION = 1

Entry = tuple[LeafKind, uuid.UUID]
"""Kind and id of a row that gets a leaf."""


def kind_of(row: object) -> LeafKind | None:
    """The kind of leaf that a row gets; None for those that get none."""
    if isinstance(row, Generation):
        return LeafKind.GENERATION
    if isinstance(row, Stamp):
        return LeafKind.STAMP
    if isinstance(row, AuditEntry) and row.subject_kind in LOGGED_SUBJECTS:
        return LeafKind.ACT
    return None


def row_content(kind: LeafKind, row: Any) -> bytes:
    """What is committed to: the columns of a row, as the database gives them, as canonical JSON."""
    return canonical({name: _plain(getattr(row, name)) for name in FIELDS[kind]})


def commitment(salt: str, content: bytes) -> str:
    """Binds a leaf to a row without telling anything of it, as long as the salt is unknown. Hex of SHA-256."""
    return hashlib.sha256(salt.encode() + b"\x00" + content).hexdigest()


def leaf_content(kind: LeafKind, row: Any, salt: str, logged_at: datetime) -> str:
    """The public content of a row's leaf, whose hash goes into the tree. `logged_at` is in whole seconds."""
    said: dict[str, Any] = {
        "v": VERSION,
        "kind": kind.value,
        "at": _second(logged_at),
        "commitment": commitment(salt, row_content(kind, row)),
    }
    if kind is LeafKind.GENERATION:
        said["ref"] = row.public_ref
    elif kind is LeafKind.STAMP:
        said["sha256"] = row.sha256
    else:
        said["action"] = row.action
    return canonical(said).decode()


def rows_of(session: Session, kind: LeafKind, *wanted: ColumnElement[bool]) -> Iterator[Any]:
    """The logged columns of rows, by id, as the database holds them: never what a session has in memory."""
    table = TABLES[kind]
    query = select(*(getattr(table, name) for name in FIELDS[kind])).where(*wanted, gets_leaf(kind))
    return iter(session.execute(query.order_by(table.id)))


def gets_leaf(kind: LeafKind) -> ColumnElement[bool]:
    """Of the rows of a kind's table, those that belong into the log."""
    return AuditEntry.subject_kind.in_(sorted(LOGGED_SUBJECTS)) if kind is LeafKind.ACT else true()


def has_leaf(kind: LeafKind) -> ColumnElement[bool]:
    """Of the rows of a kind's table, those that are in the log."""
    return exists().where(MerkleLeaf.kind == kind, MerkleLeaf.subject_id == TABLES[kind].id)


def unlogged(session: Session, kind: LeafKind, after: uuid.UUID | None = None, limit: int = AT_ONCE) -> list[uuid.UUID]:
    """Ids of rows that belong into the log and are not in it, in order, behind `after`."""
    table = TABLES[kind]
    query = select(table.id).where(gets_leaf(kind), ~has_leaf(kind)).order_by(table.id).limit(limit)
    return list(session.scalars(query if after is None else query.where(table.id > after)))


def want(session: Session, kind: LeafKind, subject_id: uuid.UUID) -> None:
    """Have the leaf of an older row written at the commit, if it lacks one."""
    table = TABLES[kind]
    if session.scalar(select(table.id).where(table.id == subject_id, ~has_leaf(kind))) is not None:
        session.info.setdefault(_WAITING, []).append((kind, subject_id))


def append(session: Session, entries: Iterable[Entry]) -> int:
    """Add the leaves of those of these rows that exist and have none, oldest first; gives how many.

    On PostgreSQL it locks out others that add until the end of the transaction: nothing that may wait for another
    transaction may come after it, or the two may wait for each other.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
    rows = sorted(_rows_without_leaf(session, entries), key=lambda each: each[1].id)
    if not rows:
        return 0
    position, moment = tree_size(session), now().replace(microsecond=0)
    known = hashes_of(session, complete_subtrees(0, position))
    leaves: list[dict[str, Any]] = []
    nodes: list[dict[str, Any]] = []
    for kind, row in rows:
        salt = crypto.secret_token()
        content = leaf_content(kind, row, salt, moment)
        digest = leaf_hash(content.encode())
        leaves.append(
            {
                "position": position,
                "kind": kind,
                "subject_id": row.id,
                "salt": salt,
                "content": content,
                "hash": digest,
                "created_at": moment,
            }
        )
        nodes += _completed(known, position, digest)
        position += 1
    session.execute(insert(MerkleLeaf), leaves)
    if nodes:
        session.execute(insert(MerkleNode), nodes)
    return len(leaves)


def _rows_without_leaf(session: Session, entries: Iterable[Entry]) -> Iterator[tuple[LeafKind, Any]]:
    wanted: dict[LeafKind, list[uuid.UUID]] = {}
    for kind, subject_id in dict.fromkeys(entries):
        wanted.setdefault(kind, []).append(subject_id)
    for kind, ids in wanted.items():
        for start in range(0, len(ids), AT_ONCE):
            among = TABLES[kind].id.in_(ids[start : start + AT_ONCE])
            yield from ((kind, row) for row in rows_of(session, kind, among, ~has_leaf(kind)))


def _completed(known: dict[Subtree, bytes], position: int, digest: bytes) -> list[dict[str, Any]]:
    """The nodes that leaf number `position` completes; they go into `known`, too."""
    known[0, position] = digest
    nodes: list[dict[str, Any]] = []
    for level, place in completed_by(position):
        digest = node_hash(known[level - 1, 2 * place], digest)
        known[level, place] = digest
        nodes.append({"level": level, "position": place, "hash": digest})
    return nodes


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, uuid.UUID):
        return str(value)
    return value.hex() if isinstance(value, bytes) else value


def _second(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


@event.listens_for(Session, "after_flush")
def _note_new_rows(session: Session, _flush: UOWTransaction) -> None:
    """Ids only: whether a row survives its savepoint is seen when its leaf is written."""
    new = [(kind, row.id) for row in session.new if (kind := kind_of(row)) is not None]
    if new:
        session.info.setdefault(_WAITING, []).extend(new)


@event.listens_for(Session, "before_commit")
def _write_leaves(session: Session) -> None:
    """Last of all, so that the lock is held for no longer than the commit takes, and nobody waits for us with it."""
    if session.in_nested_transaction():
        return
    session.flush()
    waiting = session.info.pop(_WAITING, [])
    if waiting:
        append(session, waiting)


@event.listens_for(Session, "after_soft_rollback")
def _forget_rows(session: Session, over: SessionTransaction) -> None:
    if over.parent is None:
        session.info.pop(_WAITING, None)
