"""The transactional outbox: what must be sent is written in the transaction that causes it.

workers/relay.py is the only reader: it sends each row to the broker and marks it sent. A message may arrive twice
or (a broker that forgets) never: the job rows, not the messages, are the truth.
"""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import Index, String, delete, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.core.db import Base, now, primary_key


class OutboxMessage(Base):
    """One message on its way to the broker."""

    __tablename__ = "outbox_message"
    __table_args__ = (Index(None, "sent_at", "id"),)

    id: Mapped[uuid.UUID] = primary_key()
    topic: Mapped[str] = mapped_column(String(64))
    queue: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(default=now)
    sent_at: Mapped[datetime | None]


def enqueue(session: Session, topic: str, queue: str) -> None:
    """Have `topic` sent to `queue` once the caller's transaction commits."""
    session.add(OutboxMessage(topic=topic, queue=queue))


def has_unsent(session: Session) -> bool:
    """Whether anything waits; cheap enough to ask ten times a second."""
    return session.scalar(select(OutboxMessage.id).where(OutboxMessage.sent_at.is_(None)).limit(1)) is not None


def unsent(session: Session, limit: int = 200) -> list[OutboxMessage]:
    """The oldest unsent messages, locked against a second relay where the database can."""
    query = (
        select(OutboxMessage)
        .where(OutboxMessage.sent_at.is_(None))
        .order_by(OutboxMessage.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list(session.scalars(query))


def mark_sent(session: Session, messages: list[OutboxMessage]) -> None:
    """Note that the broker has taken the messages."""
    ids = [message.id for message in messages]
    session.execute(update(OutboxMessage).where(OutboxMessage.id.in_(ids)).values(sent_at=now()))


def forget_sent(session: Session, before: datetime) -> None:
    """Delete messages that were sent before a moment: they have no further use."""
    session.execute(delete(OutboxMessage).where(OutboxMessage.sent_at < before))
