"""The two cookies of a person who signs in: the session, and that the browser is known to the account."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response

from app.accounts import browsers
from app.accounts.identity import cookie_name
from app.accounts.sessions import Started
from app.settings import Settings


def sign_browser_in(response: Response, settings: Settings, started: Started) -> None:
    """Give the browser both cookies of a session that has begun."""
    set_session(response, settings, started.token)
    set_known_browsers(response, settings, started.known_browsers)


def set_session(response: Response, settings: Settings, token: str) -> None:
    """Give the browser the token of its session."""
    _set(response, settings, cookie_name(settings), token, settings.web.session_lifetime.total_seconds())


def set_known_browsers(response: Response, settings: Settings, cookie: str) -> None:
    """Give the browser what makes it known to the accounts that were used in it."""
    _set(response, settings, _known_name(settings), cookie, browsers.LIFETIME.total_seconds())


def known_browsers(request: Request, settings: Settings) -> str:
    """That cookie as it came, or ""."""
    return request.cookies.get(_known_name(settings), "")


def forget_session(response: Response, settings: Settings) -> None:
    """Take the session cookie back; the browser stays known."""
    # Browsers heed this for a cookie with the __Host- prefix only when it is marked secure again.
    response.delete_cookie(cookie_name(settings), httponly=True, secure=settings.web.secure_cookies, samesite="lax")


def _known_name(settings: Settings) -> str:
    return "__Host-vouch-browser" if settings.web.secure_cookies else "vouch_browser"


def _set(response: Response, settings: Settings, name: str, value: str, seconds: float) -> None:
    response.set_cookie(
        name, value, max_age=int(seconds), httponly=True, secure=settings.web.secure_cookies, samesite="lax"
    )
