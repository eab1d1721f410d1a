"""Roots and proofs out of the stored nodes, and the documents that others check them with.

Whoever has a leaf's content, a proof and a signed checkpoint needs nothing else of ours: see `check_document`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from app.core.errors import NotFound
from app.provenance.ledger.merkle import (
    Range,
    complete_subtrees,
    consistency_ranges,
    fold,
    inclusion_ranges,
    leaf_hash,
    range_hash,
    verify_inclusion,
)
from app.provenance.ledger.models import Checkpoint, LeafKind, MerkleLeaf, MerkleNode
from app.provenance.models import Stamp
from app.speech.models import Generation

VERSION = 1
Subtree = tuple[int, int]
"""Level and position of a complete subtree."""


def tree_size(session: Session) -> int:
    """How many leaves the log has."""
    last = session.scalar(select(func.max(MerkleLeaf.position)))
    return 0 if last is None else last + 1


def hashes_of(session: Session, subtrees: Iterable[Subtree]) -> dict[Subtree, bytes]:
    """The stored hashes of complete subtrees, in two queries. Raises NotFound when the log lacks one."""
    wanted = set(subtrees)
    leaves = [position for level, position in wanted if level == 0]
    nodes = [subtree for subtree in wanted if subtree[0] > 0]
    found: dict[Subtree, bytes] = {}
    if leaves:
        of_leaves = select(MerkleLeaf.position, MerkleLeaf.hash).where(MerkleLeaf.position.in_(leaves))
        found |= {(0, position): digest for position, digest in session.execute(of_leaves)}
    if nodes:
        by_level: dict[int, list[int]] = {}
        for level, position in nodes:
            by_level.setdefault(level, []).append(position)
        # Not `(level, position) IN (...)`: SQLite finds no index for that and reads the whole table.
        places = (and_(MerkleNode.level == level, MerkleNode.position.in_(each)) for level, each in by_level.items())
        of_nodes = select(MerkleNode.level, MerkleNode.position, MerkleNode.hash).where(or_(*places))
        found |= {(level, position): digest for level, position, digest in session.execute(of_nodes)}
    if missing := wanted - found.keys():
        level, position = min(missing)
        raise NotFound("ledger.damaged", f"The ledger lacks the hash of level {level}, number {position}.")
    return found


def root(session: Session, size: int) -> bytes:
    """Root of the first `size` leaves. Raises NotFound when the log lacks one of their hashes."""
    subtrees = list(complete_subtrees(0, size))
    known = hashes_of(session, subtrees)
    return fold([known[subtree] for subtree in subtrees])


def inclusion(session: Session, position: int, size: int) -> list[bytes]:
    """Proof that leaf `position` is in the tree of the first `size` leaves, for `merkle.verify_inclusion`.

    Raises ValueError when that tree has no such leaf.
    """
    return _roots(session, inclusion_ranges(position, size))


def consistency(session: Session, first: int, second: int) -> list[bytes]:
    """Proof that the tree of `second` leaves begins with that of `first`, for `merkle.verify_consistency`.

    Raises ValueError unless 0 < first <= second.
    """
    return _roots(session, consistency_ranges(first, second))


def _roots(session: Session, ranges: list[Range]) -> list[bytes]:
    known = hashes_of(session, (each for begin, end in ranges for each in complete_subtrees(begin, end)))
    return [range_hash(begin, end, lambda level, position: known[level, position]) for begin, end in ranges]


def leaf_of(session: Session, kind: LeafKind, subject_id: uuid.UUID) -> MerkleLeaf | None:
    """The leaf of a row; None when the row is not in the log."""
    return session.scalar(select(MerkleLeaf).where(MerkleLeaf.kind == kind, MerkleLeaf.subject_id == subject_id))


def leaf_of_ref(session: Session, public_ref: str) -> MerkleLeaf | None:
    """The leaf of the generation that credentials name so."""
    found = session.scalar(select(Generation.id).where(Generation.public_ref == public_ref))
    return None if found is None else leaf_of(session, LeafKind.GENERATION, found)


def leaf_of_file(session: Session, sha256: str) -> MerkleLeaf | None:
    """The first leaf of a delivered file of this hash (64 hex digits)."""
    query = select(Stamp.id).where(Stamp.sha256 == sha256).order_by(Stamp.id).limit(1)
    found = session.scalar(query)
    return None if found is None else leaf_of(session, LeafKind.STAMP, found)


def leaf_of_hash(session: Session, digest: bytes) -> MerkleLeaf | None:
    """The leaf of a hash."""
    return session.scalar(select(MerkleLeaf).where(MerkleLeaf.hash == digest).limit(1))


def latest_checkpoint(session: Session) -> Checkpoint | None:
    """The newest signed checkpoint."""
    return session.scalar(select(Checkpoint).order_by(Checkpoint.size.desc()).limit(1))


def document(session: Session, leaf: MerkleLeaf, checkpoint: Checkpoint) -> dict[str, Any]:
    """All that is needed to check, offline, that the leaf is under the signed checkpoint; JSON, nothing secret.

    Raises NotFound when the checkpoint is older than the leaf.
    """
    if leaf.position >= checkpoint.size:
        raise NotFound(
            "ledger.not_yet",
            "This is in the ledger, but no signed checkpoint covers it yet.",
            fix="Ask again later: the ledger is signed regularly.",
        )
    return {
        "v": VERSION,
        "leaf": {"position": leaf.position, "content": leaf.content, "hash": leaf.hash.hex()},
        "proof": [step.hex() for step in inclusion(session, leaf.position, checkpoint.size)],
        "checkpoint": {"size": checkpoint.size, "root": checkpoint.root.hex(), "note": checkpoint.note},
    }


def check_document(said: Mapping[str, Any]) -> str:
    """ "" when the leaf's content is under the root that the document's checkpoint has; else what is wrong.

    Says nothing about the checkpoint's signature: that is for `notes.opened`. Never raises for bad input.
    """
    try:
        leaf, checkpoint = said["leaf"], said["checkpoint"]
        content, position, size = str(leaf["content"]), int(leaf["position"]), int(checkpoint["size"])
        proof, wanted = [bytes.fromhex(step) for step in said["proof"]], bytes.fromhex(checkpoint["root"])
        digest, named = leaf_hash(content.encode()), bytes.fromhex(leaf["hash"])
        json.loads(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return f"this is not a proof of the ledger ({type(error).__name__})"
    if digest != named:
        return "the leaf's content does not have the leaf's hash"
    if not verify_inclusion(digest, position, size, proof, wanted):
        return "the proof does not lead from the leaf to the checkpoint's root"
    return ""
