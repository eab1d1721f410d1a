"""Tables of accounts and log-in sessions. Keys, second factors and signals have modules of their own."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.crypto import public_token
from app.core.db import Base, now, primary_key
from app.core.states import HasState, state_enum


class Role(StrEnum):
    """What an account is for."""

    CUSTOMER = "customer"
    MODERATOR = "moderator"
    SENIOR = "senior"
    OPERATOR = "operator"


class Standing(StrEnum):
    """How an account stands with the rules."""

    ACTIVE = "active"
    RESTRICTED = "restricted"
    SUSPENDED = "suspended"
    BANNED = "banned"


class Account(HasState, Base):
    """A person or company. `state` is its standing."""

    __tablename__ = "account"
    __table_args__ = (
        CheckConstraint("state != 'suspended' OR suspended_until IS NOT NULL", name="suspended_until_when"),
    )
    TRANSITIONS = {  # noqa: RUF012
        Standing.ACTIVE: {Standing.RESTRICTED, Standing.SUSPENDED, Standing.BANNED},
        Standing.RESTRICTED: {Standing.ACTIVE, Standing.SUSPENDED, Standing.BANNED},
        Standing.SUSPENDED: {Standing.ACTIVE, Standing.RESTRICTED, Standing.BANNED},
        Standing.BANNED: {Standing.ACTIVE, Standing.RESTRICTED},
    }

    id: Mapped[uuid.UUID] = primary_key()
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_token)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    email_verified_at: Mapped[datetime | None]
    name: Mapped[str] = mapped_column(String(120))
    role: Mapped[Role] = mapped_column(state_enum(Role))
    plan: Mapped[str] = mapped_column(String(24))
    state: Mapped[Standing] = mapped_column(state_enum(Standing), default=Standing.ACTIVE)
    suspended_until: Mapped[datetime | None]
    verified_at: Mapped[datetime | None]
    """When the person behind the account was last proved; see app.billing.verification."""
    recheck_by: Mapped[datetime | None]
    """Until when the proof must be repeated, because the card or the name has changed; None when it need not be."""
    closing_at: Mapped[datetime | None]
    """When a deletion that the holder asked for is carried out; None when none was asked for."""
    erased_at: Mapped[datetime | None]
    password_hash: Mapped[str] = mapped_column(String(200))
    password_is_temporary: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(default=now)


class LoginSession(Base):
    """A browser that is logged in. The cookie holds the token; only its digest is stored."""

    __tablename__ = "login_session"
    __table_args__ = (Index(None, "account_id"),)

    id: Mapped[uuid.UUID] = primary_key()
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    token_digest: Mapped[str] = mapped_column(String(64), unique=True)
    user_agent: Mapped[str] = mapped_column(String(200), default="")
    address: Mapped[str] = mapped_column(String(64), default="")
    second_factor: Mapped[bool] = mapped_column(default=False)
    """Whether the sign-in was completed by a code, a recovery code or a passkey."""
    confirmed_at: Mapped[datetime] = mapped_column(default=now)
    """When the person last proved themselves in this session: sensitive changes need a recent one."""
    seen_at: Mapped[datetime] = mapped_column(default=now)
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class FailedLogin(Base):
    """A log-in that failed, kept for a day to slow guessing down: one row for each thing that it counts against.

    `who_digest` is a digest of the account, of the network address, or of both. Holds no password.
    """

    __tablename__ = "failed_login"
    __table_args__ = (Index(None, "who_digest", "at"),)

    id: Mapped[uuid.UUID] = primary_key()
    who_digest: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(default=now)


class LoginOutcome(StrEnum):
    """What came of an attempt to sign in, as the log-in history shows it."""

    SIGNED_IN = "signed_in"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - a name
    WRONG_CODE = "wrong_code"
    PASSWORD_RESET = "password_reset"  # noqa: S105 - a name


class LoginEvent(Base):
    """One line of an account's log-in history. Kept as long as `retention.login_history`."""

    __tablename__ = "login_event"
    __table_args__ = (Index(None, "account_id", "at"),)

    id: Mapped[uuid.UUID] = primary_key()
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    outcome: Mapped[LoginOutcome] = mapped_column(state_enum(LoginOutcome))
    means: Mapped[str] = mapped_column(String(24), default="password")
    """password, code, recovery_code, passkey or mail."""
    address: Mapped[str] = mapped_column(String(64), default="")
    user_agent: Mapped[str] = mapped_column(String(200), default="")
    at: Mapped[datetime] = mapped_column(default=now)


class KnownBrowser(Base):
    """A browser in which the account has signed in before: limits that others have used up do not count for it."""

    __tablename__ = "known_browser"
    __table_args__ = (Index(None, "account_id"),)

    id: Mapped[uuid.UUID] = primary_key()
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    token_digest: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    used_at: Mapped[datetime] = mapped_column(default=now)


class TokenPurpose(StrEnum):
    """What a one-time link or a step in between may be used for."""

    VERIFY_EMAIL = "verify_email"
    CHANGE_EMAIL = "change_email"
    RESET_PASSWORD = "reset_password"  # noqa: S105 - a name
    SECOND_STEP = "second_step"
    """The password was right; the second factor is still to come."""
    PASSKEY = "passkey"
    """The challenge of a passkey ceremony."""


class OneTimeToken(Base):
    """A secret that works once, for one purpose, for a while. Only its digest is stored."""

    __tablename__ = "one_time_token"
    __table_args__ = (Index(None, "account_id", "purpose"),)

    id: Mapped[uuid.UUID] = primary_key()
    account_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    purpose: Mapped[TokenPurpose] = mapped_column(state_enum(TokenPurpose))
    token_digest: Mapped[str] = mapped_column(String(64), unique=True)
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class LegalHold(Base):
    """An order to keep everything of an account: while one is in force, nothing of it is erased."""

    __tablename__ = "legal_hold"
    __table_args__ = (Index(None, "account_id"),)

    id: Mapped[uuid.UUID] = primary_key()
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    reason: Mapped[str] = mapped_column(Text)
    placed_at: Mapped[datetime] = mapped_column(default=now)
    lifted_at: Mapped[datetime | None]
