"""Charging, and what is left of an allowance."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.accounts.models import Account
from app.billing.models import UsageEntry
from app.billing.plans import PLANS, Plan
from app.core.db import now


def plan_of(account: Account) -> Plan:
    """The plan that an account is on."""
    return PLANS[account.plan]


def month_start(at: datetime) -> datetime:
    """When the allowance that counts at the moment `at` began: the first of the month, UTC."""
    return at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def next_month_start(at: datetime) -> datetime:
    """When the next allowance begins."""
    year, month = divmod(at.year * 12 + at.month, 12)
    return month_start(at).replace(year=year, month=month + 1)


def used_this_month(session: Session, account_id: uuid.UUID) -> int:
    """Characters charged since the month began."""
    query = select(func.coalesce(func.sum(UsageEntry.characters), 0)).where(
        UsageEntry.account_id == account_id, UsageEntry.at >= month_start(now())
    )
    return session.scalar(query) or 0


def charge(session: Session, *, account_id: uuid.UUID, job_id: uuid.UUID, kind: str, characters: int) -> None:
    """Write the one charge of a job. A second one for the same job and kind breaks the transaction."""
    session.add(UsageEntry(account_id=account_id, job_id=job_id, kind=kind, characters=characters))
    session.flush()
