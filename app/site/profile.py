"""Name, e-mail address and password of an account."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from app.accounts import email_change, links, passwords, throttle
from app.accounts.identity import Caller, Confirmed, SignedIn, acting, looking
from app.accounts.models import TokenPurpose
from app.billing.verification import rename_account
from app.core.errors import DomainError
from app.core.services import Services, services_of
from app.site import cookies
from app.site.pages import in_words, mail_hint, page, see

router = APIRouter()
Parts = Annotated[Services, Depends(services_of)]
Typed = Annotated[str, Form(max_length=300)]
PATH = "/account/profile"
CONFIRM = links.PAGES[TokenPurpose.CHANGE_EMAIL]


@router.get(PATH)
def show_profile(request: Request, caller: SignedIn, services: Parts) -> Response:
    """The three forms."""
    return _profile(request, caller, services)


def _profile(
    request: Request,
    caller: Caller,
    services: Services,
    *,
    error: DomainError | None = None,
    field: str = "",
    typed: str = "",
    mailed_to: str | None = None,
) -> Response:
    with looking(services, caller) as (_, account):
        return page(
            request,
            "profile.html",
            account,
            error.status if error else 200,
            name=typed if field == "name" else account.name,
            email=account.email,
            new_email=typed if field == "new_email" else "",
            verified=account.verified_at is not None,
            password_is_temporary=account.password_is_temporary,
            errors={field: in_words(error)} if error else {},
            mailed_to=mailed_to,
            mail_hint=mail_hint(services.settings) if mailed_to else None,
            min_password=passwords.MIN_PASSWORD,
        )


@router.post(f"{PATH}/name")
def rename(request: Request, caller: SignedIn, services: Parts, name: Typed = "") -> Response:
    """Change the name; a verified person is to be verified again."""
    try:
        with acting(services, caller) as (session, account):
            rename_account(session, account, name, caller.actor, services.settings)
    except DomainError as error:
        return _profile(request, caller, services, error=error, field="name", typed=name)
    return see(PATH)


@router.post(f"{PATH}/email")
def ask_for_email(request: Request, caller: Confirmed, services: Parts, new_email: Typed = "") -> Response:
    """Send a link to the new address."""
    try:
        with acting(services, caller) as (session, account):
            to = email_change.ask(session, account, new_email, caller.actor, settings=services.settings)
    except DomainError as error:
        return _profile(request, caller, services, error=error, field="new_email", typed=new_email)
    return _profile(request, caller, services, mailed_to=to)


@router.get(CONFIRM)
def confirm_email_form(request: Request, caller: SignedIn, services: Parts, token: str = "") -> Response:
    """The page of the link: uses nothing up."""
    with looking(services, caller) as (session, account):
        try:
            wanted = email_change.wanted(session, account, token[:200])
        except DomainError as error:
            return _dead(request, error)
        return page(request, "confirm_email.html", account, token=token, old=account.email, new=wanted)


@router.post(CONFIRM)
def confirm_email(request: Request, caller: SignedIn, services: Parts, token: Typed = "") -> Response:
    """Move the account to the new address."""
    try:
        with acting(services, caller) as (session, account):
            email_change.confirm(session, account, token, caller.actor, settings=services.settings)
    except DomainError as error:
        return _dead(request, error)
    return see(PATH)


def _dead(request: Request, error: DomainError) -> Response:
    again = {"href": PATH, "words": "Back to your profile"}
    return page(request, "dead_link.html", None, error.status, message=in_words(error), again=again)


@router.post("/account/password")
def change_password(
    request: Request, caller: SignedIn, services: Parts, current_password: Typed = "", new_password: Typed = ""
) -> Response:
    """Replace the password; every other browser has to sign in again."""
    try:
        _replace_password(request, caller, services, current_password, new_password)
    except DomainError as error:
        _note_wrong(services, error)
        field = "new_password" if error.code in ("password.short", "password.weak") else "current_password"
        return _profile(request, caller, services, error=error, field=field)
    return see(PATH)


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
