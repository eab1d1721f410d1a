"""What is known of an account's subscription."""

from __future__ import annotations

import uuid

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.billing.models import Subscription, SubscriptionStatus

GOOD = frozenset({SubscriptionStatus.ACTIVE, SubscriptionStatus.TRIALING})
MISSING = frozenset({SubscriptionStatus.PAST_DUE, SubscriptionStatus.UNPAID})
"""A payment is missing: the plan goes on until the grace ends."""
LIVE = GOOD | MISSING
"""What the provider goes on to bill."""


def subscription_of(session: Session, account_id: uuid.UUID) -> Subscription | None:
    """The subscription of an account as it was last read, ended or not."""
    return session.scalar(select(Subscription).where(Subscription.account_id == account_id))


def is_live(subscription: Subscription | None) -> bool:
    """Whether the provider goes on to bill it."""
    return subscription is not None and subscription.status in LIVE
