"""Errands: small things that must reach the outside world at least once, however often it fails.

A mail, a call to the payment provider, an event that it sent us. The row is written in the transaction that causes it;
`key` makes writing it twice harmless. workers/errands.py does them, again and again with growing rests until each is
done. What an errand does must therefore be safe to repeat.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, now, primary_key


class Errand(Base):
    """One thing to do, until `done_at` is set."""

    __tablename__ = "errand"
    __table_args__ = (Index("ix_errand_due", "done_at", "due_at"), Index(None, "owner_id"))

    id: Mapped[uuid.UUID] = primary_key()
    kind: Mapped[str] = mapped_column(String(40))
    """Names the handler: `mail`, `stripe.event`, ..."""
    key: Mapped[str] = mapped_column(String(160), unique=True)
    owner_id: Mapped[uuid.UUID | None]
    """Whose it is: an erasure takes it along."""
    payload: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What the handler needs; emptied when it is done."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    due_at: Mapped[datetime] = mapped_column(default=now)
    """When to do it, or to try again; in the future while somebody is at it."""
    attempts: Mapped[int] = mapped_column(default=0)
    done_at: Mapped[datetime | None]
    problem: Mapped[str | None] = mapped_column(Text)
    """Why the last attempt failed."""
