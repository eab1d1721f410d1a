"""Confirming that it is you, before a change that matters."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import JSONResponse, Response
from sqlalchemy.orm import Session

from app.accounts import confirmation, passkeys, passwords, second_factor, throttle, totp
from app.accounts.identity import Caller, SignedIn, acting, looking
from app.accounts.models import Account
from app.accounts.passkeys import Ceremony
from app.core.errors import DomainError, Invalid, RateLimited
from app.core.services import Services, services_of
from app.site import cookies
from app.site.pages import own_path, page, see
from app.site.second_step import Sent, prove_passkey, site_or_not_found, visit_of

Parts = Annotated[Services, Depends(services_of)]
Next = Annotated[str, Form(max_length=1000)]
router = APIRouter(prefix="/account/confirm")


@router.get("")
def show_form(request: Request, caller: SignedIn, services: Parts, next: str = "/account") -> Response:
    """The form: for a code or a passkey where the account has a second factor, else for the password."""
    with looking(services, caller) as (session, account):
        return _form(request, session, account, next)


def _form(
    request: Request, session: Session, account: Account, next_path: str, error: DomainError | None = None
) -> Response:
    can_use_passkeys = passkeys.site_of(services_of(request).settings) is not None
    return page(
        request,
        "confirm.html",
        account,
        error.status if error else 200,
        error=error.message if error else None,
        next=own_path(next_path),
        by_password=not second_factor.has(session, account.id),
        has_app=totp.is_on(session, account.id),
        has_passkey=can_use_passkeys and passkeys.has_any(session, account.id),
        email=account.email,
    )


@router.post("")
def confirm(
    request: Request,
    caller: SignedIn,
    services: Parts,
    next: Next = "/account",
    password: Annotated[str, Form(max_length=300)] = "",
    code: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Look at the password or the code; a right one leads back."""
    with looking(services, caller) as (session, account):
        by_password = not second_factor.has(session, account.id)
    try:
        if by_password:
            means = _check_password(services, caller, password)
        else:
            means = _check_code(request, services, caller, code)
    except (Invalid, RateLimited) as error:
        with looking(services, caller) as (session, account):
            return _form(request, session, account, next, error)
    return _confirmed(services, caller, next, means, second_factor=not by_password)


def _check_password(services: Services, caller: Caller, password: str) -> str:
    """Hashing is slow, so no transaction writes meanwhile."""
    assert caller.login_id is not None
    try:
        with looking(services, caller) as (session, account):
            passwords.check_present(session, account, password, caller.login_id)
    except Invalid as error:
        with services.databases.writing() as session:
            throttle.note(session, error.facts["who"])
        raise
    return "password"


def _check_code(request: Request, services: Services, caller: Caller, code: str) -> str:
    settings = services.settings
    with acting(services, caller) as (session, account):
        means = second_factor.accept_code(session, account, code, settings, visit_of(request, settings))
    if means is None:
        raise Invalid("second_factor.wrong", "That code is wrong, or was used before. Wait for the next one.")
    return means


@router.post("/passkey/options")
def ask_for_passkey(caller: SignedIn, services: Parts) -> JSONResponse:
    """A challenge for one of the account's passkeys."""
    site = site_or_not_found(services.settings)
    with acting(services, caller) as (session, account):
        given = {"account_id": account.id, "holder": caller.login_id}
        return JSONResponse(passkeys.begin_proving(session, site, Ceremony.CONFIRM, **given))


@router.post("/passkey")
def confirm_with_passkey(
    request: Request, caller: SignedIn, services: Parts, answer: Sent = "", next: Next = "/account"
) -> Response:
    """Look at a passkey's answer; a right one leads back."""
    try:
        prove_passkey(services, answer, Ceremony.CONFIRM, account_id=caller.account_id, holder=caller.login_id)
    except Invalid as error:
        with looking(services, caller) as (session, account):
            return _form(request, session, account, next, error)
    return _confirmed(services, caller, next, "passkey", second_factor=True)


def _confirmed(services: Services, caller: Caller, next_path: str, means: str, *, second_factor: bool) -> Response:
    assert caller.login_id is not None
    with acting(services, caller) as (session, account):
        token = confirmation.note(session, account, caller.login_id, means=means, second_factor=second_factor)
    response = see(own_path(next_path))
    cookies.set_session(response, services.settings, token)
    return response
