"""Table of public detections."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.crypto import public_token
from app.core.db import Base, now, primary_key
from app.core.states import state_enum
from app.provenance.models import TraceQuery


class Answer(StrEnum):
    """All that the public is told."""

    MADE_HERE = "made_here"
    NOT_FOUND = "not_found"
    CANT_TELL = "cant_tell"


class Detection(Base):
    """Somebody without an account asked whether a file was made here. Its trace query does the work."""

    __tablename__ = "detection"
    __table_args__ = (
        CheckConstraint("(answer IS NULL) = (receipt IS NULL)", name="answer_has_receipt"),
        Index(None, "asked_from", "created_at"),
        Index(None, "file_digest", "answered_at"),
    )

    id: Mapped[uuid.UUID] = primary_key()
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_token)
    trace_query_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("trace_query.id"), unique=True)
    file_digest: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the file, hex."""
    asked_from: Mapped[str | None] = mapped_column(String(64))
    """Keyed digest of the asker's network, to count by; emptied after a day."""
    answer: Mapped[Answer | None] = mapped_column(state_enum(Answer))
    receipt: Mapped[str | None] = mapped_column(Text)
    """The signed receipt, JSON."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    answered_at: Mapped[datetime | None]

    trace_query: Mapped[TraceQuery] = relationship(lazy="raise", viewonly=True)
