"""What the worker that traces reads of the record: every issued tag, and clips that no index can find any more."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from app.provenance.ledger.leaves import tree_size
from app.provenance.ledger.models import LeafKind, MerkleLeaf
from app.provenance.models import Fingerprint, Stamp
from app.speech.models import Generation

Tag = tuple[uuid.UUID, int, bytes]
"""Generation, key epoch, 16 bytes."""


def all_tags(session: Session, at_once: int) -> Iterator[Sequence[Tag]]:
    """Every tag ever issued, in batches. Also those of generations that are older than the log."""
    query = select(Generation.id, Generation.key_epoch, Generation.tag).execution_options(yield_per=at_once)
    for rows in session.execute(query).partitions():
        yield [(row[0], row[1], row[2]) for row in rows]


def tags_since(session: Session, position: int) -> tuple[int, list[Tag]]:
    """Tags whose leaves stand in the log from `position` on, and up to where these are all: the log has no gaps, and
    grows in the order of commits, so nothing is missed."""
    end = tree_size(session)
    if end <= position:
        return position, []
    query = (
        select(Generation.id, Generation.key_epoch, Generation.tag)
        .join(MerkleLeaf, MerkleLeaf.subject_id == Generation.id)
        .where(MerkleLeaf.kind == LeafKind.GENERATION, MerkleLeaf.position >= position, MerkleLeaf.position < end)
        .order_by(MerkleLeaf.position)
    )
    return end, [(row[0], row[1], row[2]) for row in session.execute(query)]


def unseen_twins(session: Session, generation_id: uuid.UUID) -> int:
    """Finished clips that may sound like this one, and that no fingerprint finds: those of the same voice, with a text
    of the same length, whose fingerprint was erased or never made. What they said is not known any more."""
    this, other = aliased(Generation), aliased(Generation)
    query = (
        select(func.count())
        .select_from(other)
        .join(this, (this.voice_id == other.voice_id) & (this.characters == other.characters) & (this.id != other.id))
        .join(Stamp, Stamp.generation_id == other.id)
        .where(this.id == generation_id)
        .where(~select(Fingerprint.generation_id).where(Fingerprint.generation_id == other.id).exists())
    )
    return session.scalar(query) or 0
