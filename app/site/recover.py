"""A new password by mail. Known and unknown addresses get the same answers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from app.accounts import links, passwords, resets
from app.accounts.models import TokenPurpose
from app.core.errors import DomainError
from app.core.services import Services, services_of
from app.site import cookies, paces, second_step
from app.site.pages import mail_hint, page

router = APIRouter()
Parts = Annotated[Services, Depends(services_of)]
Typed = Annotated[str, Form(max_length=300)]
NEW_PASSWORD = links.PAGES[TokenPurpose.RESET_PASSWORD]


@router.get("/password/forgotten")
def forgotten_form(request: Request, email: str = "") -> Response:
    """The form."""
    return page(request, "forgotten.html", None, email=email[:300], error=None, sent=False, mail_hint=None)


@router.post("/password/forgotten")
def ask(request: Request, services: Parts, email: Typed = "") -> Response:
    """Send the mail, where there is an account, and say to look into the mail in any case."""
    try:
        paces.take(request, "forgotten")
        with services.databases.writing() as session:
            resets.ask(session, email=email, settings=services.settings)
    except DomainError as error:
        shown = {"email": email, "error": error.message, "sent": False, "mail_hint": None}
        return page(request, "forgotten.html", None, error.status, **shown)
    hint = mail_hint(services.settings)
    return page(request, "forgotten.html", None, email=email, error=None, sent=True, mail_hint=hint)


@router.get(NEW_PASSWORD)
def new_password_form(request: Request, services: Parts, token: str = "") -> Response:
    """The page of the link: uses nothing up."""
    return _form(request, services, token)


@router.post(NEW_PASSWORD)
def set_password(request: Request, services: Parts, token: Typed = "", password: Typed = "") -> Response:
    """Replace the password. Signing in is the next step, so that a second factor is asked for."""
    visit = second_step.visit_of(request, services.settings)
    try:
        with services.databases.reading() as session:
            account = resets.holder(session, token)
        hashed = passwords.prepare(password, email=account.email, name=account.name)
        with services.databases.writing() as session:
            known = resets.set_password(
                session,
                token,
                hashed,
                address=visit.address,
                user_agent=visit.user_agent,
                settings=services.settings,
                known_browsers=visit.known_browsers,
            )
    except DomainError as error:
        return _form(request, services, token, error)
    response = page(request, "login.html", None, email=account.email, error=None, next="/", changed=True)
    cookies.set_known_browsers(response, services.settings, known)
    return response


def _form(request: Request, services: Services, token: str, error: DomainError | None = None) -> Response:
    try:
        with services.databases.reading() as session:
            email = resets.holder(session, token[:200]).email
    except DomainError as dead:
        again = {"href": "/password/forgotten", "words": "Ask for a new link"}
        return page(request, "dead_link.html", None, dead.status, message=dead.message, again=again)
    return page(
        request,
        "new_password.html",
        None,
        error.status if error else 200,
        token=token,
        email=email,
        error=error.message if error else None,
        min_password=passwords.MIN_PASSWORD,
    )
