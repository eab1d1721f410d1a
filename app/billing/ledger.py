"""The usage ledger: what was granted, held, spoken and given back, in characters of text.

Double entry: each entry moves characters from one book to another (see models.MOVES), so balances are sums and the
books of a period always add up to nothing. `reserve` locks the account first: two submissions never see the same
characters. The others never take any, and the schema allows each job one hold, one end and one refund.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from app.accounts.models import Account
from app.billing.models import MOVES, EntryKind, LedgerEntry
from app.billing.periods import Period, month_start, period_of
from app.billing.plans import allowance_of, plan_of
from app.core.db import now
from app.core.states import lock


@dataclass(frozen=True)
class Balance:
    """Characters of one account in one period."""

    period: Period
    granted: int
    """The allowance, with what was carried over and what was refunded."""
    used: int
    reserved: int
    overage: int
    """Characters beyond the allowance that were used or are held."""

    @property
    def left(self) -> int:
        """What can still be spent of the allowance."""
        return max(self.granted + self.overage - self.used - self.reserved, 0)

    @property
    def spendable(self) -> int:
        """What can still be spent, with the overage that the holder allows."""
        return self.left + max(self.period.overage_cap - self.overage, 0)


def balance_of(session: Session, account: Account) -> Balance:
    """The balance of the present period. An allowance that nothing was spent of yet counts as granted."""
    return _balance_in(session, account, period_of(session, account))


def _balance_in(session: Session, account: Account, period: Period) -> Balance:
    sums = _sums(session, account.id, period.start)
    granted = max(sums.get(EntryKind.GRANT, 0), allowance_of(plan_of(account), period.owing))
    return Balance(
        period,
        granted=granted + sums.get(EntryKind.CARRY, 0) + sums.get(EntryKind.REFUND, 0),
        used=sums.get(EntryKind.SETTLE, 0),
        reserved=sums.get(EntryKind.RESERVE, 0) - sums.get(EntryKind.RELEASE, 0) - sums.get(EntryKind.SETTLE, 0),
        overage=sums.get(EntryKind.OVERAGE, 0) - sums.get(EntryKind.OVERAGE_BACK, 0),
    )


def _sums(session: Session, account_id: uuid.UUID, period: datetime) -> dict[EntryKind, int]:
    query = (
        select(LedgerEntry.kind, func.sum(LedgerEntry.characters))
        .where(LedgerEntry.account_id == account_id, LedgerEntry.period == period)
        .group_by(LedgerEntry.kind)
    )
    return {kind: int(total) for kind, total in session.execute(query)}


def spent_with_key(session: Session, api_key_id: uuid.UUID) -> int:
    """Characters of the texts that an API key has submitted in the present calendar month (UTC) and got, or will."""
    freed = aliased(LedgerEntry)
    given_back = select(freed.id).where(freed.job_id == LedgerEntry.job_id, freed.kind == EntryKind.RELEASE)
    query = select(func.sum(LedgerEntry.characters)).where(
        LedgerEntry.api_key_id == api_key_id,
        LedgerEntry.at >= month_start(now()),
        LedgerEntry.kind == EntryKind.RESERVE,
        ~given_back.exists(),
    )
    return int(session.scalar(query) or 0)


def reserve(
    session: Session, account: Account, *, job_id: uuid.UUID, characters: int, api_key_id: uuid.UUID | None = None
) -> None:
    """Hold characters for a job that is being created in this transaction; beyond the allowance, take overage.

    The gate must have said yes: raises ValueError when there is not enough.
    """
    lock(session, account)
    balance = balance_of(session, account)
    if characters > balance.spendable:
        raise ValueError(f"{characters} characters are more than the {balance.spendable} that are left")
    grant_due(session, account, balance.period)
    period = balance.period.start
    beyond = characters - balance.left
    if beyond > 0:
        _write(session, account.id, period, EntryKind.OVERAGE, beyond, job_id=job_id, api_key_id=api_key_id)
    _write(session, account.id, period, EntryKind.RESERVE, characters, job_id=job_id, api_key_id=api_key_id)


def grant_due(session: Session, account: Account, period: Period) -> None:
    """Write the allowance of the period, or what a larger plan adds to it. A smaller plan takes nothing away.

    The account must be locked. To be called, too, before a smaller plan: what is written stays.
    """
    plan = plan_of(account)
    allowance = allowance_of(plan, period.owing)
    due = allowance - _sums(session, account.id, period.start).get(EntryKind.GRANT, 0)
    if due > 0:
        reference = f"{period.start.isoformat()}/{plan.id}/{allowance}"
        _write(session, account.id, period.start, EntryKind.GRANT, due, reference=reference)


def carry_over(session: Session, account: Account, period: Period, *, to: datetime) -> None:
    """Take what is left of a period's allowance along into the one that begins at `to`. Repeatable.

    To be called while the account's plan is still that of `period`. What is being made now and fails later is freed in
    the old period, and so is lost with it.
    """
    lock(session, account)
    left = _balance_in(session, account, period).left
    reference = f"{period.start.isoformat()}/{to.isoformat()}"
    known = select(LedgerEntry.id).where(
        LedgerEntry.account_id == account.id, LedgerEntry.kind == EntryKind.CARRY, LedgerEntry.reference == reference
    )
    if left > 0 and session.scalar(known) is None:
        _write(session, account.id, to, EntryKind.CARRY, left, reference=reference)


def settle(session: Session, job_id: uuid.UUID) -> int:
    """A job is done: what was held for it is spent. Gives how many of its characters were beyond the allowance.

    Raises ValueError when nothing is held for it, so also for a job that was settled or released before.
    """
    held = _held(session, job_id)
    if held is None:
        raise ValueError(f"nothing is held for job {job_id}")
    _follow(session, held, EntryKind.SETTLE)
    beyond = _entry(session, job_id, EntryKind.OVERAGE)
    return beyond.characters if beyond is not None else 0


def release(session: Session, job_id: uuid.UUID) -> None:
    """A job ended without a result: what was held for it is free again, and overage is given back. Repeatable."""
    held = _held(session, job_id)
    if held is None:
        return
    _follow(session, held, EntryKind.RELEASE)
    beyond = _entry(session, job_id, EntryKind.OVERAGE)
    if beyond is not None:
        _follow(session, beyond, EntryKind.OVERAGE_BACK)


def refund(session: Session, account: Account, job_id: uuid.UUID) -> int:
    """Give the characters of a settled job back into the present period; gives their number, 0 when done before.

    For decisions that are overturned. Raises ValueError for a job that was never charged to this account.
    """
    lock(session, account)
    spent = _entry(session, job_id, EntryKind.SETTLE)
    if spent is None or spent.account_id != account.id:
        raise ValueError(f"job {job_id} was not charged to this account")
    if _entry(session, job_id, EntryKind.REFUND) is not None:
        return 0
    period = period_of(session, account).start
    _write(session, account.id, period, EntryKind.REFUND, spent.characters, job_id=job_id)
    return spent.characters


def _held(session: Session, job_id: uuid.UUID) -> LedgerEntry | None:
    """The hold of a job, unless it has ended."""
    if any(_entry(session, job_id, end) is not None for end in (EntryKind.SETTLE, EntryKind.RELEASE)):
        return None
    return _entry(session, job_id, EntryKind.RESERVE)


def _entry(session: Session, job_id: uuid.UUID, kind: EntryKind) -> LedgerEntry | None:
    return session.scalar(select(LedgerEntry).where(LedgerEntry.job_id == job_id, LedgerEntry.kind == kind))


def _follow(session: Session, first: LedgerEntry, kind: EntryKind) -> None:
    """The next entry of the same job, in the same period, however late it comes."""
    _write(
        session,
        first.account_id,
        first.period,
        kind,
        first.characters,
        job_id=first.job_id,
        api_key_id=first.api_key_id,
    )


def _write(
    session: Session,
    account_id: uuid.UUID,
    period: datetime,
    kind: EntryKind,
    characters: int,
    *,
    job_id: uuid.UUID | None = None,
    reference: str | None = None,
    api_key_id: uuid.UUID | None = None,
) -> None:
    debit, credit = MOVES[kind]
    session.add(
        LedgerEntry(
            account_id=account_id,
            period=period,
            kind=kind,
            debit=debit,
            credit=credit,
            characters=characters,
            job_id=job_id,
            reference=reference,
            api_key_id=api_key_id,
        )
    )
    session.flush()
