"""What can be done with accounts: create, log in, recognise, end sessions."""

from __future__ import annotations

import re
import unicodedata
import uuid
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from app.accounts import keys
from app.accounts.models import Account, FailedLogin, LoginSession, Role
from app.accounts.rules import Capability, capabilities
from app.core import audit, crypto
from app.core.audit import Actor
from app.core.db import now
from app.core.errors import Forbidden, Invalid, NotFound, RateLimited, Unauthenticated
from app.core.text import one_line

FAILURES_PER_HOUR = 10  # per e-mail and network address together, so that nobody can lock somebody else out
MIN_PASSWORD = 12
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")


@dataclass(frozen=True)
class NewAccount:
    """What the operator hands over: shown once, stored nowhere."""

    account: Account
    password: str
    api_key: str


def create_account(
    session: Session, *, email: str, name: str, role: Role, plan: str, verified: bool, actor: Actor
) -> NewAccount:
    """Make an account with a one-time password and an API key. Raises Invalid for a bad or taken address."""
    email = _clean_email(email)
    if session.scalar(select(Account.id).where(Account.email == email)):
        raise Invalid("account.exists", f"There is already an account for {email}.")
    password = crypto.secret_token()[:20]
    account = Account(
        email=email,
        name=one_line(name, 120) or email.split("@")[0],
        role=role,
        plan=plan,
        verified_at=now() if verified else None,
        password_hash=crypto.hash_password(password),
    )
    session.add(account)
    session.flush()
    facts = {"role": role.value, "plan": plan, "verified": verified}
    audit.record(session, actor, "account.created", account, facts=facts)
    _, key = keys.create_key(session, account, "first key", actor)
    return NewAccount(account, password, key)


def _folded(email: str) -> str:
    """The one spelling of an address that is stored and looked up."""
    return unicodedata.normalize("NFKC", email).strip().lower()


def _clean_email(email: str) -> str:
    email = _folded(email)
    if len(email) > 254 or not _EMAIL.fullmatch(email):
        raise Invalid("account.email", "That is not an e-mail address. It should look like name@example.org.")
    return email


def capabilities_of(account: Account) -> frozenset[Capability]:
    """What the account may do now."""
    return capabilities(account.role, account.state, account.suspended_until, now())


def require(account: Account, capability: Capability) -> None:
    """Raise Forbidden unless the account has the capability now."""
    if capability not in capabilities_of(account):
        raise Forbidden(
            "account.not_allowed",
            "Your account may not do this.",
            rule=f"account.{capability.value}",
            fix="Use an account that has this right, or ask for it.",
        )


def refuse_banned(account: Account) -> None:
    """Raise Forbidden for an account that may not even sign in now."""
    if Capability.SIGN_IN not in capabilities_of(account):
        raise Forbidden("account.banned", "This account has been closed for breaking the rules.")


def check_password(session: Session, *, email: str, password: str, address: str) -> Account:
    """The account that an address and a password belong to. Takes a reading session: hashing is slow on purpose.

    Raises Unauthenticated, the same for an unknown address and a wrong password, Forbidden for a banned account, and
    RateLimited after many failures. The caller hands `facts["who"]` of an Unauthenticated to `note_failed_login`.
    """
    email = _folded(email)
    who = crypto.digest(f"{email}|{address}")
    _refuse_guessing(session, who)
    account = session.scalar(select(Account).where(Account.email == email))
    if account is None:
        crypto.spend_time_on(password)
    if account is None or not crypto.password_matches(account.password_hash, password):
        raise Unauthenticated("login.wrong", "E-mail or password is wrong.", facts={"who": who})
    refuse_banned(account)
    return account


def start_session(
    session: Session, account_id: uuid.UUID, *, address: str, user_agent: str, lifetime: timedelta
) -> tuple[LoginSession, str]:
    """Log a browser in after `check_password`; gives the row and the cookie's token. Raises Forbidden when banned."""
    account = session.get_one(Account, account_id)
    refuse_banned(account)
    token = crypto.secret_token()
    login = LoginSession(
        account_id=account.id,
        token_digest=crypto.digest(token),
        user_agent=user_agent[:200],
        address=address[:64],
        expires_at=now() + lifetime,
    )
    session.add(login)
    session.flush()
    audit.record(session, Actor("account", str(account.id)), "login_session.started", login)
    return login, token


def _refuse_guessing(session: Session, who: str) -> None:
    hour_ago = now() - timedelta(hours=1)
    query = select(func.count()).where(FailedLogin.who_digest == who, FailedLogin.at > hour_ago)
    if (session.scalar(query) or 0) >= FAILURES_PER_HOUR:
        raise RateLimited("login.too_many", "Too many wrong passwords. Try again in an hour.", retry_after=3600)


def note_failed_login(session: Session, who: str) -> None:
    """Remember a failed log-in and forget those older than a day."""
    session.execute(delete(FailedLogin).where(FailedLogin.at < now() - timedelta(days=1)))
    session.add(FailedLogin(who_digest=who))


def account_of_session(session: Session, token: str) -> tuple[Account, LoginSession]:
    """Who is behind a session cookie. Raises Unauthenticated when it is unknown or over, Forbidden when banned."""
    row = session.execute(
        select(Account, LoginSession)
        .join(LoginSession, LoginSession.account_id == Account.id)
        .where(LoginSession.token_digest == crypto.digest(token))
    ).one_or_none()
    if row is None or row[1].ended_at is not None or row[1].expires_at <= now():
        raise Unauthenticated("session.ended", "Please sign in.")
    refuse_banned(row[0])
    return row[0], row[1]


def end_session(session: Session, account: Account, session_id: uuid.UUID, actor: Actor) -> None:
    """Log one browser out. Raises NotFound for another account's session."""
    row = session.get(LoginSession, session_id)
    if row is None or row.account_id != account.id:
        raise NotFound("session.not_found", "There is no such session.")
    if row.ended_at is None:
        row.ended_at = now()
        audit.record(session, actor, "login_session.ended", row)


def change_password(
    session: Session, account: Account, old: str, new: str, actor: Actor, *, keep: uuid.UUID | None = None
) -> None:
    """Replace the password and log every browser out but the session `keep`.

    Raises Invalid when the old password is wrong or the new one is too short or too long.
    """
    if not crypto.password_matches(account.password_hash, old):
        raise Invalid("password.wrong", "The present password is wrong.")
    if len(new) < MIN_PASSWORD or len(new) > 200:
        raise Invalid("password.short", f"A password needs {MIN_PASSWORD} to 200 characters.")
    account.password_hash = crypto.hash_password(new)
    account.password_is_temporary = False
    session.execute(
        update(LoginSession)
        .where(LoginSession.account_id == account.id, LoginSession.ended_at.is_(None), LoginSession.id != keep)
        .values(ended_at=now())
    )
    audit.record(session, actor, "account.password_changed", account)
