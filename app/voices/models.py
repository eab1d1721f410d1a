"""Tables of samples, consents and voices.

No cloned voice without consent in force, held by the schema: a voice that is cloning or ready must carry
(consent_id, consent_in_force = true), and that pair is a foreign key to the consent. A revoked consent no longer has
it, so the database refuses the revocation until the voice has let go of it, which it can only do by leaving those
states.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.crypto import public_token
from app.core.db import Base, now, primary_key
from app.core.states import HasState, state_enum


class SampleState(StrEnum):
    """Where a sample stands."""

    RECEIVED = "received"
    CHECKING = "checking"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class ConsentState(StrEnum):
    """Where a consent stands."""

    PENDING = "pending"
    CHECKING = "checking"
    VERIFIED = "verified"
    FAILED = "failed"
    IN_REVIEW = "in_review"
    REFUSED = "refused"
    REVOKED = "revoked"


class VoiceState(StrEnum):
    """Where a voice stands."""

    DRAFT = "draft"
    CLONING = "cloning"
    READY = "ready"
    FAILED = "failed"
    DISABLED = "disabled"
    DELETED = "deleted"


class DisabledFor(StrEnum):
    """Why a voice is switched off, which says what switches it on again."""

    CONSENT = "consent"
    """The speaker took the consent back: a new consent."""
    PLAN = "plan"
    """The plan has no room for it: a plan that has."""
    DECISION = "decision"
    """A moderator: another decision."""


class Voice(HasState, Base):
    """A voice: somebody's (with an owner and a consent) or a stock voice of the engine (with neither)."""

    __tablename__ = "voice"
    __table_args__ = (
        ForeignKeyConstraint(
            ["consent_id", "consent_in_force"],
            ["consent.id", "consent.in_force"],
            name="fk_voice_consent_in_force",
            use_alter=True,
        ),
        CheckConstraint("(account_id IS NULL) = (stock_id IS NOT NULL)", name="owned_or_stock"),
        CheckConstraint(
            "stock_id IS NOT NULL OR state NOT IN ('cloning', 'ready')"
            " OR (consent_id IS NOT NULL AND consent_in_force IS TRUE)",
            name="speaks_only_with_consent",
        ),
        CheckConstraint("consent_in_force IS NULL OR consent_in_force IS TRUE", name="consent_in_force_or_null"),
        CheckConstraint("state != 'ready' OR artefact_key IS NOT NULL", name="ready_has_artefact"),
        Index(None, "account_id", "state"),
    )
    TRANSITIONS = {  # noqa: RUF012
        VoiceState.DRAFT: {VoiceState.CLONING, VoiceState.DELETED},
        VoiceState.CLONING: {
            VoiceState.READY,
            VoiceState.FAILED,
            VoiceState.DRAFT,
            VoiceState.DISABLED,
            VoiceState.DELETED,
        },
        VoiceState.FAILED: {VoiceState.CLONING, VoiceState.DELETED},
        VoiceState.READY: {VoiceState.DISABLED, VoiceState.DELETED},
        VoiceState.DISABLED: {VoiceState.READY, VoiceState.CLONING, VoiceState.DELETED},
    }

    id: Mapped[uuid.UUID] = primary_key()
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_token)
    account_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    stock_id: Mapped[str | None] = mapped_column(String(40), unique=True)
    name: Mapped[str] = mapped_column(String(80))
    description: Mapped[str] = mapped_column(Text, default="")
    labels: Mapped[dict[str, Any]] = mapped_column(default=dict)
    language: Mapped[str] = mapped_column(String(12))
    state: Mapped[VoiceState] = mapped_column(state_enum(VoiceState), default=VoiceState.DRAFT)
    disabled_for: Mapped[DisabledFor | None] = mapped_column(state_enum(DisabledFor))
    problem: Mapped[str | None] = mapped_column(Text)
    consent_id: Mapped[uuid.UUID | None]
    consent_in_force: Mapped[bool | None]
    engine: Mapped[str | None] = mapped_column(String(40))
    artefact_key: Mapped[str | None] = mapped_column(String(120))
    created_at: Mapped[datetime] = mapped_column(default=now)
    ready_at: Mapped[datetime | None]

    samples: Mapped[list[Sample]] = relationship(lazy="raise", order_by="Sample.id", viewonly=True)
    consents: Mapped[list[Consent]] = relationship(
        lazy="raise", order_by="Consent.id", viewonly=True, foreign_keys="Consent.voice_id"
    )


