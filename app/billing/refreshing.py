"""Reading a customer anew from the provider: the one answer to every event about its subscription or card.

Events come late, twice and in any order; a read shows what holds now. So that an old read never replaces a newer one, a
write counts only when nobody else wrote since the read began: of two overlapping reads, one is repeated.
"""

from __future__ import annotations

import uuid

from sqlalchemy.orm import Session

from app.accounts.models import Account
from app.billing import cards, letters, outgoing, queries, subscriptions
from app.billing.customers import customer_of
from app.billing.gateway import Gateway, GatewayDown, SubscriptionFacts
from app.core.db import Databases, now
from app.core.states import lock
from app.settings import Settings

READ_AGAIN = 4
"""Reads before giving up when others write in between; the errand then tries later."""


def refresh_customer(databases: Databases, gateway: Gateway, settings: Settings, account_id: uuid.UUID) -> None:
    """Read subscriptions and card of an account, and have everything follow them. Call it outside of transactions."""
    for _ in range(READ_AGAIN):
        with databases.reading() as session:
            customer = customer_of(session, account_id)
            known = queries.subscription_of(session, account_id)
        if customer is None:
            return
        read_at = now()
        found = gateway.subscriptions_of(customer.external_id)
        since = known.read_at if known is not None else None
        current = subscriptions.current_of(found)
        own = current.card if current is not None and current.status in queries.LIVE else None
        card = own or gateway.card_of(customer.external_id)
        with databases.writing() as session:
            account = session.get_one(Account, account_id)
            lock(session, account)
            customer = customer_of(session, account_id)
            if customer is None:
                return
            if subscriptions.apply(session, account, current, since=since, read_at=read_at, settings=settings):
                cards.note_card(session, account, customer, card, settings)
                _end_second_ones(session, account, found, current, settings)
                return
    raise GatewayDown("payment.busy", "Others are working on the same account. Please try again in a minute.")


def _end_second_ones(
    session: Session,
    account: Account,
    found: list[SubscriptionFacts],
    current: SubscriptionFacts | None,
    settings: Settings,
) -> None:
    """Nobody pays for two plans: bought in two windows at once, say, before either was known here."""
    for facts in found:
        if facts is not current and facts.plan is not None and facts.status in queries.LIVE:
            outgoing.cancel_subscription(session, facts.id)
            letters.second_subscription(session, account, facts.id, settings)
