"""The second step of signing in, and signing in with a passkey alone."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import JSONResponse, Response
from sqlalchemy.orm import Session

from app.accounts import passkeys, second_step, totp
from app.accounts.identity import address_of, cookie_name
from app.accounts.models import Account
from app.accounts.passkeys import Ceremony
from app.accounts.second_factor import Visit
from app.accounts.second_step import Step
from app.accounts.sessions import start_session
from app.core.errors import Forbidden, Invalid, NotFound, RateLimited, Unauthenticated
from app.core.services import Services, services_of
from app.settings import Settings
from app.site import cookies, paces
from app.site.pages import own_path, page, see

PATH = "/login/second-step"
Parts = Annotated[Services, Depends(services_of)]
Sent = Annotated[str, Form(max_length=passkeys.MAX_SENT)]
router = APIRouter(prefix="/login")


def lead_there(settings: Settings, session: Session, account: Account, next_path: str) -> Response:
    """The answer to a right password of an account that has a second factor. Writes the step's token."""
    token = second_step.begin(session, account, next_path)
    response = see(PATH)
    response.set_cookie(
        _cookie_name(settings),
        token,
        max_age=int(second_step.LIFETIME.total_seconds()),
        path=PATH,
        httponly=True,
        secure=settings.web.secure_cookies,
        samesite="lax",
    )
    return response


def visit_of(request: Request, settings: Settings) -> Visit:
    """Where a request comes from."""
    known = cookies.known_browsers(request, settings)
    token = request.cookies.get(cookie_name(settings), "")
    return Visit(address_of(request), request.headers.get("user-agent", ""), known, token)


def site_or_not_found(settings: Settings) -> passkeys.Site:
    """This service for passkeys. Raises NotFound where browsers allow none."""
    site = passkeys.site_of(settings)
    if site is None:
        raise NotFound("passkey.impossible", "Passkeys don’t work at this address.")
    return site


@router.get("/second-step")
def second_step_form(request: Request, services: Parts) -> Response:
    """The form; without a step that waits, the way to sign in."""
    try:
        with services.databases.reading() as session:
            return _form(request, session, second_step.waiting(session, _token(request, services)))
    except Unauthenticated:
        return see("/login")


def _form(request: Request, session: Session, step: Step, error: str | None = None, status: int = 200) -> Response:
    can_use_passkeys = passkeys.site_of(services_of(request).settings) is not None
    return page(
        request,
        "second_step.html",
        None,
        status,
        over=False,
        again="",
        error=error,
        has_app=totp.is_on(session, step.account.id),
        has_passkey=can_use_passkeys and passkeys.has_any(session, step.account.id),
    )


@router.post("/second-step")
def take_code(request: Request, services: Parts, code: Annotated[str, Form(max_length=100)] = "") -> Response:
    """Look at a code; a right one signs in."""
    settings, token = services.settings, _token(request, services)
    visit = visit_of(request, settings)
    try:
        with services.databases.writing() as session:
            step = second_step.waiting(session, token)
            taken = second_step.take_code(session, token, code, settings, visit)
            if isinstance(taken, str):
                return _signed_in(session, settings, token, step, visit, means=taken)
    except RateLimited as error:
        with services.databases.reading() as session:
            return _form(request, session, second_step.waiting(session, token), error.message, error.status)
    if taken == 0:
        words = "That was a wrong code too often. Sign in again, and wait for a new code before you type it."
        again = f"/login?next={quote(step.next, safe='/')}"
        return page(
            request,
            "second_step.html",
            None,
            401,
            over=True,
            again=again,
            error=words,
            has_app=False,
            has_passkey=False,
        )
    words = f"That code is wrong, or was used before. {taken} more {'try' if taken == 1 else 'tries'}."
    with services.databases.reading() as session:
        return _form(request, session, step, words, 401)


