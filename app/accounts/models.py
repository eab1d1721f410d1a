"""Tables of accounts, sessions and API keys."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
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
    name: Mapped[str] = mapped_column(String(120))
    role: Mapped[Role] = mapped_column(state_enum(Role))
    plan: Mapped[str] = mapped_column(String(24))
    state: Mapped[Standing] = mapped_column(state_enum(Standing), default=Standing.ACTIVE)
    suspended_until: Mapped[datetime | None]
    verified_at: Mapped[datetime | None]
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
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class ApiKey(Base):
    """A key for the API. Shown once; only its digest is stored."""

    __tablename__ = "api_key"
    __table_args__ = (Index(None, "account_id"),)

    id: Mapped[uuid.UUID] = primary_key()
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    name: Mapped[str] = mapped_column(String(60))
    prefix: Mapped[str] = mapped_column(String(12))
    key_digest: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class FailedLogin(Base):
    """A log-in that failed, kept for an hour to slow guessing down. Holds no password and no readable address."""

    __tablename__ = "failed_login"
    __table_args__ = (Index(None, "who_digest", "at"),)

    id: Mapped[uuid.UUID] = primary_key()
    who_digest: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(default=now)
