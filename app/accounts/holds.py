"""Legal holds: while one is in force, nothing of the account is erased. Each timer and each erasure asks here."""

from __future__ import annotations

import uuid

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.accounts.models import Account, LegalHold
from app.core import audit
from app.core.audit import Actor
from app.core.db import now
from app.core.errors import Invalid
from app.core.states import lock


def held(account_id: InstrumentedAttribute[uuid.UUID] | InstrumentedAttribute[uuid.UUID | None]) -> ColumnElement[bool]:
    """For queries: whether a hold is in force on the account that a column names."""
    return exists().where(LegalHold.account_id == account_id, LegalHold.lifted_at.is_(None))


def is_held(session: Session, account_id: uuid.UUID) -> bool:
    """Whether a hold is in force on an account."""
    return _in_force(session, account_id) is not None


def held_accounts(session: Session) -> list[uuid.UUID]:
    """The accounts on which a hold is in force."""
    return list(session.scalars(select(LegalHold.account_id).where(LegalHold.lifted_at.is_(None))))


def place(session: Session, account: Account, reason: str, actor: Actor) -> LegalHold:
    """Keep everything of an account from now on. Raises Invalid where a hold is in force already."""
    lock(session, account)
    if is_held(session, account.id):
        raise Invalid("hold.there", "A hold is in force on this account already.")
    hold = LegalHold(account_id=account.id, reason=reason)
    session.add(hold)
    session.flush()
    audit.record(session, actor, "legal_hold.placed", hold, reason=reason, facts={"account": str(account.id)})
    return hold


def lift(session: Session, account: Account, reason: str, actor: Actor) -> None:
    """Let timers and erasures go on. Raises Invalid where no hold is in force."""
    lock(session, account)
    hold = _in_force(session, account.id)
    if hold is None:
        raise Invalid("hold.none", "There is no hold on this account.")
    hold.lifted_at = now()
    audit.record(session, actor, "legal_hold.lifted", hold, reason=reason, facts={"account": str(account.id)})


def _in_force(session: Session, account_id: uuid.UUID) -> LegalHold | None:
    query = select(LegalHold).where(LegalHold.account_id == account_id, LegalHold.lifted_at.is_(None))
    return session.scalars(query).first()
