"""The append-only record of who did what to which object, and why. Triggers in the schema refuse edits."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import structlog
from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.core.db import Base, now, primary_key

ActorKind = Literal["account", "operator", "system"]


@dataclass(frozen=True)
class Actor:
    """Who acts: an account, the operator at the command line, or a part of the system."""

    kind: ActorKind
    id: str

    @classmethod
    def system(cls, part: str) -> Actor:
        """A part of Vouch acting by itself, such as `intake`."""
        return cls("system", part)


class AuditEntry(Base):
    """One act. `subject` is the object acted on; `facts` holds numbers and names, never secrets."""

    __tablename__ = "audit_entry"
    __table_args__ = (Index(None, "subject_kind", "subject_id"), Index(None, "actor_kind", "actor_id"))

    id: Mapped[uuid.UUID] = primary_key()
    at: Mapped[datetime] = mapped_column(default=now)
    actor_kind: Mapped[str] = mapped_column(String(16))
    actor_id: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64), index=True)
    subject_kind: Mapped[str] = mapped_column(String(32))
    subject_id: Mapped[str] = mapped_column(String(64))
    before: Mapped[str | None] = mapped_column(String(32))
    after: Mapped[str | None] = mapped_column(String(32))
    reason: Mapped[str | None] = mapped_column(Text)
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    request_id: Mapped[str | None] = mapped_column(String(64))


def record(
    session: Session,
    actor: Actor,
    action: str,
    subject: Any,
    *,
    before: str | None = None,
    after: str | None = None,
    reason: str | None = None,
    facts: dict[str, Any] | None = None,
) -> AuditEntry:
    """Write one act into the caller's transaction. `subject` is a row with an `id`."""
    entry = AuditEntry(
        actor_kind=actor.kind,
        actor_id=actor.id,
        action=action,
        subject_kind=subject.__tablename__,
        subject_id=str(subject.id),
        before=before,
        after=after,
        reason=reason,
        facts=facts or {},
        request_id=structlog.contextvars.get_contextvars().get("request_id"),
    )
    session.add(entry)
    return entry
