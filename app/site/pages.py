"""Rendering a page for the person who asks, and the pages of errors and refusals."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment
from starlette.staticfiles import StaticFiles

from app.accounts.confirmation import NotConfirmed
from app.accounts.models import Account
from app.core.errors import DomainError, Refused
from app.core.mail import CONSOLE
from app.core.services import services_of
from app.settings import Settings
from app.site.leads import lead_of
from app.site.templating import STATIC, environment

STATIC_LIFETIME = "public, max-age=31536000, immutable"
"""For addresses that hold a hash of their content."""
MAX_NEXT = 300
"""Longest path that a form takes along; a longer one is left out, or signing in would be refused for it."""


def page(request: Request, template: str, viewer: Account | None, status: int = 200, **context: Any) -> HTMLResponse:
    """An HTML answer from a template, for `viewer` (None when nobody is signed in)."""
    shown = {"email": viewer.email, "role": viewer.role.value} if viewer is not None else None
    html = _environment(request).get_template(template).render(viewer=shown, status=status, **context)
    return HTMLResponse(html, status)


def _environment(request: Request) -> Environment:
    state = request.app.state
    if not hasattr(state, "pages"):
        state.pages = environment(services_of(request).settings.contact)
    pages: Environment = state.pages
    return pages


def see(path: str) -> RedirectResponse:
    """Send the browser to another page after a form (303, so that a reload does not repeat the form)."""
    return RedirectResponse(path, status_code=303)


def own_path(path: str) -> str:
    """A path on this site; anything that could lead elsewhere becomes the home page, and so does one that is too long.

    Browsers take a backslash for a slash and leave out tabs and line breaks, so a path with any of those is not ours.
    """
    own = path.startswith("/") and not path.startswith("//") and path.isprintable() and "\\" not in path
    return path if own and len(path) <= MAX_NEXT else "/"


def mail_hint(settings: Settings) -> str | None:
    """Where to look for mail that does not leave this machine; None where it is really sent."""
    if settings.mail.url == "":
        return f"This installation sends no mail: it writes it to files in {settings.mail_directory}."
    return "This installation sends no mail: it writes it to its log." if settings.mail.url == CONSOLE else None


def in_words(error: DomainError) -> str:
    """What went wrong and what helps, for a line on the page that it happened on."""
    return " ".join(filter(None, (error.message, error.fix)))


def refusal_of(error: DomainError, what: str, voice_id: str | None = None) -> dict[str, Any]:
    """A refusal card: what was refused (a voice with `voice_id`, perhaps), why, by which rule, and what would help."""
    return {
        "what": what,
        "why": error.message,
        "rule": error.rule or error.code,
        "fix": [error.fix] if error.fix else [],
        "lead": lead_of(error.rule or error.code, voice_id),
    }


_TITLES = {403: "That is not allowed", 404: "There is nothing here", 413: "That is too large", 429: "Too fast"}


def render_error(request: Request, error: DomainError) -> Response:
    """The page for an error; somebody who is not signed in is sent to sign in."""
    if error.status == 401:
        if request.headers.get("hx-request"):  # a part of an open page: have the whole page asked for again
            return Response(status_code=401, headers={"HX-Refresh": "true"})
        return see(_sign_in_for(request))
    if isinstance(error, NotConfirmed):
        return see(f"/account/confirm?next={quote(_page_of(request), safe='/')}")
    if error.code == "second_factor.missing":
        return see("/account/security")
    if isinstance(error, Refused):
        card = refusal_of(error, "This was refused")
        return page(
            request,
            "refused.html",
            None,
            error.status,
            refusal=card,
            back={"href": "/", "words": "Back to your voices"},
        )
    title = _TITLES.get(error.status, "Something did not work")
    detail = error.message if not error.fix else f"{error.message} {error.fix}"
    request_id = getattr(request.state, "request_id", None)
    return page(request, "error.html", None, error.status, title=title, detail=detail, request_id=request_id)


def _sign_in_for(request: Request) -> str:
    """The address of the sign-in page that leads back to the page that was asked for."""
    path = request.url.path.removesuffix("/progress")  # a part of a page: lead back to the whole
    if request.method != "GET" or path == "/":
        return "/login"
    wanted = f"{path}?{request.url.query}" if request.url.query else path
    return f"/login?next={quote(wanted, safe='/')}"


def _page_of(request: Request) -> str:
    """The page that a request was made on: itself, or for a form the page that it was on."""
    if request.method == "GET":
        return request.url.path
    return own_path(urlsplit(request.headers.get("referer", "")).path)


class _KeptFiles(StaticFiles):
    """Static files. Browsers keep those asked for by content hash (`?v=`) for good, and ask again for the others."""

    def file_response(self, full_path: Any, stat_result: Any, scope: Any, status_code: int = 200) -> Response:
        """Say so in the headers."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        by_hash = b"v=" in scope["query_string"]
        response.headers["Cache-Control"] = STATIC_LIFETIME if by_hash else "no-cache"
        return response


def mount_static(web: FastAPI) -> None:
    """Serve the style sheets, scripts and icons."""
    web.mount("/static", _KeptFiles(directory=STATIC), name="static")
