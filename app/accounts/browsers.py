"""Browsers in which an account has signed in before, known by a cookie that outlives the session.

The cookie holds a token for each of the accounts that were used in the browser; only digests are stored.
"""

from __future__ import annotations

import uuid
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.accounts.holds import held
from app.accounts.models import KnownBrowser
from app.core import crypto
from app.core.db import now

LIFETIME = timedelta(days=180)
"""How long after its last sign-in a browser is known, and how long the cookie lasts."""
_MOST = 5  # accounts that one browser is known to
_SEPARATOR = "."
_LONGEST_COOKIE = 300


def find(session: Session, account_id: uuid.UUID, cookie: str) -> KnownBrowser | None:
    """The browser that holds this cookie, if the account has signed in in it."""
    query = select(KnownBrowser).where(
        KnownBrowser.account_id == account_id,
        KnownBrowser.token_digest.in_(_digests(cookie)),
        KnownBrowser.used_at > now() - LIFETIME,
    )
    return session.scalars(query.limit(1)).one_or_none()


def remember(session: Session, account_id: uuid.UUID, cookie: str) -> str:
    """Make the browser with this cookie known to the account; gives the cookie that it should hold from now on."""
    known = find(session, account_id, cookie)
    if known is not None:
        known.used_at = now()
        return cookie
    token = crypto.secret_token()
    session.add(KnownBrowser(account_id=account_id, token_digest=crypto.digest(token)))
    session.flush()
    return _SEPARATOR.join([token, *_tokens(cookie)][:_MOST])


def forget_others(session: Session, account_id: uuid.UUID, cookie: str) -> None:
    """Forget the account's browsers but the one that holds this cookie."""
    session.execute(
        delete(KnownBrowser).where(
            KnownBrowser.account_id == account_id, KnownBrowser.token_digest.not_in(_digests(cookie))
        )
    )


def forget_old(session: Session) -> None:
    """Forget those that have not been used for LIFETIME."""
    unused = (KnownBrowser.used_at <= now() - LIFETIME, ~held(KnownBrowser.account_id))
    session.execute(delete(KnownBrowser).where(*unused))


def _tokens(cookie: str) -> list[str]:
    if len(cookie) > _LONGEST_COOKIE:
        return []
    return [token for token in cookie.split(_SEPARATOR) if token][:_MOST]


def _digests(cookie: str) -> list[str]:
    return [crypto.digest(token) for token in _tokens(cookie)]
