"""Table of evidence bundles."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.crypto import public_token
from app.core.db import Base, now, primary_key
from app.core.states import HasState, state_enum


class BundleState(StrEnum):
    """Where a bundle stands."""

    WAITING = "waiting"
    READY = "ready"
    FAILED = "failed"


class EvidenceBundle(HasState, Base):
    """A zip about one trace query that names a generation."""

    __tablename__ = "evidence_bundle"
    __table_args__ = (CheckConstraint("state <> 'ready' OR storage_key IS NOT NULL", name="ready_has_a_file"),)
    TRANSITIONS = {BundleState.WAITING: {BundleState.READY, BundleState.FAILED}}  # noqa: RUF012

    id: Mapped[uuid.UUID] = primary_key()
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_token)
    trace_query_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("trace_query.id"), index=True)
    asked_by: Mapped[str] = mapped_column(String(80))
    """Account id of the moderator, or `operator`."""
    reason: Mapped[str] = mapped_column(Text)
    state: Mapped[BundleState] = mapped_column(state_enum(BundleState), default=BundleState.WAITING)
    storage_key: Mapped[str | None] = mapped_column(String(120), unique=True)
    sha256: Mapped[str | None] = mapped_column(String(64))
    problem: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now)
    ready_at: Mapped[datetime | None]
