"""Asking for the end of an account, and undoing it while there is time."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts import holds, keys, sessions
from app.accounts.addresses import spelling
from app.accounts.models import Account
from app.billing import outgoing
from app.billing.queries import is_live, subscription_of
from app.core import audit, errands
from app.core.audit import Actor
from app.core.db import now
from app.core.errors import Conflict, Invalid
from app.core.states import lock
from app.jobs import service as jobs
from app.privacy import letters
from app.privacy.models import Erasure
from app.settings import Settings

ERASE = "erase"
"""Kind of the errand that erases an account."""


def ask(
    session: Session, account: Account, typed: str, actor: Actor, *, settings: Settings, keep: uuid.UUID | None
) -> datetime:
    """The holder wants the account deleted: gives when that happens. `typed` must be its address.

    At once nothing can be made any more, keys end, every session but `keep` ends, and the subscription is cancelled.
    Raises Invalid for another address, Conflict when the deletion was asked for already.
    """
    if spelling(typed) != account.email:
        raise Invalid("deletion.address", "That is not the address of this account. Type it to go on.")
    due = _close(session, account, actor, settings.retention.deletion_grace, keep=keep)
    letters.closing(session, account, settings)
    return due


def order(session: Session, account: Account, reason: str, actor: Actor) -> None:
    """The operator has an account erased at once. Raises Invalid while a hold is in force or when it is erased."""
    lock(session, account)
    if account.erased_at is not None:
        raise Invalid("deletion.done", "This account is erased already.")
    if holds.is_held(session, account.id):
        raise Invalid("deletion.held", "A hold is in force on this account. Release it first.")
    account.closing_at = None  # an order does not wait for the end of a grace
    _close(session, account, actor, timedelta(0), keep=None, reason=reason)


def _close(
    session: Session,
    account: Account,
    actor: Actor,
    grace: timedelta,
    *,
    keep: uuid.UUID | None,
    reason: str | None = None,
) -> datetime:
    lock(session, account)
    if account.closing_at is not None:
        raise Conflict("deletion.asked", "The deletion was asked for already.")
    due = account.closing_at = now() + grace
    audit.record(session, actor, "account.closing", account, reason=reason, facts={"due": due.isoformat()})
    for key in keys.live_keys(session, account.id):
        keys.revoke_key(session, account, key.id, actor)
    sessions.end_other_sessions(session, account, actor, keep=keep)
    for job in jobs.open_jobs(session, account_id=account.id):
        jobs.cancel(session, job, actor, "the account will be deleted")
    subscription = subscription_of(session, account.id)
    if subscription is not None and is_live(subscription):
        outgoing.cancel_subscription(session, subscription.external_id)
    # No errand of the account: what it has to do would be dropped by its own work.
    errands.add(session, ERASE, f"erase:{account.id}:{due.isoformat()}", {"account": str(account.id)}, due_at=due)
    return due


def undo(session: Session, account: Account, actor: Actor, settings: Settings) -> None:
    """Keep the account. Keys stay off and the subscription stays ended. Raises Conflict when there is nothing to undo.

    Also works after the time is over, as long as nothing was erased yet.
    """
    lock(session, account)
    if account.closing_at is None or account.erased_at is not None:
        raise Conflict("deletion.none", "There is no deletion to undo.")
    account.closing_at = None
    audit.record(session, actor, "account.kept", account)
    letters.kept(session, account, now(), settings)


def remind(session: Session) -> int:
    """Write errands for erasures that are due but not done: held up by a hold, or partly. For a
    regular duty; writes at most one a day for each."""
    partly = select(Erasure.account_id).where(Erasure.done_at.is_(None))
    over = select(Account.id).where(Account.closing_at <= now(), Account.erased_at.is_(None))
    waiting = over.where(~holds.held(Account.id)).union(partly)
    found = session.scalars(waiting).all()
    for account_id in found:
        errands.add(session, ERASE, f"erase:{account_id}:{now():%Y%m%d}", {"account": str(account_id)})
    return len(found)
