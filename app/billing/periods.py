"""Allowance periods: that of the subscription which pays for the plan, else the calendar month (UTC).

A period is known by its start, so every rule here must give the same start until the period is over: a start that
moves would be an allowance for nothing.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from app.accounts.models import Account
from app.billing.models import Subscription
from app.billing.plans import plan_of
from app.billing.queries import GOOD, LIVE, MISSING, subscription_of
from app.core.db import now


@dataclass(frozen=True)
class Period:
    """One allowance period: from `start` up to, not including, `end`."""

    start: datetime
    end: datetime
    overage_cap: int = 0
    """Most characters beyond the allowance in this period."""
    owing: bool = False
    """Whether its payment is missing: the plan goes on for the days of grace, but not with a whole allowance."""


def period_of(session: Session, account: Account, at: datetime | None = None) -> Period:
    """The period that counts at a moment (now, unless told)."""
    at = at or now()
    paid = subscription_of(session, account.id)
    if paid is None or paid.status not in LIVE or paid.plan != account.plan:
        return Period(month_start(at), next_month(month_start(at)))
    return _paid_period(paid, at, _overage_cap(paid, account))


def _paid_period(paid: Subscription, at: datetime, cap: int) -> Period:
    """The period of a subscription, as it was last read or as it follows from that.

    When the news of a renewal is late, the next period counts already, under the start that the provider will give it:
    it begins where the last one ends. One period only, and none after a missing payment or a cancellation: without
    news there is no second allowance.
    """
    renews = paid.status in GOOD and not paid.cancel_at_period_end
    if at < paid.period_end or not renews:
        return Period(paid.period_start, paid.period_end, cap, owing=paid.status in MISSING)
    return Period(paid.period_end, next_month(paid.period_end), cap)


def _overage_cap(paid: Subscription, account: Account) -> int:
    """What the holder allows, where the plan sells it and nothing is owed."""
    sold = plan_of(account).overage_cents_per_1000 > 0 and paid.status in GOOD
    return paid.overage_cap if sold else 0


def month_start(at: datetime) -> datetime:
    """The first of the month, UTC."""
    return at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def next_month(at: datetime) -> datetime:
    """The same day and time a month later; the last day of that month where it has no such day."""
    year, month = divmod(at.year * 12 + at.month, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return at.replace(year=year, month=month + 1, day=min(at.day, last))
