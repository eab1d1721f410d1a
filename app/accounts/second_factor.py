"""Second factors as a whole: who has one, who must, proving one with a code, setting up, taking away.

An authenticator app or a passkey is a second factor; recovery codes replace them for once. Whoever holds an account is
told by mail of every change.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from app.accounts import browsers, history, letters, passkeys, recovery, sessions, throttle, totp
from app.accounts.factor_models import Passkey
from app.accounts.letters import Letter
from app.accounts.models import Account, LoginEvent, LoginOutcome, LoginSession
from app.accounts.rules import OF_ROLE, Capability
from app.core import audit, crypto, mail
from app.core.audit import Actor
from app.core.db import new_id, now
from app.core.errors import Forbidden, RateLimited, Refused
from app.core.states import lock
from app.settings import Settings

CodeMeans = Literal["code", "recovery_code"]
WRONG_A_DAY = 20
"""Wrong codes of the app within a day, from anywhere, before strange browsers may try no more. Each needs the password
first, and there are a million codes of which three fit at a time."""
_STAFF = {Capability.MODERATE, Capability.OPERATE}


@dataclass(frozen=True)
class Visit:
    """Where a person comes from: network address, what the browser says of itself, and its two cookies."""

    address: str
    user_agent: str
    known_browsers: str = ""
    session_token: str = ""


def has(session: Session, account_id: uuid.UUID) -> bool:
    """Whether the account has a second factor: signing in with its password then needs a second step."""
    return totp.is_on(session, account_id) or passkeys.has_any(session, account_id)


def required(account: Account, settings: Settings) -> bool:
    """Whether this account must have a second factor before it may do what it is for."""
    return settings.accounts.staff_second_factor and bool(OF_ROLE[account.role] & _STAFF)


def demand(session: Session, account: Account, settings: Settings) -> None:
    """Raise Forbidden where a second factor is required and the account has none."""
    if required(account, settings) and not has(session, account.id):
        raise Forbidden(
            "second_factor.missing",
            "This account needs a second step at sign-in before it may do this.",
            rule="account.second_factor",
            fix="Sign in on the web pages and set up an authenticator app or a passkey under Security.",
        )


def accept_code(session: Session, account: Account, code: str, settings: Settings, visit: Visit) -> CodeMeans | None:
    """What the code was, if it is right: a code of the app or a recovery code, used up by this.

    None for a wrong one, which is counted: commit also then. Raises RateLimited after too many wrong ones.
    """
    lock(session, account)  # one code of an account at a time, so that the count is exact
    browser = browsers.find(session, account.id, visit.known_browsers)
    limits = throttle.of_second_step(account.id, visit.address, browser.id if browser else None)
    throttle.refuse(session, limits, what="wrong codes")
    key = crypto.web_secret(settings)
    means: CodeMeans = "recovery_code" if recovery.looks_like_one(code) else "code"
    if means == "recovery_code":
        right = recovery.use(session, account, code, key, Actor("account", str(account.id)))
    else:
        if browser is None:
            _refuse_guessing(session, account)
        right = totp.accept(session, account.id, code, key)
    if not right:
        throttle.note(session, [limit.digest for limit in limits])
        facts = {"means": means, "address": visit.address, "user_agent": visit.user_agent}
        history.note(session, account.id, LoginOutcome.WRONG_CODE, **facts)
        return None
    if means == "recovery_code":
        tell(session, account, letters.recovery_code_used(settings, recovery.left(session, account.id)))
    return means


def _refuse_guessing(session: Session, account: Account) -> None:
    wrong = select(func.count()).where(
        LoginEvent.account_id == account.id,
        LoginEvent.outcome == LoginOutcome.WRONG_CODE,
        LoginEvent.means == "code",
        LoginEvent.at > now() - timedelta(days=1),
    )
    if (session.scalar(wrong) or 0) >= WRONG_A_DAY:
        raise RateLimited(
            "second_factor.too_many",
            "There were too many wrong codes for this account today. Use a recovery code or a passkey, or a browser in "
            "which you have signed in before.",
            retry_after=24 * 3600,
        )


def add_app(
    session: Session,
    account: Account,
    enrolment: totp.Enrolment,
    code: str,
    *,
    settings: Settings,
    actor: Actor,
    login_id: uuid.UUID | None,
) -> list[str]:
    """Take an authenticator app into use; gives new recovery codes when there are none, to be shown once.

    Raises Invalid for a wrong first code. Every browser but that of `login_id` must sign in again.
    """
    totp.confirm(session, account, enrolment, code, crypto.web_secret(settings), actor)
    return _added(session, account, "An authenticator app was added to your account.", login_id, settings, actor)


def add_passkey(
    session: Session,
    account: Account,
    site: passkeys.Site,
    *,
    challenge: bytes,
    sent: str,
    name: str,
    settings: Settings,
    actor: Actor,
    login_id: uuid.UUID | None,
) -> list[str]:
    """Keep a new passkey. Gives recovery codes and ends other log-ins as `add_app` does; raises as `passkeys.add`."""
    passkeys.add(session, account, site, challenge=challenge, sent=sent, name=name, actor=actor)
    return _added(session, account, "A passkey was added to your account.", login_id, settings, actor)


def _added(
    session: Session, account: Account, what: str, login_id: uuid.UUID | None, settings: Settings, actor: Actor
) -> list[str]:
    sessions.end_other_sessions(session, account, actor, keep=login_id)
    session.execute(update(LoginSession).where(LoginSession.id == login_id).values(second_factor=True))
    tell(session, account, letters.second_factor_changed(settings, what))
    if recovery.left(session, account.id):
        return []
    return recovery.renew(session, account, crypto.web_secret(settings), actor)


def remove_app(session: Session, account: Account, settings: Settings, actor: Actor) -> None:
    """Take the authenticator app away. Raises Refused when staff would be left without a second factor."""
    lock(session, account)
    if not passkeys.has_any(session, account.id):
        _refuse_staff(account, settings)
    totp.remove(session, account, actor)
    _removed(session, account, settings, "The authenticator app was removed from your account.")


def remove_passkey(session: Session, account: Account, passkey_id: uuid.UUID, settings: Settings, actor: Actor) -> None:
    """Take a passkey away. Raises as `remove_app`, and NotFound for another account's."""
    lock(session, account)
    if len(passkeys.of_account(session, account.id)) == 1 and not totp.is_on(session, account.id):
        _refuse_staff(account, settings)
    passkeys.remove(session, account, passkey_id, actor)
    _removed(session, account, settings, "A passkey was removed from your account.")


