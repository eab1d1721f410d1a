"""Confirmation: sensitive changes need somebody who has proved themselves in this session a short while ago.

Signing in counts. After `web.confirm_for` the person is asked again: for a code or a passkey where the account has a
second factor, else for the password. A session that was confirmed gets a new token.
"""

from __future__ import annotations

import uuid

from sqlalchemy.orm import Session

from app.accounts.models import Account, LoginSession
from app.core import audit, crypto
from app.core.audit import Actor
from app.core.db import now
from app.core.errors import Forbidden
from app.settings import Settings


class NotConfirmed(Forbidden):
    """The person must confirm who they are first; pages lead to the form for it."""


def demand(session: Session, login_id: uuid.UUID | None, settings: Settings) -> None:
    """Raise NotConfirmed unless the log-in session was confirmed recently."""
    login = session.get(LoginSession, login_id) if login_id else None
    if login is None or login.confirmed_at + settings.web.confirm_for <= now():
        raise NotConfirmed("session.unconfirmed", "Please confirm first that it is you.")


def note(session: Session, account: Account, login_id: uuid.UUID, *, means: str, second_factor: bool) -> str:
    """Remember that the person has just proved themselves; gives the cookie's new token, the old one is void."""
    login = session.get_one(LoginSession, login_id)
    token = crypto.secret_token()
    login.token_digest = crypto.digest(token)
    login.confirmed_at = now()
    login.second_factor = login.second_factor or second_factor
    audit.record(session, Actor("account", str(account.id)), "login_session.confirmed", login, facts={"means": means})
    return token
