"""Signing in and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from app.accounts import service
from app.accounts.identity import SignedIn, acting, cookie_name
from app.core.errors import DomainError, Unauthenticated
from app.core.services import Services, services_of
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
    settings = services.settings
    try:
        token = _start_session(request, services, email, password)
    except DomainError as error:
        _note_failure(services, error)
        shown = {"email": email, "error": error.message, "next": _own_path(next)}
        return page(request, "login.html", None, error.status, **shown)
    response = see(_own_path(next))
    response.set_cookie(
        cookie_name(settings),
        token,
        max_age=int(settings.web.session_lifetime.total_seconds()),
        httponly=True,
        secure=settings.web.secure_cookies,
        samesite="lax",
    )
    return response


def _start_session(request: Request, services: Services, email: str, password: str) -> str:
    """Check the password while no transaction writes, then start the session; gives the cookie's token."""
    address = request.client.host if request.client else ""
    with services.databases.reading() as session:
        account = service.check_password(session, email=email, password=password, address=address)
    with services.databases.writing() as session:
        _, token = service.start_session(
            session,
            account.id,
            address=address,
            user_agent=request.headers.get("user-agent", ""),
            lifetime=services.settings.web.session_lifetime,
        )
    return token


def _note_failure(services: Services, error: DomainError) -> None:
    if isinstance(error, Unauthenticated):
        with services.databases.writing() as session:
            service.note_failed_login(session, error.facts["who"])


@router.post("/logout")
def log_out(caller: SignedIn, services: Annotated[Services, Depends(services_of)]) -> Response:
    """End this browser's session."""
    with acting(services, caller) as (session, account):
        if caller.login_id is not None:
            service.end_session(session, account, caller.login_id, caller.actor)
    response = see("/login")
    settings = services.settings
    # Browsers heed this for a cookie with the __Host- prefix only when it is marked secure again.
    response.delete_cookie(cookie_name(settings), httponly=True, secure=settings.web.secure_cookies, samesite="lax")
    return response


def _own_path(path: str) -> str:
    """A path on this site; anything that could lead elsewhere becomes the home page.

    Browsers take a backslash for a slash and leave out tabs and line breaks, so a path with any of those is not ours.
    """
    own = path.startswith("/") and not path.startswith("//") and path.isprintable() and "\\" not in path
    return path if own and len(path) <= MAX_NEXT else "/"
