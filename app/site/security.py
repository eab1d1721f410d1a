"""The security page: password, authenticator app, passkeys, recovery codes, sessions, log-in history."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import JSONResponse, Response
from sqlalchemy.orm import Session

from app.accounts import history, passkeys, recovery, second_factor, sessions, totp
from app.accounts.devices import device
from app.accounts.identity import Caller, Confirmed, SignedIn, acting, looking
from app.accounts.models import Account, LoginEvent, LoginOutcome, LoginSession
from app.accounts.passkeys import Ceremony
from app.core import crypto
from app.core.errors import Invalid
from app.core.services import Services, services_of
from app.site.pages import page, see
from app.site.second_step import Sent, site_or_not_found

PAGE = "/account/security"
EVENTS = 50
Parts = Annotated[Services, Depends(services_of)]
router = APIRouter(prefix=PAGE)
_WORDS = {
    LoginOutcome.SIGNED_IN: "Signed in",
    LoginOutcome.WRONG_PASSWORD: "Wrong password",
    LoginOutcome.WRONG_CODE: "Wrong code",
    LoginOutcome.PASSWORD_RESET: "New password by mail",
}
_MEANS = {"code": "with a code", "recovery_code": "with a recovery code", "passkey": "with a passkey"}


@router.get("")
def show(request: Request, caller: SignedIn, services: Parts) -> Response:
    """The page."""
    settings = services.settings
    with looking(services, caller) as (session, account):
        app = totp.factor_of(session, account.id)
        left = recovery.left(session, account.id)
        has_factor = second_factor.has(session, account.id)
        return page(
            request,
            "security.html",
            account,
            password_is_temporary=account.password_is_temporary,
            staff_must=second_factor.required(account, settings) and not has_factor,
            app_since=app.created_at if app else None,
            codes_left=left,
            few_codes=left <= recovery.FEW,
            has_factor=has_factor,
            passkeys=passkeys.of_account(session, account.id),
            passkeys_possible=passkeys.site_of(settings) is not None,
            sessions=[
                _session(login, caller)
                for login in sessions.sessions_of(session, account.id, settings.web.session_idle)
            ],
            events=[_event(event) for event in history.history_of(session, account.id, EVENTS)],
            shown=EVENTS,
        )


def _session(login: LoginSession, caller: Caller) -> dict[str, Any]:
    return {
        "id": login.id,
        "device": device(login.user_agent),
        "address": login.address,
        "second_factor": login.second_factor,
        "started_at": login.created_at,
        "seen_at": login.seen_at,
        "current": login.id == caller.login_id,
    }


def _event(event: LoginEvent) -> dict[str, Any]:
    means = _MEANS.get(event.means) if event.outcome is LoginOutcome.SIGNED_IN else None
    return {
        "at": event.at,
        "words": f"{_WORDS[event.outcome]} {means}" if means else _WORDS[event.outcome],
        "bad": event.outcome in (LoginOutcome.WRONG_PASSWORD, LoginOutcome.WRONG_CODE),
        "device": device(event.user_agent),
        "address": event.address,
    }


@router.get("/app")
def set_up_app(request: Request, caller: Confirmed, services: Parts) -> Response:
    """A new secret to put into an authenticator app."""
    with looking(services, caller) as (session, account):
        enrolment = totp.begin(account.id, crypto.web_secret(services.settings))
        return _app_page(request, services, session, account, enrolment)


def _app_page(
    request: Request,
    services: Services,
    session: Session,
    account: Account,
    enrolment: totp.Enrolment,
    error: Invalid | None = None,
) -> Response:
    address = totp.address(account, enrolment.secret, services.settings.voices.service_name)
    return page(
        request,
        "security_totp.html",
        account,
        error.status if error else 200,
        qr=totp.qr_code(address),
        groups=enrolment.groups,
        ticket=enrolment.ticket,
        error=error.message if error else None,
        replaces=totp.is_on(session, account.id),
    )


@router.post("/app")
def turn_app_on(
    request: Request,
    caller: Confirmed,
    services: Parts,
    ticket: Annotated[str, Form(max_length=1000)] = "",
    code: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Take the app into use, once its first code is right."""
    settings = services.settings
    try:
        enrolment = totp.resume(caller.account_id, ticket, crypto.web_secret(settings))
    except Invalid:
        return see(f"{PAGE}/app")
    try:
        with acting(services, caller) as (session, account):
            login, actor = caller.login_id, caller.actor
            codes = second_factor.add_app(
                session, account, enrolment, code, settings=settings, actor=actor, login_id=login
            )
            return _after_adding(request, account, codes, "Your authenticator app is on.")
    except Invalid as error:
        with looking(services, caller) as (session, account):
            return _app_page(request, services, session, account, enrolment, error)