def _refuse_staff(account: Account, settings: Settings) -> None:
    if required(account, settings):
        raise Refused(
            "second_factor.needed",
            "Moderators and operators need a second step at sign-in, and this is your only one.",
            rule="account.second_factor",
            fix="Set up another one first, then remove this one.",
        )


def _removed(session: Session, account: Account, settings: Settings, what: str) -> None:
    if not has(session, account.id):
        recovery.forget(session, account.id)
    tell(session, account, letters.second_factor_changed(settings, what))


def enrol_at_desk(session: Session, account: Account, settings: Settings, actor: Actor) -> tuple[str, list[str]]:
    """An authenticator app and recovery codes that the operator hands over: the otpauth:// address and the codes.

    For accounts of staff that are made at the command line, so that their API key works at once.
    """
    key = crypto.web_secret(settings)
    enrolment = totp.begin(account.id, key)
    totp.store(session, account, enrolment.secret, key, actor)
    address = totp.address(account, enrolment.secret, settings.voices.service_name)
    return address, recovery.renew(session, account, key, actor)


def reset(session: Session, account: Account, reason: str, settings: Settings, actor: Actor) -> None:
    """Take every second factor away, because the holder has lost them: for the operator, who has made sure of that.

    All log-ins end. The next sign-in needs the password alone, and staff must set up a new factor before anything else.
    """
    lock(session, account)
    totp.remove(session, account, actor)
    session.execute(delete(Passkey).where(Passkey.account_id == account.id))
    recovery.forget(session, account.id)
    sessions.end_other_sessions(session, account, actor, keep=None)
    audit.record(session, actor, "account.second_factor_reset", account, reason=reason)
    what = "The operator has removed every second step from your account, as was asked for. You are signed out."
    tell(session, account, letters.second_factor_changed(settings, what))


def tell(session: Session, account: Account, letter: Letter, key: str = "") -> None:
    """Send the holder a letter; with a `key` only once for this key."""
    key = f"second-factor:{key or new_id()}"
    mail.post(session, to=account.email, subject=letter.subject, text=letter.text, key=key, owner_id=account.id)
