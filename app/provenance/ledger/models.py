"""Tables of the transparency log. All of them only grow: triggers refuse edits."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, now, primary_key
from app.core.states import state_enum


class LeafKind(StrEnum):
    """What a leaf records."""

    GENERATION = "generation"
    STAMP = "stamp"
    ACT = "act"
    """An entry of the audit: about consents, voices, accounts, keys, traces and decisions."""


class MerkleLeaf(Base):
    """One entry of the log.

    `content` is what the leaf's hash is of: canonical JSON that names nobody, with a salted commitment to the row.
    Whoever is shown row and salt can check it; without the salt it tells nothing.
    """

    __tablename__ = "merkle_leaf"
    __table_args__ = (UniqueConstraint("kind", "subject_id"),)

    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    kind: Mapped[LeafKind] = mapped_column(state_enum(LeafKind))
    subject_id: Mapped[uuid.UUID]
    salt: Mapped[str] = mapped_column(String(43))
    content: Mapped[str] = mapped_column(Text)
    hash: Mapped[bytes] = mapped_column(LargeBinary(32), index=True)
    created_at: Mapped[datetime] = mapped_column(default=now)


class MerkleNode(Base):
    """The hash of a complete subtree: `2**level` leaves from `position * 2**level` on; level 1 and up."""

    __tablename__ = "merkle_node"

    level: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))


class Checkpoint(Base):
    """The tree at one size, signed. `note` is a C2SP signed note: origin, size, root, signature."""

    __tablename__ = "checkpoint"

    size: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    root: Mapped[bytes] = mapped_column(LargeBinary(32))
    note: Mapped[str] = mapped_column(Text)
    timestamp_token: Mapped[bytes | None] = mapped_column(LargeBinary)
    """RFC 3161 token over SHA-256 of the note, when an authority is set up."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class KeyUse(StrEnum):
    """What a key is for."""

    MARK = "mark"
    SIGNING = "signing"
    """Ed25519: checkpoints, receipts, evidence."""
    CREDENTIALS = "credentials"


class ProvenanceKey(Base):
    """A key that this service began to use. Written by the first worker that has it; never holds a secret."""

    __tablename__ = "provenance_key"
    __table_args__ = (UniqueConstraint("use", "fingerprint"),)

    id: Mapped[uuid.UUID] = primary_key()
    use: Mapped[KeyUse] = mapped_column(state_enum(KeyUse))
    name: Mapped[str] = mapped_column(String(40))
    """Name of its file, such as mark-1."""
    fingerprint: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the public key's DER form; of a mark key, a digest that tells nothing of it."""
    public_pem: Mapped[str | None] = mapped_column(Text)
    """What others verify with: the public key, or the certificate of the authority. None for mark keys."""
    created_at: Mapped[datetime] = mapped_column(default=now)
