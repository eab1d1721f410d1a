"""Routes of the account behind the key, shaped like those of the ElevenLabs API."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy.orm import Session

from app.accounts.identity import Reader, looking
from app.accounts.models import Account
from app.api.documented import Parts, compatible_errors
from app.api.schemas_speech import Subscription, User
from app.api.views_voices import unix
from app.billing.ledger import balance_of
from app.billing.plans import plan_of
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
            subscription=_subscription(session, account),
            created_at=unix(account.created_at),
        )


@router.get("/v1/user/subscription", summary="Get the plan", responses=compatible_errors())
def get_subscription(caller: Reader, services: Parts) -> Subscription:
    """The plan of the account and what is left of it this month."""
    with looking(services, caller) as (session, account):
        return _subscription(session, account)


def _subscription(session: Session, account: Account) -> Subscription:
    plan, balance = plan_of(account), balance_of(session, account)
    return Subscription(
        tier=plan.id,
        status="active" if plan.paid else "free",
        character_count=balance.used + balance.reserved,
        character_limit=balance.granted,
        next_character_count_reset_unix=unix(balance.period.end),
        voice_slots_used=count_voices(session, account),
        voice_limit=plan.voice_slots,
        can_use_instant_voice_cloning=clone_verdict(session, account, extra=0).allowed,
    )