class Sample(HasState, Base):
    """One upload of a speaker: one or several files, judged together."""

    __tablename__ = "sample"
    __table_args__ = (Index(None, "voice_id"),)
    TRANSITIONS = {  # noqa: RUF012
        SampleState.RECEIVED: {SampleState.CHECKING, SampleState.REJECTED},
        SampleState.CHECKING: {SampleState.ACCEPTED, SampleState.REJECTED, SampleState.RECEIVED},
    }

    id: Mapped[uuid.UUID] = primary_key()
    voice_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("voice.id"))
    state: Mapped[SampleState] = mapped_column(state_enum(SampleState), default=SampleState.RECEIVED)
    digest: Mapped[str] = mapped_column(String(64))
    """SHA-256 over the digests of its files: the same upload twice is one voice."""
    checks: Mapped[list[Any]] = mapped_column(default=list)
    """Check by check: code, label, value, unit, requirement, passed, sentence."""
    reasons: Mapped[list[Any]] = mapped_column(default=list)
    """Why it was rejected: code and sentence."""
    measures: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Numbers that the clone uses: pitch, rate."""
    speech_seconds: Mapped[float | None]
    peaks: Mapped[list[Any]] = mapped_column(default=list)
    audio_key: Mapped[str | None] = mapped_column(String(120))
    """The clean speech, FLAC, made by intake."""
    created_at: Mapped[datetime] = mapped_column(default=now)

    files: Mapped[list[SampleFile]] = relationship(lazy="raise", order_by="SampleFile.position")


class SampleFile(Base):
    """One uploaded file, as it came."""

    __tablename__ = "sample_file"
    __table_args__ = (UniqueConstraint("sample_id", "position"),)

    id: Mapped[uuid.UUID] = primary_key()
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_token)
    sample_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("sample.id"))
    position: Mapped[int]
    name: Mapped[str] = mapped_column(String(200))
    size: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))
    storage_key: Mapped[str] = mapped_column(String(120))


class Consent(HasState, Base):
    """A speaker's consent: the sentence that we asked for, the recording of it, and how the two compare."""

    __tablename__ = "consent"
    __table_args__ = (
        UniqueConstraint("id", "in_force"),
        CheckConstraint("(in_force IS TRUE) = (state = 'verified')", name="in_force_when_verified"),
        CheckConstraint("in_force IS NOT TRUE OR sample_id IS NOT NULL", name="in_force_for_a_sample"),
        Index(None, "voice_id"),
        Index(None, "state"),
    )
    TRANSITIONS = {  # noqa: RUF012
        ConsentState.PENDING: {ConsentState.CHECKING, ConsentState.FAILED},
        ConsentState.CHECKING: {
            ConsentState.VERIFIED,
            ConsentState.FAILED,
            ConsentState.IN_REVIEW,
        },
        ConsentState.IN_REVIEW: {ConsentState.VERIFIED, ConsentState.REFUSED},
        ConsentState.VERIFIED: {ConsentState.REVOKED},
    }

    id: Mapped[uuid.UUID] = primary_key()
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_token)
    voice_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("voice.id"))
    sample_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("sample.id"))
    """The sample that the recording is compared with; the voice is cloned from that one and no other."""
    state: Mapped[ConsentState] = mapped_column(state_enum(ConsentState), default=ConsentState.PENDING)
    in_force: Mapped[bool] = mapped_column(default=False)
    speaker_name: Mapped[str] = mapped_column(String(120))
    language: Mapped[str] = mapped_column(String(12))
    statement: Mapped[str] = mapped_column(Text)
    challenge: Mapped[list[Any]] = mapped_column(default=list)
    """The random words at the end of the statement."""
    expires_at: Mapped[datetime]
    recording_key: Mapped[str | None] = mapped_column(String(120))
    recording_size: Mapped[int | None]
    recorded_at: Mapped[datetime | None]
    peaks: Mapped[list[Any]] = mapped_column(default=list)
    audio_key: Mapped[str | None] = mapped_column(String(120))
    transcript: Mapped[str | None] = mapped_column(Text)
    scores: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """word_error_rate, challenge_found, similarity and their limits."""
    reasons: Mapped[list[Any]] = mapped_column(default=list)
    decided_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    decision_reason: Mapped[str | None] = mapped_column(Text)
    decided_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)

    voice: Mapped[Voice] = relationship(lazy="raise", viewonly=True, foreign_keys=[voice_id])
