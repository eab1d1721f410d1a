"""Signing up: the form, the mail, and the link that finishes it. Known and unknown addresses get the same answers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from app.accounts import links, passwords, registration
from app.accounts.addresses import clean_email
from app.accounts.identity import address_of
from app.accounts.models import TokenPurpose
from app.accounts.sessions import start_session
from app.core.errors import DomainError
from app.core.services import Services, services_of
from app.site import cookies, second_step
from app.site.pages import in_words, mail_hint, page, see

router = APIRouter()
Parts = Annotated[Services, Depends(services_of)]
Typed = Annotated[str, Form(max_length=300)]
CONFIRM = links.PAGES[TokenPurpose.VERIFY_EMAIL]
_FIELDS = {"account.email": "email", "password.short": "password", "password.weak": "password"}


@router.get("/sign-up")
def sign_up_form(request: Request, services: Parts) -> Response:
    """The form, or why there is none."""
    return _form(request, services)


@router.post("/sign-up")
def sign_up(
    request: Request, services: Parts, name: Typed = "", email: Typed = "", password: Typed = "", agree: Typed = ""
) -> Response:
    """Make an account that the mail's link will finish, and say to look into the mail."""
    address = address_of(request)
    try:
        _read(name, agree)
        with services.databases.reading() as session:
            registration.may_sign_up(session, address=address, settings=services.settings)
        hashed = passwords.prepare(password, email=clean_email(email), name=name)
        with services.databases.writing() as session:
            registration.register(
                session, email=email, name=name, password_hash=hashed, address=address, settings=services.settings
            )
    except DomainError as error:
        return _form(request, services, name=name, email=email, agreed=bool(agree), error=error)
    return _look_into_mail(request, services, email, again=False)


def _read(name: str, agree: str) -> None:
    if not name.strip():
        raise _Missing("name", "Write your name.")
    if not agree:
        raise _Missing("agree", "Please agree to this first.")


class _Missing(DomainError):
    """A field that was left empty."""

    status = 422

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"sign_up.{field}", message)
        self.field = field


def _form(
    request: Request,
    services: Services,
    *,
    name: str = "",
    email: str = "",
    agreed: bool = False,
    error: DomainError | None = None,
) -> Response:
    field = error.field if isinstance(error, _Missing) else _FIELDS.get(error.code if error else "")
    return page(
        request,
        "sign_up.html",
        None,
        error.status if error else 200,
        name=name,
        email=email,
        agreed=agreed,
        is_open=services.settings.accounts.sign_up == "open",
        errors={field: error.message} if error and field else {},
        error=in_words(error) if error and not field else None,
        min_password=passwords.MIN_PASSWORD,
    )


@router.post("/sign-up/again")
def send_again(request: Request, services: Parts, email: Typed = "") -> Response:
    """Send the link once more."""
    try:
        with services.databases.writing() as session:
            registration.send_again(session, email=email, settings=services.settings)
    except DomainError as error:
        return _form(request, services, email=email, error=error)
    return _look_into_mail(request, services, email, again=True)


def _look_into_mail(request: Request, services: Services, email: str, *, again: bool) -> Response:
    return page(
        request,
        "check_mail.html",
        None,
        email=email,
        sent_again=again,
        link_hours=round(services.settings.accounts.link_lifetime.total_seconds() / 3600),
        mail_hint=mail_hint(services.settings),
    )


@router.get(CONFIRM)
def confirm_form(request: Request, services: Parts, token: str = "") -> Response:
    """The page of the link: asks for the password and uses nothing up."""
    try:
        with services.databases.reading() as session:
            email = registration.waiting_for(session, token[:200])
    except DomainError as error:
        return _link_problem(request, error)
    return page(request, "confirm_sign_up.html", None, token=token, email=email, error=None)


@router.post(CONFIRM)
def confirm(request: Request, services: Parts, token: Typed = "", password: Typed = "") -> Response:
    """Finish the sign-up, and sign this browser in: the link and the password have both been shown."""
    visit = second_step.visit_of(request, services.settings)
    email = ""
    try:
        with services.databases.reading() as session:
            email = registration.waiting_for(session, token)
            account = registration.check_sign_up(session, token, password)
        with services.databases.writing() as session:
            registration.finish(session, token)
            started = start_session(
                session,
                account.id,
                address=visit.address,
                user_agent=visit.user_agent,
                settings=services.settings,
                known_browsers=visit.known_browsers,
                replaces=visit.session_token,
            )
    except DomainError as error:
        if error.code.startswith("link."):
            return _link_problem(request, error)
        return page(
            request, "confirm_sign_up.html", None, error.status, token=token, email=email, error=in_words(error)
        )
    response = see("/")
    cookies.sign_browser_in(response, services.settings, started)
    return response


def _link_problem(request: Request, error: DomainError) -> Response:
    return page(
        request,
        "dead_link.html",
        None,
        error.status,
        message=error.message,
        again={"href": "/sign-up", "words": "Sign up again"},
    )
