"""Routes of the account behind the key, shaped like those of the ElevenLabs API."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from fastapi import APIRouter
from sqlalchemy.orm import Session

from app.accounts.identity import Reader, looking
from app.accounts.models import Account
from app.api.documented import Parts, compatible_errors
from app.api.schemas_speech import Price, Subscription, User
from app.api.views_voices import unix
from app.billing.ledger import balance_of
from app.billing.plans import Plan, plan_of
from app.billing.queries import MISSING, subscription_of
from app.voices.service import clone_verdict, count_voices

router = APIRouter(tags=["Account"])


@router.get("/v1/user", summary="Get the account", responses=compatible_errors())
def get_user(caller: Reader, services: Parts) -> User:
    """The account behind the key."""
    with looking(services, caller) as (session, account):
        return User(
            user_id=account.public_id,
            workspace_id=account.public_id,
            first_name=account.name,
            subscription=_subscription(session, account, services.settings.billing.currency),
            created_at=unix(account.created_at),
        )


@router.get("/v1/user/subscription", summary="Get the plan", responses=compatible_errors())
def get_subscription(caller: Reader, services: Parts) -> Subscription:
    """The plan of the account and what is left of it this month."""
    with looking(services, caller) as (session, account):
        return _subscription(session, account, services.settings.billing.currency)


def _subscription(session: Session, account: Account, currency: str) -> Subscription:
    plan, balance = plan_of(account), balance_of(session, account)
    beyond = balance.period.overage_cap
    return Subscription(
        tier=plan.id,
        status=_status(session, account, plan),
        character_count=balance.used + balance.reserved,
        character_limit=balance.granted,
        next_character_count_reset_unix=unix(balance.period.end),
        voice_slots_used=count_voices(session, account),
        voice_limit=plan.voice_slots,
        can_use_instant_voice_cloning=clone_verdict(session, account, extra=0).allowed,
        can_extend_character_limit=plan.overage_cents_per_1000 > 0,
        allowed_to_extend_character_limit=beyond > 0,
        max_credit_limit_extension=beyond,
        current_overage=Price(amount=_cost(balance.overage, plan), currency=currency),
    )


def _status(session: Session, account: Account, plan: Plan) -> Literal["free", "active", "past_due"]:
    paid = subscription_of(session, account.id)
    if paid is not None and paid.plan == plan.id and paid.status in MISSING:
        return "past_due"
    return "active" if plan.paid else "free"


def _cost(characters: int, plan: Plan) -> str:
    """The price of characters beyond the allowance, in the currency's unit."""
    return f"{Decimal(characters * plan.overage_cents_per_1000) / 100_000:.2f}"
