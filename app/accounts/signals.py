"""Signals: facts about an account that a moderator should look at. The console lists the open ones.

Anything below moderation may raise one; a reference makes repeating it harmless.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.core import audit
from app.core.audit import Actor
from app.core.db import Base, now, primary_key
from app.core.states import state_enum


class SignalKind(StrEnum):
    """What kinds of signals there are."""

    DISPUTE = "dispute"
    FRAUD_WARNING = "fraud_warning"
    REFUND = "refund"
    LINKED_CARD = "linked_card"
    TEXT_RULE = "text_rule"
    LEAKED_KEY = "leaked_key"
    VERIFICATION = "verification"
    MARKED_UPLOAD = "marked_upload"
    """An upload carries the mark of a clip that was made here."""


class Signal(Base):
    """One fact about one account, open until a moderator (or the event that settles it) closes it."""

    __tablename__ = "signal"
    __table_args__ = (UniqueConstraint("kind", "reference"), Index(None, "account_id"), Index(None, "closed_at", "id"))

    id: Mapped[uuid.UUID] = primary_key()
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    kind: Mapped[SignalKind] = mapped_column(state_enum(SignalKind))
    reference: Mapped[str] = mapped_column(String(120))
    """What it is about: the id of a dispute, a charge, a clip. Unique with the kind."""
    summary: Mapped[str] = mapped_column(Text)
    """One sentence for the moderator."""
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    restricted: Mapped[bool] = mapped_column(default=False)
    """Whether it is why the account may not clone: closing the last such signal lifts the restriction."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None] = mapped_column(String(80))
    """Account id of the moderator, or the part of the system that settled it."""
    note: Mapped[str | None] = mapped_column(Text)


def raise_signal(
    session: Session,
    account_id: uuid.UUID,
    kind: SignalKind,
    reference: str,
    summary: str,
    *,
    actor: Actor,
    facts: dict[str, Any] | None = None,
) -> Signal:
    """Open a signal, or give the one that is there already for this kind and reference."""
    known = session.scalar(select(Signal).where(Signal.kind == kind, Signal.reference == reference))
    if known is not None:
        return known
    signal = Signal(account_id=account_id, kind=kind, reference=reference, summary=summary, facts=facts or {})
    session.add(signal)
    session.flush()
    audit.record(session, actor, "signal.raised", signal, facts={"kind": kind.value, "account": str(account_id)})
    return signal


def close_signal(session: Session, signal: Signal, actor: Actor, note: str) -> None:
    """Close a signal with a note. Closing a closed one changes nothing."""
    if signal.closed_at is not None:
        return
    signal.closed_at, signal.closed_by, signal.note = now(), f"{actor.kind}:{actor.id}"[:80], note
    audit.record(session, actor, "signal.closed", signal, reason=note)


def open_signals(session: Session, *, limit: int = 200) -> list[Signal]:
    """Open signals of all accounts, oldest first."""
    query = select(Signal).where(Signal.closed_at.is_(None)).order_by(Signal.id).limit(limit)
    return list(session.scalars(query))
