"""What an account has spoken, clip by clip, for the file that its holder can download."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, select
from sqlalchemy.orm import Session, aliased

from app.accounts.key_models import ApiKey
from app.accounts.models import Account
from app.billing import usage
from app.billing.models import EntryKind, LedgerEntry
from app.speech.models import Clip
from app.voices.models import Voice

MOST_CLIPS = 20_000


@dataclass(frozen=True)
class SpokenClip:
    """One clip that was spoken and counted."""

    at: datetime
    clip_id: str
    voice: str
    key: str | None
    """Name of the API key; None for what was asked for on the pages."""
    characters: int
    beyond: int
    """How many of its characters were beyond the allowance."""


def spoken_clips(session: Session, account: Account, *, since: datetime) -> list[SpokenClip]:
    """The clips of an account since a moment, newest first, the newest MOST_CLIPS."""
    overage = aliased(LedgerEntry)
    query = (
        select(LedgerEntry.at, Clip.public_id, Voice.name, ApiKey.name, LedgerEntry.characters, overage.characters)
        .select_from(LedgerEntry)
        .join(Clip, Clip.job_id == LedgerEntry.job_id)
        .join(Voice, Voice.id == Clip.voice_id)
        .outerjoin(ApiKey, ApiKey.id == LedgerEntry.api_key_id)
        .outerjoin(overage, and_(overage.job_id == LedgerEntry.job_id, overage.kind == EntryKind.OVERAGE))
        .where(*usage.settled(account, since))
        .order_by(LedgerEntry.at.desc(), LedgerEntry.id.desc())
        .limit(MOST_CLIPS)
    )
    return [
        SpokenClip(at, clip_id, voice, key, characters, beyond or 0)
        for at, clip_id, voice, key, characters, beyond in session.execute(query)
    ]
