"""Signing in and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from app.accounts.identity import SignedIn, acting, address_of
from app.accounts.sessions import Started, end_session, start_session
from app.accounts.sign_in import check_password, note_failure
from app.core.errors import DomainError, Unauthenticated
from app.core.services import Services, services_of
from app.site import cookies
from app.site.pages import page, see

router = APIRouter()
MAX_NEXT = 300
"""Longest path that the form takes along; a longer one is left out, or signing in would be refused for it."""


@router.get("/login")
def login_form(request: Request, next: str = "/") -> Response:
    """The form."""
    return page(request, "login.html", None, email="", error=None, next=_own_path(next))


@router.post("/login")
def log_in(
    request: Request,
    services: Annotated[Services, Depends(services_of)],
    email: Annotated[str, Form(max_length=300)] = "",
    password: Annotated[str, Form(max_length=300)] = "",
    next: Annotated[str, Form(max_length=MAX_NEXT)] = "/",
) -> Response:
    """Start a session and give the browser its cookie."""
    try:
        started = _start_session(request, services, email, password)
    except DomainError as error:
        _note_failure(request, services, error)
        shown = {"email": email, "error": error.message, "next": _own_path(next)}
        return page(request, "login.html", None, error.status, **shown)
    response = see(_own_path(next))
    cookies.sign_browser_in(response, services.settings, started)
    return response


def _start_session(request: Request, services: Services, email: str, password: str) -> Started:
    """Check the password while no transaction writes, then start the session."""
    address, settings = address_of(request), services.settings
    known = cookies.known_browsers(request, settings)
    with services.databases.reading() as session:
        account = check_password(session, email=email, password=password, address=address, known_browsers=known)
    with services.databases.writing() as session:
        return start_session(
            session,
            account.id,
            address=address,
            user_agent=request.headers.get("user-agent", ""),
            settings=settings,
            known_browsers=known,
        )


def _note_failure(request: Request, services: Services, error: DomainError) -> None:
    if isinstance(error, Unauthenticated):
        user_agent = request.headers.get("user-agent", "")
        with services.databases.writing() as session:
            note_failure(session, error.facts, address=address_of(request), user_agent=user_agent)


@router.post("/logout")
def log_out(caller: SignedIn, services: Annotated[Services, Depends(services_of)]) -> Response:
    """End this browser's session."""
    with acting(services, caller) as (session, account):
        if caller.login_id is not None:
            end_session(session, account, caller.login_id, caller.actor)
    response = see("/login")
    cookies.forget_session(response, services.settings)
    return response


def _own_path(path: str) -> str:
    """A path on this site; anything that could lead elsewhere becomes the home page.

    Browsers take a backslash for a slash and leave out tabs and line breaks, so a path with any of those is not ours.
    """
    own = path.startswith("/") and not path.startswith("//") and path.isprintable() and "\\" not in path
    return path if own and len(path) <= MAX_NEXT else "/"
