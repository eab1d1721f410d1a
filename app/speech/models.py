"""Tables of clips and of the generation ledger."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.crypto import public_token
from app.core.db import Base, now, primary_key
from app.jobs.models import Job
from app.voices.models import Voice


class Clip(Base):
    """What somebody asked to have spoken. Its job says how far it is."""

    __tablename__ = "clip"
    __table_args__ = (Index(None, "account_id", "id"),)

    id: Mapped[uuid.UUID] = primary_key()
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_token)
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    voice_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("voice.id"))
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("job.id"), unique=True)
    text: Mapped[str] = mapped_column(Text)
    language: Mapped[str] = mapped_column(String(12))
    output_format: Mapped[str] = mapped_column(String(24))
    speed: Mapped[float]
    seed: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(default=now)

    voice: Mapped[Voice] = relationship(lazy="raise", viewonly=True)
    job: Mapped[Job] = relationship(lazy="raise", viewonly=True)


class Generation(Base):
    """The ledger row of one piece of audio: append-only, written before its audio exists outside the worker.

    A trigger refuses a row whose voice may not speak at that moment; others refuse edits.
    """

    __tablename__ = "generation"
    __table_args__ = (Index(None, "account_id"), Index(None, "voice_id"), Index(None, "voice_id", "characters"))

    id: Mapped[uuid.UUID] = primary_key()
    public_ref: Mapped[str] = mapped_column(String(24), unique=True, default=public_token)
    """The random name that signed credentials carry; says nothing about the account."""
    clip_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("clip.id"), unique=True)
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    voice_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("voice.id"))
    consent_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("consent.id"))
    tag: Mapped[bytes] = mapped_column(LargeBinary(16), unique=True)
    """The 128 bits of the mark: 64 of the generation, 64 of the account."""
    key_epoch: Mapped[int]
    text_salt: Mapped[str] = mapped_column(String(43))
    text_digest: Mapped[str] = mapped_column(String(64))
    """SHA-256 of salt and text: proves what was said without keeping it here."""
    characters: Mapped[int]
    engine: Mapped[str] = mapped_column(String(60))
    seed: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(default=now)

    clip: Mapped[Clip] = relationship(lazy="raise", viewonly=True)
