"""Handing a finished clip out. The only way to its audio leads through its stamp."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from app.accounts.models import Account
from app.accounts.standing import refuse_banned
from app.core.errors import NotFound
from app.provenance.models import Stamp
from app.speech.formats import FORMATS
from app.speech.models import Clip, Generation


@dataclass(frozen=True)
class Delivery:
    """What a route needs to send the audio of a stamp."""

    storage_key: str
    mime: str
    file_name: str
    size: int
    sha256: str


def stamp_of(session: Session, clip: Clip) -> Stamp | None:
    """The stamp of a finished clip, with its ledger row."""
    query = (
        select(Stamp)
        .join(Generation, Generation.id == Stamp.generation_id)
        .where(Generation.clip_id == clip.id)
        .options(joinedload(Stamp.generation))
    )
    return session.scalar(query)


def stamps_of(session: Session, clips: list[Clip]) -> dict[uuid.UUID, Stamp]:
    """The stamps of several clips by clip id."""
    query = (
        select(Stamp)
        .join(Generation, Generation.id == Stamp.generation_id)
        .where(Generation.clip_id.in_([clip.id for clip in clips]))
        .options(joinedload(Stamp.generation))
    )
    return {stamp.generation.clip_id: stamp for stamp in session.scalars(query)}


def deliver(stamp: Stamp | None, account: Account, clip: Clip) -> Delivery:
    """A delivery of the clip to its owner. Raises NotFound without a stamp, Forbidden when standing forbids it."""
    if stamp is None or clip.account_id != account.id:
        raise NotFound("audio_not_ready", "This clip has no audio.")
    refuse_banned(account)
    form = FORMATS[stamp.output_format]
    name = f"vouch-{clip.public_id}.{form.extension}"
    return Delivery(stamp.storage_key, form.mime, name, stamp.size, stamp.sha256)
