"""Table of API keys."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, now, primary_key
from app.core.states import state_enum


class Scope(StrEnum):
    """What a key may be used for. A key has one or several."""

    READ = "read"
    """Look: voices, clips, account, usage."""
    SPEAK = "speak"
    """Make clips, which costs characters."""
    VOICES = "voices"
    """Make, change and delete voices."""
    MODERATE = "moderate"
    """Trace, and decide consents: only for accounts that may."""


class KeyEnd(StrEnum):
    """Why a key no longer works."""

    REVOKED = "revoked"
    ROTATED = "rotated"
    LEAKED = "leaked"


class ApiKey(Base):
    """A key for the API. Shown once; only its digest is stored."""

    __tablename__ = "api_key"
    __table_args__ = (
        Index(None, "account_id"),
        CheckConstraint("character_cap IS NULL OR character_cap > 0", name="cap_is_positive"),
    )

    id: Mapped[uuid.UUID] = primary_key()
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    name: Mapped[str] = mapped_column(String(60))
    prefix: Mapped[str] = mapped_column(String(12))
    key_digest: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[Any]] = mapped_column(default=lambda: [Scope.READ, Scope.SPEAK, Scope.VOICES])
    character_cap: Mapped[int | None]
    """Most characters that this key may spend in a calendar month (UTC)."""
    allowed_networks: Mapped[list[Any]] = mapped_column(default=list)
    """Networks in CIDR form that it may be used from; empty means any."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    last_address: Mapped[str | None] = mapped_column(String(64))
    revoked_at: Mapped[datetime | None]
    """From when on it no longer works; a rotated key has this in the future."""
    ended_for: Mapped[KeyEnd | None] = mapped_column(state_enum(KeyEnd))
