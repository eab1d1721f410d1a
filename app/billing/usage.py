"""What was spoken, as the usage page and its chart show it: characters by day and by key, refunds, and what was billed.

Only what was spoken counts (settled entries), at the moment when it was. Days are days of UTC.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.orm import Session, aliased

from app.accounts.key_models import ApiKey
from app.accounts.models import Account
from app.billing.models import EntryKind, LedgerEntry
from app.core.db import now

LONGEST_PERIOD = timedelta(days=32)
MOST_LINES = 200


@dataclass(frozen=True)
class Day:
    """One bar of the chart."""

    day: date
    characters: int


@dataclass(frozen=True)
class KeyUse:
    """What was spoken with one key; `key` is None for what was asked for on the pages."""

    key: ApiKey | None
    characters: int


@dataclass(frozen=True)
class Line:
    """Characters of one clip that were given back, or that were beyond the allowance."""

    at: datetime
    characters: int
    job_id: uuid.UUID


def by_day(session: Session, account: Account, *, since: datetime, until: datetime | None = None) -> list[Day]:
    """Characters of each day from that of `since` to that of `until` (now, unless told), oldest first."""
    first = _midnight(since)
    starts = [first + timedelta(days=number) for number in range((_midnight(until or now()) - first).days + 1)]
    sums = [
        func.sum(case((and_(LedgerEntry.at >= day, LedgerEntry.at < day + timedelta(days=1)), LedgerEntry.characters)))
        for day in starts
    ]
    row = session.execute(select(*sums).where(*settled(account, first))).one()
    return [Day(day.date(), int(total or 0)) for day, total in zip(starts, row, strict=True)]


def by_key(session: Session, account: Account, *, since: datetime) -> list[KeyUse]:
    """Characters by key since a moment, the most first. Keys that have ended are among them."""
    total = func.sum(LedgerEntry.characters)
    query = (
        select(ApiKey, total)
        .select_from(LedgerEntry)
        .outerjoin(ApiKey, ApiKey.id == LedgerEntry.api_key_id)
        .where(*settled(account, since))
        .group_by(ApiKey.id)
        .order_by(total.desc())
    )
    return [KeyUse(key, int(characters)) for key, characters in session.execute(query)]


def refunds(session: Session, account: Account, *, since: datetime) -> list[Line]:
    """What was given back since a moment, newest first, the newest MOST_LINES."""
    query = (
        select(LedgerEntry)
        .where(LedgerEntry.account_id == account.id, LedgerEntry.kind == EntryKind.REFUND, LedgerEntry.at >= since)
        .order_by(LedgerEntry.at.desc())
        .limit(MOST_LINES)
    )
    return [Line(entry.at, entry.characters, _job(entry)) for entry in session.scalars(query)]


def overage(session: Session, account: Account, *, since: datetime) -> list[Line]:
    """What was spoken beyond the allowance since a moment and is billed, newest first, the newest MOST_LINES."""
    beyond = aliased(LedgerEntry)
    query = (
        select(LedgerEntry.at, beyond.characters, LedgerEntry.job_id)
        .join(beyond, and_(beyond.job_id == LedgerEntry.job_id, beyond.kind == EntryKind.OVERAGE))
        .where(*settled(account, since))
        .order_by(LedgerEntry.at.desc())
        .limit(MOST_LINES)
    )
    return [Line(at, characters, job_id) for at, characters, job_id in session.execute(query) if job_id]


def settled(account: Account, since: datetime) -> tuple[ColumnElement[bool], ...]:
    """The entries of what an account has spoken since a moment; the index by period finds them."""
    return (
        LedgerEntry.account_id == account.id,
        LedgerEntry.period >= since - LONGEST_PERIOD,
        LedgerEntry.kind == EntryKind.SETTLE,
        LedgerEntry.at >= since,
    )


def _job(entry: LedgerEntry) -> uuid.UUID:
    assert entry.job_id is not None, "the schema wants one for all kinds but grants"
    return entry.job_id


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)
