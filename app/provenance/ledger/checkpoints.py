"""Signing the log: each checkpoint fixes all leaves so far, and no two of them ever contradict each other.

Copies of checkpoints outside of the database are what a database that was lost, put back from an old backup, or
edited is measured against: before anything is signed, the log must still begin with what was signed before.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.core import signing
from app.core.db import now
from app.core.errors import NotFound
from app.provenance.ledger import keys, notes, proofs
from app.provenance.ledger.merkle import verify_consistency
from app.provenance.ledger.models import Checkpoint
from app.provenance.ledger.notes import Head
from app.settings import Settings

ADVISORY_LOCK = 0x636865636B  # "check": one process at a time adds a checkpoint on PostgreSQL


class Forked(RuntimeError):
    """The log is not a continuation of what was signed. Nothing may be signed; the message says what is known."""


def origin(settings: Settings) -> str:
    """The log's name in its checkpoints: the public address without its scheme."""
    parts = urlsplit(settings.public_url)
    return f"{parts.netloc}{parts.path}/ledger"


def is_due(session: Session, every: timedelta) -> bool:
    """Whether the log has grown since the last checkpoint, and that is long enough ago."""
    last = proofs.latest_checkpoint(session)
    if last is None:
        return proofs.tree_size(session) > 0
    return last.created_at + every <= now() and proofs.tree_size(session) > last.size


def trusted_keys(session: Session, own: Ed25519PrivateKey | None = None) -> list[str]:
    """PEM of the keys whose checkpoints are ours: those in the register, and the one in use."""
    known = keys.signing_keys(session)
    return known if own is None else [*known, signing.public_pem(own)]


def check_continues(session: Session, head: Head) -> None:
    """Raise Forked unless the log still begins with what this checkpoint says."""
    size = proofs.tree_size(session)
    if head.size > size:
        raise Forked(
            f"The ledger has {size} leaves, but a checkpoint of {head.size} was signed before: the database was lost, "
            "or put back from an older backup."
        )
    try:
        whole = proofs.root(session, size)
        steps = proofs.consistency(session, head.size, size) if head.size else []
    except NotFound as error:
        raise Forked(error.message) from error
    if not verify_consistency(head.size, size, steps, head.root, whole):
        raise Forked(
            f"The first {head.size} leaves of the ledger are not those that were signed before: the database was "
            "edited, or is another one."
        )


def sign(session: Session, settings: Settings, key: Ed25519PrivateKey, exported: Iterable[Head]) -> Checkpoint | None:
    """A checkpoint of the log as it is now, not yet added to the session; None while there is nothing new to sign.

    `exported` are the newest checkpoints outside of the database. Raises Forked rather than contradict one.
    """
    last = proofs.latest_checkpoint(session)
    known = [] if last is None else [Head(notes.parsed(last.note).origin, last.size, last.root)]
    for head in [*known, *exported]:
        check_continues(session, head)
    size = proofs.tree_size(session)
    if size == 0 or (last is not None and last.size >= size):
        return None
    root = proofs.root(session, size)
    note = notes.signed(Head(origin(settings), size, root), key)
    return Checkpoint(size=size, root=root, note=note, created_at=now())


def add(session: Session, checkpoint: Checkpoint) -> bool:
    """Keep a signed checkpoint; False when another process has kept one of this size meanwhile."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
    if session.get(Checkpoint, checkpoint.size) is not None:
        return False
    session.add(checkpoint)
    session.flush()
    return True


def checkpoint_of(session: Session, size: int) -> Checkpoint:
    """The checkpoint of a size. Raises NotFound when none was signed at it."""
    found = session.get(Checkpoint, size)
    if found is None:
        raise NotFound("ledger.no_checkpoint", "No checkpoint of this size was signed.")
    return found


def newest(session: Session) -> Checkpoint:
    """The newest checkpoint. Raises NotFound before the first one."""
    found = proofs.latest_checkpoint(session)
    if found is None:
        raise NotFound(
            "ledger.no_checkpoint",
            "No checkpoint was signed yet.",
            fix="Ask again later: the ledger is signed regularly.",
        )
    return found


def sizes(session: Session) -> list[int]:
    """The sizes of all checkpoints, smallest first."""
    return list(session.scalars(select(Checkpoint.size).order_by(Checkpoint.size)))
