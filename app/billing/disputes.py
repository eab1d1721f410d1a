"""Disputed, suspicious and refunded payments, and cards of banned people: signals that keep an account from cloning.

A signal that restricts says so; when the last of them closes, the account may clone again. What a moderator has decided
(a restriction without such a signal, a suspension, a ban) is never lifted or softened here.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts.models import Account, Standing
from app.accounts.signals import Signal, SignalKind, close_signal, raise_signal
from app.billing.customers import BILLING
from app.billing.gateway import ChargeFacts, DisputeFacts, FraudWarningFacts
from app.core.audit import Actor
from app.core.db import now
from app.core.states import lock, move

SETTLED = frozenset({"won", "prevented", "warning_closed"})
"""How a dispute ends well for us."""


def note_dispute(session: Session, account: Account, facts: DisputeFacts) -> None:
    """What a read of a dispute has shown. One that was closed, by its end or by a moderator, stays closed."""
    lock(session, account)
    signal = _known(session, SignalKind.DISPUTE, facts.id)
    seen = {"status": facts.status, "charge": facts.charge, "reason": facts.reason}
    if signal is None:
        summary = f"A payment is disputed ({facts.reason})."
        signal = _raise(session, account, SignalKind.DISPUTE, facts.id, summary, seen, facts.status not in SETTLED)
    if signal.closed_at is not None:
        return
    signal.facts = seen
    if facts.status == "lost":
        signal.summary = f"A payment was disputed ({facts.reason}), and the money is gone."
    if facts.status in SETTLED:
        settle_signal(session, signal, BILLING, f"the dispute ended: {facts.status}")


def note_fraud_warning(session: Session, account: Account, facts: FraudWarningFacts) -> None:
    """A bank suspects that a payment was a fraud: only a moderator closes that."""
    lock(session, account)
    if _known(session, SignalKind.FRAUD_WARNING, facts.id) is None:
        seen = {"charge": facts.charge, "actionable": facts.actionable}
        summary = "The card's bank suspects that a payment was not made by the holder of the card."
        _raise(session, account, SignalKind.FRAUD_WARNING, facts.id, summary, seen, True)


def note_refund(session: Session, account: Account, facts: ChargeFacts) -> None:
    """Money was given back. All of a payment restricts; a part is only said."""
    if facts.amount_refunded <= 0:
        return
    lock(session, account)
    reference = f"{facts.id}/whole" if facts.refunded else facts.id
    if _known(session, SignalKind.REFUND, reference) is None:
        summary = "A whole payment was refunded." if facts.refunded else "A part of a payment was refunded."
        seen = {"charge": facts.id, "cents": facts.amount_refunded}
        _raise(session, account, SignalKind.REFUND, reference, summary, seen, facts.refunded)


def note_linked_card(session: Session, account: Account, banned: Account, fingerprint: str) -> None:
    """The account pays with a card that a banned account has paid with."""
    lock(session, account)
    reference = f"{account.id}:{fingerprint}"
    if _known(session, SignalKind.LINKED_CARD, reference) is None:
        seen = {"banned_account": str(banned.id)}
        summary = "The account pays with a card of a banned account."
        _raise(session, account, SignalKind.LINKED_CARD, reference, summary, seen, True)


def settle_signal(session: Session, signal: Signal, actor: Actor, note: str) -> None:
    """Close a signal; when no other one restricts the account, it may clone again. For moderators and for events.

    Settling a closed one changes nothing.
    """
    account = session.get_one(Account, signal.account_id)
    lock(session, account)
    session.refresh(signal)
    if signal.closed_at is not None:
        return
    close_signal(session, signal, actor, note)
    session.flush()
    restricted_by_us = signal.restricted and account.state is Standing.RESTRICTED
    if restricted_by_us and not _restricting(session, account):
        move(session, account, Standing.ACTIVE, actor, reason=note)


def restrict_after_suspensions(session: Session) -> None:
    """A suspension that has run out leaves an account free: not one that a signal restricts. Runs each minute."""
    waiting = (
        select(Account)
        .join(Signal, Signal.account_id == Account.id)
        .where(Signal.restricted, Signal.closed_at.is_(None))
        .where(Account.state == Standing.SUSPENDED, Account.suspended_until <= now())
        .distinct()
        .order_by(Account.id)  # several processes may do this at once: all lock in one order
        .limit(100)
    )
    for account in session.scalars(waiting).all():
        lock(session, account)
        if account.state is Standing.SUSPENDED and account.suspended_until and account.suspended_until <= now():
            move(session, account, Standing.RESTRICTED, BILLING, reason="the suspension is over, a signal is open")


def _known(session: Session, kind: SignalKind, reference: str) -> Signal | None:
    return session.scalar(select(Signal).where(Signal.kind == kind, Signal.reference == reference))


def _raise(
    session: Session,
    account: Account,
    kind: SignalKind,
    reference: str,
    summary: str,
    facts: dict[str, Any],
    restricting: bool,
) -> Signal:
    """Open a signal about a locked account; one that restricts moves the account unless it stands worse."""
    ours = account.state in (Standing.ACTIVE, Standing.SUSPENDED) or (
        account.state is Standing.RESTRICTED and _restricting(session, account)
    )
    signal = raise_signal(session, account.id, kind, reference, summary, actor=BILLING, facts=facts)
    signal.restricted = restricting and ours
    session.flush()
    if signal.restricted and account.state is Standing.ACTIVE:
        move(session, account, Standing.RESTRICTED, BILLING, reason=summary)
    return signal


def _restricting(session: Session, account: Account) -> bool:
    """Whether an open signal restricts the account."""
    query = select(Signal.id).where(Signal.account_id == account.id, Signal.restricted, Signal.closed_at.is_(None))
    return session.scalar(query.limit(1)) is not None
