"""The overview of an account: how it stands, what is left, and what wants the holder's attention."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from sqlalchemy.orm import Session

from app.accounts import keys, second_factor
from app.accounts.identity import SignedIn, looking
from app.accounts.models import Account, Standing
from app.accounts.rules import is_verified
from app.billing.ledger import balance_of
from app.billing.plans import plan_of
from app.billing.queries import is_live, subscription_of
from app.core.db import now
from app.core.services import Services, services_of
from app.site.pages import page
from app.site.templating import when
from app.voices.service import count_voices

router = APIRouter()


@router.get("/account")
def show_account(request: Request, caller: SignedIn, services: Annotated[Services, Depends(services_of)]) -> Response:
    """The page."""
    with looking(services, caller) as (session, account):
        return page(
            request,
            "account.html",
            account,
            account=_facts(session, account),
            verified=is_verified(account.verified_at, account.recheck_by, now()),
            live_keys=keys.count_live(session, account.id),
            has_factor=second_factor.has(session, account.id),
            wants=_wants(session, account),
        )


def _facts(session: Session, account: Account) -> dict[str, Any]:
    plan, balance = plan_of(account), balance_of(session, account)
    until = account.suspended_until
    return {
        "id": account.public_id,
        "name": account.name,
        "email": account.email,
        "standing": account.state.value,
        "standing_note": _STANDING.get(account.state),
        "until": until if account.state is Standing.SUSPENDED else None,
        "plan": plan.name,
        "used": balance.used + balance.reserved,
        "allowance": balance.granted,
        "overage": balance.overage,
        "renews_at": balance.period.end,
        "voices_used": count_voices(session, account),
        "voices_allowed": plan.voice_slots,
    }


_STANDING = {
    Standing.RESTRICTED: "You can speak with the voices that you have. Cloning new ones has to wait until somebody has "
    "looked at your account.",
    Standing.SUSPENDED: "You can sign in and look at what is yours. Nothing new can be made.",
}


def _wants(session: Session, account: Account) -> list[dict[str, str]]:
    """What the holder should see to, most pressing first: sentence and the page where to."""
    found = []
    subscription = subscription_of(session, account.id)
    if account.closing_at is not None:
        said = f"This account will be deleted on {when(account.closing_at)}. You can still undo that."
        found.append({"said": said, "href": "/account/data", "words": "Keep the account"})
    if subscription is not None and is_live(subscription) and subscription.grace_until is not None:
        said = f"Your last payment did not go through. Your voices stay until {when(subscription.grace_until)}."
        found.append({"said": said, "href": "/account/plan", "words": "See to the payment"})
    if account.recheck_by is not None:
        good = account.recheck_by > now()
        said = f"Please verify your identity again{f' by {when(account.recheck_by)}' if good else ''}."
        found.append({"said": said, "href": "/account/identity", "words": "Verify again"})
    if account.password_is_temporary:
        said = "You still sign in with the password that was made for you. Choose one that only you know."
        found.append({"said": said, "href": "/account/profile#password-title", "words": "Choose a password"})
    return found
