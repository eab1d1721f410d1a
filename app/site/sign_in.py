"""Signing in and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from app.accounts import second_factor
from app.accounts.identity import SignedIn, acting, address_of
from app.accounts.sessions import end_session, start_session
from app.accounts.sign_in import check_password, note_failure
from app.core.errors import DomainError, Unauthenticated
from app.core.services import Services, services_of
from app.site import cookies, second_step
from app.site.pages import MAX_NEXT, in_words, own_path, page, see

router = APIRouter()


@router.get("/login")
def login_form(request: Request, next: str = "/") -> Response:
    """The form."""
    return page(request, "login.html", None, email="", error=None, next=own_path(next))


@router.post("/login")
def log_in(
    request: Request,
    services: Annotated[Services, Depends(services_of)],
    email: Annotated[str, Form(max_length=300)] = "",
    password: Annotated[str, Form(max_length=300)] = "",
    next: Annotated[str, Form(max_length=MAX_NEXT)] = "/",
) -> Response:
    """Start a session and give the browser its cookies, or ask for the second step."""
    try:
        return _first_step(request, services, email, password, own_path(next))
    except DomainError as error:
        _note_failure(request, services, error)
        unproved = error.code == "login.unproved"
        shown = {"email": email, "error": in_words(error), "next": own_path(next), "unproved": unproved}
        return page(request, "login.html", None, error.status, **shown)


def _first_step(request: Request, services: Services, email: str, password: str, next_path: str) -> Response:
    """Check the password while no transaction writes; then start the session, or lead to the second step."""
    visit, settings = second_step.visit_of(request, services.settings), services.settings
    known = visit.known_browsers
    with services.databases.reading() as session:
        account = check_password(session, email=email, password=password, address=visit.address, known_browsers=known)
    with services.databases.writing() as session:
        if second_factor.has(session, account.id):
            return second_step.lead_there(settings, session, account, next_path)
        started = start_session(
            session,
            account.id,
            address=visit.address,
            user_agent=visit.user_agent,
            settings=settings,
            known_browsers=known,
            replaces=visit.session_token,
        )
    response = see(next_path)
    cookies.sign_browser_in(response, settings, started)
    return response


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
