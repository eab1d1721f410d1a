"""The account page: plan and use, sessions, password."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response
from sqlalchemy.orm import Session

from app.accounts import keys, passwords, sessions, throttle
from app.accounts.devices import device
from app.accounts.identity import Caller, SignedIn, acting, looking
from app.accounts.models import Account, Standing
from app.billing.ledger import balance_of
from app.billing.plans import plan_of
from app.core.errors import DomainError, Invalid, RateLimited
from app.core.services import Services, services_of
from app.site import cookies
from app.site.pages import page, see
from app.voices.service import count_voices

router = APIRouter()
Parts = Annotated[Services, Depends(services_of)]


@router.get("/account")
def show_account(request: Request, caller: SignedIn, services: Parts) -> Response:
    """The page."""
    with looking(services, caller) as (session, account):
        return _account_page(request, services, session, account, caller)


def _account_page(
    request: Request,
    services: Services,
    session: Session,
    account: Account,
    caller: Caller,
    *,
    errors: dict[str, str] | None = None,
) -> Response:
    return page(
        request,
        "account.html",
        account,
        422 if errors else 200,
        account=_facts(session, account),
        live_keys=keys.count_live(session, account.id),
        sessions=[
            {
                "id": login.id,
                "device": device(login.user_agent),
                "started_at": login.created_at,
                "current": login.id == caller.login_id,
            }
            for login in sessions.sessions_of(session, account.id, services.settings.web.session_idle)
        ],
        errors=errors or {},
        min_password=passwords.MIN_PASSWORD,
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


@router.post("/account/sessions/{session_id}/end")
def end_session(session_id: uuid.UUID, caller: SignedIn, services: Parts) -> Response:
    """Log another browser out."""
    with acting(services, caller) as (session, account):
        sessions.end_session(session, account, session_id, caller.actor)
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
        _replace_password(request, caller, services, current_password, new_password)
    except (Invalid, RateLimited) as error:
        _note_wrong(services, error)
        field = "new_password" if error.code in ("password.short", "password.weak") else "current_password"
        with looking(services, caller) as (session, account):
            return _account_page(request, services, session, account, caller, errors={field: error.message})
    return see("/account")


def _replace_password(request: Request, caller: Caller, services: Services, current: str, new: str) -> None:
    """Check and hash while no transaction writes."""
    with looking(services, caller) as (session, account):
        passwords.check_present(session, account, current, caller.login_id or caller.account_id)
    hashed = passwords.prepare(new, email=account.email, name=account.name)
    with acting(services, caller) as (session, account):
        passwords.replace(
            session,
            account,
            hashed,
            caller.actor,
            settings=services.settings,
            keep=caller.login_id,
            known_browsers=cookies.known_browsers(request, services.settings),
        )


def _note_wrong(services: Services, error: DomainError) -> None:
    if error.code == "password.wrong":
        with services.databases.writing() as session:
            throttle.note(session, error.facts["who"])
