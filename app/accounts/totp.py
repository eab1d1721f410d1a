"""Authenticator apps: one-time codes of RFC 6238 (SHA-1, 6 digits, 30 s), each accepted once.

The secret is stored sealed with the key of the web side and bound to its account, so that a copy of the database
alone makes no codes. An app that is being set up is not stored at all: `begin` gives a ticket for the form that asks
for the first code, and `confirm` takes it back.
"""

from __future__ import annotations

import hmac
import json
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import timedelta

import pyotp
import segno
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.accounts.factor_models import TotpFactor
from app.accounts.models import Account
from app.core import audit, crypto
from app.core.audit import Actor
from app.core.db import now
from app.core.errors import Invalid

STEP_SECONDS = 30
DIGITS = 6
WINDOW = 1
"""Steps to each side of the present one whose codes are taken: for clocks that are a little off."""
TICKET_LIFETIME = timedelta(minutes=30)


@dataclass(frozen=True)
class Enrolment:
    """An app that is being set up. `secret` is base32; `ticket` goes through the form, sealed."""

    secret: str
    ticket: str

    @property
    def groups(self) -> str:
        """The secret in groups of four, for typing it."""
        return " ".join(self.secret[start : start + 4] for start in range(0, len(self.secret), 4))


def begin(account_id: uuid.UUID, key: bytes) -> Enrolment:
    """A new secret for the account. `key` is the web side's. Nothing is stored."""
    secret = pyotp.random_base32()
    content = json.dumps({"secret": secret, "at": now().timestamp()}).encode()
    sealed = crypto.seal(key, content, _ticket_context(account_id))
    return Enrolment(secret, urlsafe_b64encode(sealed).decode())


def resume(account_id: uuid.UUID, ticket: str, key: bytes) -> Enrolment:
    """The set-up that a ticket belongs to. Raises Invalid for another account's, a forged or an old one."""
    try:
        content = json.loads(crypto.unseal(key, urlsafe_b64decode(ticket.encode()), _ticket_context(account_id)))
    except ValueError:
        raise _set_up_again() from None
    if content["at"] < (now() - TICKET_LIFETIME).timestamp():
        raise _set_up_again()
    return Enrolment(content["secret"], ticket)


def confirm(session: Session, account: Account, enrolment: Enrolment, code: str, key: bytes, actor: Actor) -> None:
    """Take the app into use, in place of the one before, once a code shows that it holds the secret.

    Raises Invalid for a wrong code.
    """
    step = matching_step(enrolment.secret, code)
    if step is None:
        raise Invalid(
            "totp.wrong",
            "That code does not fit. Type the one that the app shows now, and check the clock of your phone.",
        )
    store(session, account, enrolment.secret, key, actor, last_step=step)


def store(session: Session, account: Account, secret: str, key: bytes, actor: Actor, *, last_step: int = 0) -> None:
    """Make the app with this secret the account's only one."""
    replaced = session.scalar(delete(TotpFactor).where(TotpFactor.account_id == account.id).returning(TotpFactor.id))
    sealed = crypto.seal(key, secret.encode(), _secret_context(account.id))
    factor = TotpFactor(account_id=account.id, sealed_secret=sealed, last_step=last_step)
    session.add(factor)
    session.flush()
    audit.record(session, actor, "totp_factor.added", factor, facts={"replaced": replaced is not None})


def is_on(session: Session, account_id: uuid.UUID) -> bool:
    """Whether the account has an authenticator app."""
    return session.scalar(select(TotpFactor.id).where(TotpFactor.account_id == account_id)) is not None


def factor_of(session: Session, account_id: uuid.UUID) -> TotpFactor | None:
    """The account's app."""
    return session.scalar(select(TotpFactor).where(TotpFactor.account_id == account_id))


def secret_of(factor: TotpFactor, key: bytes) -> str:
    """The secret in base32. Raises ValueError when it was not sealed for this account with this key."""
    return crypto.unseal(key, factor.sealed_secret, _secret_context(factor.account_id)).decode()


def accept(session: Session, account_id: uuid.UUID, code: str, key: bytes) -> bool:
    """Whether the code is right and newer than every code accepted before; it then can't be used again.

    The caller counts the wrong ones.
    """
    factor = factor_of(session, account_id)
    if factor is None:
        return False
    step = matching_step(secret_of(factor, key), code)
    if step is None:
        return False
    # Two requests with one code: the condition is looked at again under the row's lock, so only one passes.
    taken = session.execute(
        update(TotpFactor).where(TotpFactor.id == factor.id, TotpFactor.last_step < step).values(last_step=step),
        execution_options={"synchronize_session": False},
    )
    return bool(taken.rowcount)  # type: ignore[attr-defined]


def remove(session: Session, account: Account, actor: Actor) -> None:
    """Forget the app. Without one nothing happens."""
    factor = factor_of(session, account.id)
    if factor is not None:
        session.delete(factor)
        session.flush()
        audit.record(session, actor, "totp_factor.removed", factor)


def matching_step(secret: str, code: str) -> int | None:
    """The time step whose code this is, near now; None for a wrong code. Spaces in the code do not matter."""
    code = "".join(code.split())
    if len(code) != DIGITS or not (code.isascii() and code.isdigit()):
        return None
    maker = pyotp.TOTP(secret, digits=DIGITS, interval=STEP_SECONDS)
    present = int(now().timestamp()) // STEP_SECONDS
    fitting = None
    for step in range(present - WINDOW, present + WINDOW + 1):
        if hmac.compare_digest(maker.generate_otp(step), code):
            fitting = step
    return fitting


def address(account: Account, secret: str, issuer: str) -> str:
    """The otpauth:// address that apps read."""
    return pyotp.TOTP(secret, digits=DIGITS, interval=STEP_SECONDS).provisioning_uri(
        name=account.email, issuer_name=issuer
    )


def qr_code(address: str) -> str:
    """The address as an SVG element, dark on light in any colour scheme, without styles."""
    drawn: str = segno.make_qr(address, error="m").svg_inline(
        scale=4, border=4, dark="#000", light="#fff", svgclass="qr", lineclass=None, omitsize=True
    )
    return drawn


def _secret_context(account_id: uuid.UUID) -> str:
    return f"totp secret of {account_id}"


def _ticket_context(account_id: uuid.UUID) -> str:
    return f"totp ticket of {account_id}"


def _set_up_again() -> Invalid:
    return Invalid("totp.old", "The set-up was open for too long. Start it again.")