def _after_adding(request: Request, account: Account, codes: list[str], done: str) -> Response:
    if not codes:
        return see(PAGE)
    return page(request, "recovery_codes.html", account, codes=codes, done=done)


@router.post("/app/remove")
def remove_app(caller: Confirmed, services: Parts) -> Response:
    """Sign in without codes from now on."""
    with acting(services, caller) as (session, account):
        second_factor.remove_app(session, account, services.settings, caller.actor)
    return see(PAGE)


@router.post("/codes")
def make_codes(request: Request, caller: Confirmed, services: Parts) -> Response:
    """New recovery codes, shown on this answer only."""
    with acting(services, caller) as (session, account):
        if not second_factor.has(session, account.id):
            return see(PAGE)
        codes = recovery.renew(session, account, crypto.web_secret(services.settings), caller.actor)
        return page(request, "recovery_codes.html", account, codes=codes, done="The old codes no longer work.")


@router.get("/passkeys/new")
def new_passkey(request: Request, caller: Confirmed, services: Parts) -> Response:
    """Where a passkey is made."""
    site_or_not_found(services.settings)
    with looking(services, caller) as (_, account):
        return page(request, "security_passkey.html", account, error=None)


@router.post("/passkeys/options")
def ask_to_add_passkey(caller: Confirmed, services: Parts) -> JSONResponse:
    """What the browser needs to make a passkey."""
    site = site_or_not_found(services.settings)
    assert caller.login_id is not None
    with acting(services, caller) as (session, account):
        return JSONResponse(passkeys.begin_adding(session, account, site, holder=caller.login_id))


@router.post("/passkeys")
def add_passkey(
    request: Request,
    caller: Confirmed,
    services: Parts,
    answer: Sent = "",
    name: Annotated[str, Form(max_length=300)] = "",
) -> Response:
    """Keep the passkey that the browser has made."""
    site, settings = site_or_not_found(services.settings), services.settings
    bound = {"account_id": caller.account_id, "holder": caller.login_id}
    try:
        with services.databases.writing() as session:  # of its own, so that the challenge is used in any case
            challenge = passkeys.take_challenge(session, answer, Ceremony.ADD, **bound)
        with acting(services, caller) as (session, account):
            codes = second_factor.add_passkey(
                session,
                account,
                site,
                challenge=challenge,
                sent=answer,
                name=name,
                settings=settings,
                actor=caller.actor,
                login_id=caller.login_id,
            )
            return _after_adding(request, account, codes, "Your passkey is ready.")
    except Invalid as error:
        with looking(services, caller) as (_, account):
            return page(request, "security_passkey.html", account, error.status, error=error.message)


@router.post("/passkeys/{passkey_id}/rename")
def rename_passkey(
    passkey_id: uuid.UUID, caller: SignedIn, services: Parts, name: Annotated[str, Form(max_length=300)] = ""
) -> Response:
    """Call a passkey something else."""
    with acting(services, caller) as (session, account):
        passkeys.rename(session, account, passkey_id, name, caller.actor)
    return see(PAGE)


@router.post("/passkeys/{passkey_id}/remove")
def remove_passkey(passkey_id: uuid.UUID, caller: Confirmed, services: Parts) -> Response:
    """Forget a passkey."""
    with acting(services, caller) as (session, account):
        second_factor.remove_passkey(session, account, passkey_id, services.settings, caller.actor)
    return see(PAGE)


@router.post("/sessions/end-others")
def end_other_sessions(caller: Confirmed, services: Parts) -> Response:
    """Log every other browser out."""
    with acting(services, caller) as (session, account):
        sessions.end_other_sessions(session, account, caller.actor, keep=caller.login_id)
    return see(PAGE)


@router.post("/sessions/{session_id}/end")
def end_session(session_id: uuid.UUID, caller: Confirmed, services: Parts) -> Response:
    """Log another browser out."""
    with acting(services, caller) as (session, account):
        sessions.end_session(session, account, session_id, caller.actor)
    return see(PAGE)
