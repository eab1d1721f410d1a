"""Tables of data exports and of erasures."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.crypto import public_token
from app.core.db import Base, now, primary_key
from app.core.states import HasState, state_enum


class ExportState(StrEnum):
    """Where an export stands."""

    WAITING = "waiting"
    READY = "ready"
    FAILED = "failed"
    EXPIRED = "expired"


class DataExport(HasState, Base):
    """One archive of everything that an account has here, made in the background and kept for a few days."""

    __tablename__ = "data_export"
    __table_args__ = (
        CheckConstraint("state != 'ready' OR storage_key IS NOT NULL", name="ready_has_archive"),
        Index(None, "account_id"),
    )
    TRANSITIONS = {  # noqa: RUF012
        ExportState.WAITING: {ExportState.READY, ExportState.FAILED},
        ExportState.READY: {ExportState.EXPIRED},
    }

    id: Mapped[uuid.UUID] = primary_key()
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_token)
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    state: Mapped[ExportState] = mapped_column(state_enum(ExportState), default=ExportState.WAITING)
    storage_key: Mapped[str | None] = mapped_column(String(120))
    size: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(String(64))
    files: Mapped[int | None]
    problem: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now)
    ready_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]


class Erasure(Base):
    """The record that an account was erased: what was removed, in numbers, and what had to stay, and why."""

    __tablename__ = "erasure"

    id: Mapped[uuid.UUID] = primary_key()
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"), unique=True)
    requested_at: Mapped[datetime] = mapped_column(default=now)
    done_at: Mapped[datetime | None]
    removed: Mapped[dict[str, Any]] = mapped_column(default=dict)
    kept: Mapped[list[Any]] = mapped_column(default=list)
