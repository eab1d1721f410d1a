"""Passwords: what a new one must be, whether one is right, and what follows when it is replaced.

Hashing and judging take tenths of a second on purpose: do both while no transaction writes, and hand the hash on.
"""

from __future__ import annotations

import re
import unicodedata
import uuid
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from app.accounts import browsers, letters, links, sessions, throttle
from app.accounts.guessing import why_weak
from app.accounts.models import Account, TokenPurpose
from app.core import audit, crypto, mail
from app.core.audit import Actor
from app.core.db import new_id, now
from app.core.errors import Forbidden, Invalid
from app.settings import Settings

MIN_PASSWORD = 12
MAX_PASSWORD = 200
TEMPORARY_FOR = timedelta(days=7)
"""How long after an account was made the password that was made for it works: its holder must choose their own."""


@dataclass(frozen=True)
class TemporaryPassword:
    """A random password for somebody who will choose their own, and its hash."""

    text: str
    hashed: str


def temporary() -> TemporaryPassword:
    """A new one, with 120 bits."""
    text = crypto.public_token()
    return TemporaryPassword(text, crypto.hash_password(text))


def prepare(new: str, *, email: str, name: str) -> str:
    """The hash of a new password of the person with this address and name.

    Raises Invalid when it has fewer than 12 or more than 200 characters, or is easy to guess, with a hint for a better
    one. Several spaces in a row count as one.
    """
    new = _one_form(new)
    if len(re.sub(" +", " ", new)) < MIN_PASSWORD or len(new) > MAX_PASSWORD:
        raise Invalid("password.short", f"A password needs {MIN_PASSWORD} to {MAX_PASSWORD} characters.")
    hint = why_weak(new, [email, name])
    if hint is not None:
        raise Invalid("password.weak", f"This password is easy to guess. {hint}".strip())
    return crypto.hash_password(new)


def matches(account: Account | None, password: str) -> bool:
    """Whether the password is the account's. Takes as long when it is not, and when there is no account."""
    password = _one_form(password)
    if account is None:
        crypto.spend_time_on(password)
        return False
    return crypto.password_matches(account.password_hash, password)


def refuse_old_temporary(account: Account) -> None:
    """Raise Forbidden when the holder still has the password that was made for them, and its week is over."""
    if account.password_is_temporary and account.created_at + TEMPORARY_FOR <= now():
        raise Forbidden(
            "login.temporary_over",
            "The password that was made for you worked for a week, and the week is over. Have a link to a new password "
            "sent to you.",
        )


def check_present(session: Session, account: Account, password: str, who: uuid.UUID) -> None:
    """Have somebody who is signed in prove that they know the password. Takes a reading session.

    `who` is what wrong ones count against: the log-in session, so that a thief of one slows down only that one.
    Raises Invalid when it is wrong (hand its `facts["who"]` to `throttle.note`), RateLimited after many such.
    """
    limits = throttle.of_confirmation(who)
    throttle.refuse(session, limits)
    if not matches(account, password):
        facts = {"who": tuple(limit.digest for limit in limits)}
        raise Invalid("password.wrong", "The present password is wrong.", facts=facts)


def replace(
    session: Session,
    account: Account,
    hashed: str,
    actor: Actor,
    *,
    settings: Settings,
    keep: uuid.UUID | None = None,
    known_browsers: str = "",
) -> None:
    """Set a new password, end every session but `keep`, and tell the holder by mail.

    Every link to a new password or address dies, and so does a sign-in that waits for its second step. Other browsers
    than that of the cookie `known_browsers` are strangers again.
    """
    account.password_hash = hashed
    account.password_is_temporary = False
    sessions.end_other_sessions(session, account, actor, keep=keep)
    browsers.forget_others(session, account.id, known_browsers)
    links.kill(session, account.id, TokenPurpose.RESET_PASSWORD, TokenPurpose.CHANGE_EMAIL, TokenPurpose.SECOND_STEP)
    audit.record(session, actor, "account.password_changed", account)
    letter = letters.password_changed(settings)
    key = f"password-changed:{new_id()}"
    mail.post(session, to=account.email, subject=letter.subject, text=letter.text, key=key, owner_id=account.id)


def _one_form(password: str) -> str:
    """The same characters typed on another keyboard come as other code points: NFC makes them one."""
    return unicodedata.normalize("NFC", password.encode("utf-8", "replace").decode())
