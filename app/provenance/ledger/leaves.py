"""Leaves are written by themselves, at the commit of the transaction that made what they record.

Generations, stamps, and those entries of the audit that are about what people are answered for. Nothing can forget to
write one: a listener of the session sees every new row.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from sqlalchemy import event, func, select, text
from sqlalchemy.orm import Session, UOWTransaction

from app.core import crypto
from app.core.audit import AuditEntry
from app.core.signing import canonical
from app.provenance.ledger.merkle import completed_by, leaf_hash, node_hash
from app.provenance.ledger.models import LeafKind, MerkleLeaf, MerkleNode
from app.provenance.models import Stamp
from app.speech.models import Generation

LOGGED_SUBJECTS = frozenset({"account", "voice", "consent", "trace_query", "evidence_bundle", "provenance_key"})
"""Acts on these are in the log; those on jobs and the like are not."""
ADVISORY_LOCK = 0x6C6564676572  # "ledger": one transaction at a time adds leaves on PostgreSQL
_WAITING = "merkle_waiting"

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

Row = Generation | Stamp | AuditEntry


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
    """What is committed to: the row's columns as canonical JSON."""
    return canonical({name: _plain(getattr(row, name)) for name in FIELDS[kind]})


def commitment(salt: str, content: bytes) -> str:
    """Binds a leaf to a row without telling anything of it, as long as the salt is unknown. Hex of SHA-256."""
    return hashlib.sha256(salt.encode() + b"\x00" + content).hexdigest()


def leaf_content(kind: LeafKind, row: Any, salt: str) -> str:
    """The public content of a row's leaf, whose hash goes into the tree."""
    said: dict[str, Any] = {"v": VERSION, "kind": kind.value, "commitment": commitment(salt, row_content(kind, row))}
    if isinstance(row, Generation):
        said |= {"ref": row.public_ref, "at": _plain(row.created_at)}
    elif isinstance(row, Stamp):
        said |= {"sha256": row.sha256, "at": _plain(row.created_at)}
    else:
        said |= {"action": row.action, "at": _plain(row.at)}
    return canonical(said).decode()


def append(session: Session, rows: Sequence[Row]) -> None:
    """Add the leaves of these rows, in this order. Locks out others that add until the end of the transaction."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
    position = tree_size(session)
    for row in rows:
        kind = kind_of(row)
        if kind is None:
            continue
        salt = crypto.secret_token()
        content = leaf_content(kind, row, salt)
        digest = leaf_hash(content.encode())
        session.add(
            MerkleLeaf(position=position, kind=kind, subject_id=row.id, salt=salt, content=content, hash=digest)
        )
        _complete(session, position, digest)
        position += 1
    session.flush()


def tree_size(session: Session) -> int:
    """How many leaves the log has."""
    last = session.scalar(select(func.max(MerkleLeaf.position)))
    return 0 if last is None else last + 1


def _complete(session: Session, position: int, digest: bytes) -> None:
    """Write the nodes that leaf number `position` completes."""
    for level, place in completed_by(position):
        digest = node_hash(hash_at(session, level - 1, 2 * place), digest)
        session.add(MerkleNode(level=level, position=place, hash=digest))


def hash_at(session: Session, level: int, position: int) -> bytes:
    """The hash of a complete subtree; also of one that this session has not written yet."""
    if level == 0:
        return session.get_one(MerkleLeaf, position).hash
    return session.get_one(MerkleNode, (level, position)).hash


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, uuid.UUID):
        return str(value)
    return value.hex() if isinstance(value, bytes) else value


@event.listens_for(Session, "after_flush")
def _note_new_rows(session: Session, _flush: UOWTransaction) -> None:
    rows = [row for row in session.new if kind_of(row) is not None]
    if rows:
        session.info.setdefault(_WAITING, []).extend(rows)


@event.listens_for(Session, "before_commit")
def _write_leaves(session: Session) -> None:
    """Last of all, so that the lock is held for no longer than the commit takes, and nobody waits for us with it."""
    if session.in_nested_transaction():
        return
    session.flush()
    rows = session.info.pop(_WAITING, [])
    if rows:
        append(session, sorted(rows, key=lambda row: row.id))


@event.listens_for(Session, "after_soft_rollback")
def _forget_rows(session: Session, _previous: object) -> None:
    waiting = session.info.get(_WAITING)
    if waiting:
        session.info[_WAITING] = [row for row in waiting if row in session]
