"""The account page: plan and use, keys, sessions, password."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response
from sqlalchemy.orm import Session

from app.accounts import keys, queries, service
from app.accounts.identity import Caller, SignedIn, acting, looking
from app.accounts.models import Account, Standing
from app.billing.ledger import balance_of
from app.billing.plans import plan_of
from app.core.errors import Invalid
from app.core.services import Services, services_of
from app.site.pages import page, see
from app.voices.service import count_voices

router = APIRouter()
Parts = Annotated[Services, Depends(services_of)]
MAX_KEYS = 20


@router.get("/account")
def show_account(request: Request, caller: SignedIn, services: Parts) -> Response:
    """The page."""
    with looking(services, caller) as (session, account):
        return _account_page(request, session, account, caller)


def _account_page(
    request: Request,
    session: Session,
    account: Account,
    caller: Caller,
    *,
    new_key: str | None = None,
    errors: dict[str, str] | None = None,
) -> Response:
    return page(
        request,
        "account.html",
        account,
        422 if errors else 200,
        account=_facts(session, account),
        keys=[
            {"id": k.id, "name": k.name, "prefix": k.prefix, "created_at": k.created_at, "used_at": k.last_used_at}
            for k in queries.keys_of(session, account.id)
        ],
        new_key=new_key,
        sessions=[
            {
                "id": login.id,
                "device": _device(login.user_agent),
                "started_at": login.created_at,
                "current": login.id == caller.login_id,
            }
            for login in queries.sessions_of(session, account.id)
        ],
        errors=errors or {},
        min_password=service.MIN_PASSWORD,
    )


def _facts(session: Session, account: Account) -> dict[str, Any]:
    plan, balance = plan_of(account), balance_of(session, account)
    until = account.suspended_until
    return {
        "email": account.email,
        "password_is_temporary": account.password_is_temporary,
        "standing": account.state.value,
        "standing_note": f"Until {until:%d %b %Y}." if account.state is Standing.SUSPENDED and until else None,
        "plan": plan.name,
        "used": balance.used + balance.reserved,
        "allowance": balance.granted,
        "renews_at": balance.period.end,
        "voices_used": count_voices(session, account),
        "voices_allowed": plan.voice_slots,
    }


_BROWSERS = ("Firefox", "Edg", "Chrome", "Safari")
_SYSTEMS = ("Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux")


def _device(user_agent: str) -> str:
    """Browser and system in two words."""
    browser = next((name for name in _BROWSERS if name in user_agent), "A browser").replace("Edg", "Edge")
    system = next((name for name in _SYSTEMS if name in user_agent), "")
    return f"{browser} on {system}" if system else browser


@router.post("/account/keys")
def make_key(
    request: Request, caller: SignedIn, services: Parts, name: Annotated[str, Form(max_length=200)] = ""
) -> Response:
    """A new key, shown on this answer only."""
    with acting(services, caller) as (session, account):
        if len(queries.keys_of(session, account.id)) >= MAX_KEYS:
            errors = {"name": f"You have {MAX_KEYS} keys. Revoke one that you no longer use."}
            return _account_page(request, session, account, caller, errors=errors)
        _, key = keys.create_key(session, account, name, caller.actor)
        return _account_page(request, session, account, caller, new_key=key)


@router.post("/account/keys/{key_id}/revoke")
def revoke_key(key_id: uuid.UUID, caller: SignedIn, services: Parts) -> Response:
    """Make a key useless."""
    with acting(services, caller) as (session, account):
        keys.revoke_key(session, account, key_id, caller.actor)
    return see("/account")


@router.post("/account/sessions/{session_id}/end")
def end_session(session_id: uuid.UUID, caller: SignedIn, services: Parts) -> Response:
    """Log another browser out."""
    with acting(services, caller) as (session, account):
        service.end_session(session, account, session_id, caller.actor)
    return see("/account")


@router.post("/account/password")
def change_password(
    request: Request,
    caller: SignedIn,
    services: Parts,
    current_password: Annotated[str, Form(max_length=300)] = "",
    new_password: Annotated[str, Form(max_length=300)] = "",
) -> Response:
    """Replace the password; every other browser has to sign in again."""
    try:
        with acting(services, caller) as (session, account):
            keep = caller.login_id
            service.change_password(session, account, current_password, new_password, caller.actor, keep=keep)
    except Invalid as error:
        field = "current_password" if error.code == "password.wrong" else "new_password"
        with looking(services, caller) as (session, account):
            return _account_page(request, session, account, caller, errors={field: error.message})
    return see("/account")
