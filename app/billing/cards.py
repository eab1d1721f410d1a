"""Cards that accounts pay with, as the provider's fingerprints: a change and a banned person's return are noticed."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts.models import Account, Standing
from app.billing import disputes, verification
from app.billing.gateway import CardFacts
from app.billing.models import BillingCustomer, CardSeen
from app.settings import Settings


def note_card(
    session: Session, account: Account, customer: BillingCustomer, card: CardFacts | None, settings: Settings
) -> None:
    """What a read of a customer's card has shown. The account must be locked.

    Another card than all before asks a verified person to prove themselves again; the first one does not.
    """
    customer.card_fingerprint = card.fingerprint if card is not None else None
    if card is None:
        return
    seen = set(session.scalars(select(CardSeen.fingerprint).where(CardSeen.account_id == account.id)))
    if card.fingerprint not in seen:
        session.add(CardSeen(account_id=account.id, fingerprint=card.fingerprint))
        session.flush()
        if seen:
            verification.want_recheck(session, account, verification.CARD, settings)
    _look_for_banned(session, account, card.fingerprint)


def _look_for_banned(session: Session, account: Account, fingerprint: str) -> None:
    query = (
        select(Account)
        .join(CardSeen, CardSeen.account_id == Account.id)
        .where(CardSeen.fingerprint == fingerprint, Account.state == Standing.BANNED, Account.id != account.id)
        .order_by(Account.id)
        .limit(1)
    )
    banned = session.scalar(query)
    if banned is not None:
        disputes.note_linked_card(session, account, banned, fingerprint)


def accounts_with_cards_of(session: Session, account: Account, limit: int = 20) -> list[Account]:
    """Other accounts that have paid with a card of this one, oldest first."""
    own = select(CardSeen.fingerprint).where(CardSeen.account_id == account.id)
    query = (
        select(Account)
        .where(
            Account.id.in_(select(CardSeen.account_id).where(CardSeen.fingerprint.in_(own))), Account.id != account.id
        )
        .order_by(Account.id)
        .limit(limit)
    )
    return list(session.scalars(query))