@router.post("/second-step/passkey/options")
def ask_for_passkey(request: Request, services: Parts) -> JSONResponse:
    """A challenge for one of the account's passkeys."""
    site = site_or_not_found(services.settings)
    with services.databases.writing() as session:
        step = second_step.waiting(session, _token(request, services))
        given = {"account_id": step.account.id, "holder": step.id}
        return JSONResponse(passkeys.begin_proving(session, site, Ceremony.SECOND_STEP, **given))


@router.post("/second-step/passkey")
def take_passkey(request: Request, services: Parts, answer: Sent = "") -> Response:
    """Look at a passkey's answer; a right one signs in."""
    settings, token = services.settings, _token(request, services)
    with services.databases.reading() as session:
        step = second_step.waiting(session, token)
    try:
        holder = prove_passkey(services, answer, Ceremony.SECOND_STEP, account_id=step.account.id, holder=step.id)
    except Invalid as error:
        with services.databases.reading() as session:
            return _form(request, session, step, error.message, 401)
    assert holder.id == step.account.id
    with services.databases.writing() as session:
        visit = visit_of(request, settings)
        return _signed_in(session, settings, token, step, visit, means="passkey")


@router.post("/passkey/options")
def ask_for_any_passkey(request: Request, services: Parts) -> JSONResponse:
    """A challenge for whatever passkey the browser knows."""
    site = site_or_not_found(services.settings)
    paces.take(request, "passkey")  # each writes a row, for anybody
    with services.databases.writing() as session:
        return JSONResponse(passkeys.begin_proving(session, site, Ceremony.SIGN_IN))


@router.post("/passkey")
def sign_in_with_passkey(
    request: Request, services: Parts, answer: Sent = "", next: Annotated[str, Form(max_length=1000)] = "/"
) -> Response:
    """Sign in by a passkey alone: it has checked its holder, so it stands for both steps."""
    settings = services.settings
    try:
        account = prove_passkey(services, answer, Ceremony.SIGN_IN)
        with services.databases.writing() as session:
            return _start(session, settings, account, visit_of(request, settings), "passkey", own_path(next))
    except (Invalid, Forbidden) as error:
        shown: dict[str, Any] = {"email": "", "error": error.message, "next": own_path(next)}
        return page(request, "login.html", None, 401 if isinstance(error, Invalid) else error.status, **shown)


def prove_passkey(services: Services, answer: str, ceremony: Ceremony, **bound: Any) -> Account:
    """The account whose passkey answered. Raises Invalid. Commits by itself, so that a challenge is used in any case.

    `bound` is the account_id and the holder that the challenge was made for.
    """
    site = site_or_not_found(services.settings)
    with services.databases.writing() as session:
        challenge = passkeys.take_challenge(session, answer, ceremony, **bound)
    with services.databases.writing() as session:
        account = passkeys.holder_of(session, site, challenge=challenge, sent=answer)
    if account is None or bound.get("account_id", account.id) != account.id:
        raise passkeys.refused()
    return account


def _signed_in(session: Session, settings: Settings, token: str, step: Step, visit: Visit, *, means: str) -> Response:
    second_step.finish(session, token)
    response = _start(session, settings, step.account, visit, means, step.next)
    response.delete_cookie(
        _cookie_name(settings), path=PATH, httponly=True, secure=settings.web.secure_cookies, samesite="lax"
    )
    return response


def _start(
    session: Session, settings: Settings, account: Account, visit: Visit, means: str, next_path: str
) -> Response:
    started = start_session(
        session,
        account.id,
        address=visit.address,
        user_agent=visit.user_agent,
        settings=settings,
        means=means,
        second_factor=True,
        known_browsers=visit.known_browsers,
        replaces=visit.session_token,
    )
    response = see(next_path)
    cookies.sign_browser_in(response, settings, started)
    return response


def _token(request: Request, services: Services) -> str:
    token = request.cookies.get(_cookie_name(services.settings), "")
    if not token:
        raise Unauthenticated("second_step.missing", "Please sign in.")
    return token


def _cookie_name(settings: Settings) -> str:
    """Browsers allow the __Host- prefix only for the whole site."""
    return "__Secure-vouch-step" if settings.web.secure_cookies else "vouch_step"
