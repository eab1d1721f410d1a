"""Table of characters used."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, now, primary_key


class UsageEntry(Base):
    """One charge. Append-only; at most one per job and kind, whatever is retried."""

    __tablename__ = "usage_entry"
    __table_args__ = (
        UniqueConstraint("job_id", "kind"),
        CheckConstraint("characters >= 0", name="not_negative"),
        Index(None, "account_id", "at"),
    )

    id: Mapped[uuid.UUID] = primary_key()
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("job.id"))
    kind: Mapped[str] = mapped_column(String(24))
    characters: Mapped[int]
    at: Mapped[datetime] = mapped_column(default=now)
