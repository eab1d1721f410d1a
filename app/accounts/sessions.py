"""Browsers that are signed in: starting a session, recognising it, ending it.

A session ends when it is old (`web.session_lifetime`), when it is not used (`web.session_idle`), or when it is ended.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.accounts import browsers, history, letters
from app.accounts.models import Account, LoginOutcome, LoginSession
from app.accounts.standing import refuse_banned
from app.core import audit, crypto, mail
from app.core.audit import Actor
from app.core.db import now
from app.core.errors import NotFound, Unauthenticated
from app.core.text import one_line
from app.settings import Settings

SEEN_RESOLUTION = timedelta(minutes=5)  # `seen_at` is written at most this often, to keep reads cheap


@dataclass(frozen=True)
class Started:
    """A session that has begun, and the two cookies that the browser gets."""

    login: LoginSession
    token: str
    known_browsers: str


def start_session(
    session: Session,
    account_id: uuid.UUID,
    *,
    address: str,
    user_agent: str,
    settings: Settings,
    means: str = "password",
    second_factor: bool = False,
    known_browsers: str = "",
    replaces: str = "",
) -> Started:
    """Log a browser in, once everything that the account asks for was proved. Raises Forbidden when it is banned.

    `means` is what the sign-in was completed by: password, code, recovery_code or passkey; `second_factor` whether
    that was more than the password. `known_browsers` is the cookie of that name as it came, `replaces` the token of the
    session that this browser had, which ends. The holder gets a mail when the account was used before, but never in
    this browser.
    """
    account = session.get_one(Account, account_id)
    refuse_banned(account)
    _end_replaced(session, replaces)
    token = crypto.secret_token()
    login = LoginSession(
        account_id=account.id,
        token_digest=crypto.digest(token),
        user_agent=one_line(user_agent, 200),
        address=address[:64],
        second_factor=second_factor,
        expires_at=now() + settings.web.session_lifetime,
    )
    strange = browsers.find(session, account.id, known_browsers) is None and _was_used(session, account)
    session.add(login)
    session.flush()
    history.note(session, account.id, LoginOutcome.SIGNED_IN, means=means, address=address, user_agent=user_agent)
    audit.record(session, Actor("account", str(account.id)), "login_session.started", login)
    if strange:
        letter = letters.new_browser(settings, user_agent, login.address, login.created_at)
        key = f"new-browser:{login.id}"
        mail.post(session, to=account.email, subject=letter.subject, text=letter.text, key=key, owner_id=account.id)
    return Started(login, token, browsers.remember(session, account.id, known_browsers))


def _end_replaced(session: Session, token: str) -> None:
    """End the session that a browser had, whosever it was: nothing could end it once the cookie is written over."""
    row = session.scalar(
        select(LoginSession).where(LoginSession.token_digest == crypto.digest(token), LoginSession.ended_at.is_(None))
    )
    if row is not None:
        row.ended_at = now()
        audit.record(session, Actor("account", str(row.account_id)), "login_session.ended", row)


def _was_used(session: Session, account: Account) -> bool:
    query = select(LoginSession.id).where(LoginSession.account_id == account.id).limit(1)
    return session.scalar(query) is not None


def account_of_session(session: Session, token: str, idle: timedelta) -> tuple[Account, LoginSession]:
    """Who is behind a session cookie; `idle` is how long a session may go unused.

    Raises Unauthenticated when it is unknown or over, Forbidden when the account is banned.
    """
    row = session.execute(
        select(Account, LoginSession)
        .join(LoginSession, LoginSession.account_id == Account.id)
        .where(LoginSession.token_digest == crypto.digest(token))
    ).one_or_none()
    if row is None or not _is_alive(row[1], idle):
        raise Unauthenticated("session.ended", "Please sign in.")
    refuse_banned(row[0])
    return row[0], row[1]


def _is_alive(login: LoginSession, idle: timedelta) -> bool:
    moment = now()
    return login.ended_at is None and login.expires_at > moment and login.seen_at + idle > moment


def sessions_of(session: Session, account_id: uuid.UUID, idle: timedelta) -> list[LoginSession]:
    """The account's living sessions, newest first."""
    moment = now()
    query = select(LoginSession).where(
        LoginSession.account_id == account_id,
        LoginSession.ended_at.is_(None),
        LoginSession.expires_at > moment,
        LoginSession.seen_at > moment - idle,
    )
    return list(session.scalars(query.order_by(LoginSession.id.desc())))


def seen_is_stale(login: LoginSession, idle: timedelta) -> bool:
    """Whether `seen_at` should be written again."""
    return now() - login.seen_at > min(SEEN_RESOLUTION, idle / 4)


def note_seen(session: Session, login_id: uuid.UUID) -> None:
    """Remember that a session was used."""
    session.execute(update(LoginSession).where(LoginSession.id == login_id).values(seen_at=now()))


def end_session(session: Session, account: Account, session_id: uuid.UUID, actor: Actor) -> None:
    """Log one browser out. Raises NotFound for another account's session."""
    row = session.get(LoginSession, session_id)
    if row is None or row.account_id != account.id:
        raise NotFound("session.not_found", "There is no such session.")
    if row.ended_at is None:
        row.ended_at = now()
        audit.record(session, actor, "login_session.ended", row)


def end_other_sessions(
    session: Session, account: Account, actor: Actor, *, keep: uuid.UUID | None, reason: str | None = None
) -> int:
    """Log every browser out but that of the session `keep`; gives how many it were. The operator gives a reason."""
    ended = session.execute(
        update(LoginSession)
        .where(LoginSession.account_id == account.id, LoginSession.ended_at.is_(None), LoginSession.id != keep)
        .values(ended_at=now())
    )
    number = int(ended.rowcount)  # type: ignore[attr-defined]  # an UPDATE always has a row count
    audit.record(session, actor, "account.sessions_ended", account, reason=reason, facts={"sessions": number})
    return number
