"""Tables of stamps, fingerprints and trace queries."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.crypto import public_token
from app.core.db import Base, now, primary_key
from app.core.states import HasState, state_enum
from app.speech.models import Generation


class Stamp(Base):
    """Proof that a file carries its mark (and its credentials, where the format can): what a delivery is made of.

    Append-only. Written by the worker in the transaction that finishes the job.
    """

    __tablename__ = "stamp"
    __table_args__ = (CheckConstraint("mark_score > 0", name="mark_was_read_back"),)

    id: Mapped[uuid.UUID] = primary_key()
    generation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("generation.id"), unique=True)
    output_format: Mapped[str] = mapped_column(String(24))
    storage_key: Mapped[str] = mapped_column(String(120), unique=True)
    size: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    seconds: Mapped[float]
    peaks: Mapped[list[Any]] = mapped_column(default=list)
    mark_score: Mapped[float]
    """Best z of the mark when it was read back, from attacked copies of the clip as marked."""
    mark_strength_db: Mapped[float]
    traceable: Mapped[bool]
    """False when the clip is too short for its mark to name a generation by itself."""
    credentials: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(default=now)

    generation: Mapped[Generation] = relationship(lazy="raise", viewonly=True)


class Fingerprint(Base):
    """What a finished clip sounds like, in a few bytes a second: finds it again without reading its mark.

    The index files of the workers are built from these rows. An erasure deletes the row.
    """

    __tablename__ = "fingerprint"

    generation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("generation.id"), primary_key=True)
    version: Mapped[int]
    """Of the layout of `data`; see workers/marks/fingerprint.py."""
    data: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(default=now)


class Verdict(StrEnum):
    """How sure a trace is. Only CONFIRMED and STRONG may name an account."""

    CONFIRMED = "confirmed"
    STRONG = "strong"
    LEAD = "lead"
    AMBIGUOUS = "ambiguous"
    NO_EVIDENCE = "no_evidence"


class TraceState(StrEnum):
    """Where a trace query stands."""

    WAITING = "waiting"
    ANSWERED = "answered"
    FAILED = "failed"


class Purpose(StrEnum):
    """Why there is a trace query, and so who sees its answer."""

    MODERATION = "moderation"
    PUBLIC = "public"
    """Public detection: the answer is coarse, names nobody, and keeps no file."""


class TraceQuery(HasState, Base):
    """Somebody asked where a piece of audio comes from."""

    __tablename__ = "trace_query"
    __table_args__ = (
        CheckConstraint(
            "generation_id IS NULL OR (verdict IS NOT NULL AND verdict IN ('confirmed', 'strong'))",
            name="names_only_when_sure",
        ),
        Index(None, "created_at"),
    )
    TRANSITIONS = {TraceState.WAITING: {TraceState.ANSWERED, TraceState.FAILED}}  # noqa: RUF012

    id: Mapped[uuid.UUID] = primary_key()
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_token)
    asked_by: Mapped[str] = mapped_column(String(80))
    """Account id of the moderator, or `operator` for the command line."""
    purpose: Mapped[Purpose] = mapped_column(
        state_enum(Purpose, checked=False), default=Purpose.MODERATION, server_default=Purpose.MODERATION.value
    )
    reason: Mapped[str] = mapped_column(Text)
    state: Mapped[TraceState] = mapped_column(state_enum(TraceState), default=TraceState.WAITING)
    file_name: Mapped[str] = mapped_column(String(200))
    file_digest: Mapped[str] = mapped_column(String(64))
    storage_key: Mapped[str] = mapped_column(String(120))
    """The file as it came; "" once it was deleted."""
    audio_key: Mapped[str | None] = mapped_column(String(120))
    """What the worker decoded, FLAC, to listen to: browsers are not handed a stranger's file."""
    seconds: Mapped[float | None]
    peaks: Mapped[list[Any]] = mapped_column(default=list)
    verdict: Mapped[Verdict | None] = mapped_column(state_enum(Verdict))
    generation_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("generation.id"))
    evidence: Mapped[list[Any]] = mapped_column(default=list)
    """Channel by channel: what it found, in numbers and in a sentence."""
    matched: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """Where query and original agree: seconds `query_from`, `query_to`, `original_from`, `original_to`, and how the
    copy was changed, `speed` and `pitch` as factors; empty when no place is known."""
    false_match_rate: Mapped[float | None]
    """Upper bound of the chance that audio without this mark gives such a match."""
    problem: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now)
    answered_at: Mapped[datetime | None]

    generation: Mapped[Generation | None] = relationship(lazy="raise", viewonly=True)
