"""Everything of the usage page in one read: days, voices, keys, refunds and overage of an account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.accounts.models import Account
from app.billing import usage
from app.billing.models import LedgerEntry
from app.billing.usage import Day, KeyUse, Line
from app.speech.models import Clip
from app.voices.models import Voice


@dataclass(frozen=True)
class VoiceUse:
    """What was spoken in one voice, which may be deleted by now."""

    voice: Voice
    characters: int


@dataclass(frozen=True)
class Usage:
    """What an account has spoken since a moment. Characters in all of it."""

    days: list[Day]
    """Every day, oldest first, the last is today."""
    voices: list[VoiceUse]
    """The most first."""
    keys: list[KeyUse]
    """The most first."""
    refunds: list[Line]
    overage: list[Line]

    @property
    def characters(self) -> int:
        """All that was spoken."""
        return sum(use.characters for use in self.keys)


def usage_of(session: Session, account: Account, *, since: datetime) -> Usage:
    """The usage of an account since a moment."""
    return Usage(
        days=usage.by_day(session, account, since=since),
        voices=_by_voice(session, account, since),
        keys=usage.by_key(session, account, since=since),
        refunds=usage.refunds(session, account, since=since),
        overage=usage.overage(session, account, since=since),
    )


def _by_voice(session: Session, account: Account, since: datetime) -> list[VoiceUse]:
    total = func.sum(LedgerEntry.characters)
    query = (
        select(Voice, total)
        .select_from(LedgerEntry)
        .join(Clip, Clip.job_id == LedgerEntry.job_id)
        .join(Voice, Voice.id == Clip.voice_id)
        .where(*usage.settled(account, since))
        .group_by(Voice.id)
        .order_by(total.desc())
    )
    return [VoiceUse(voice, int(characters)) for voice, characters in session.execute(query)]
