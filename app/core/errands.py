"""Errands: small things that must reach the outside world at least once, however often it fails.

A mail, a call to the payment provider, an event that it sent us. The row is written in the transaction that causes it;
`key` makes writing it twice harmless. workers/errands.py does them, again and again with growing rests until each is
done. What an errand does must therefore be safe to repeat.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Index, String, Text, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.core import outbox
from app.core.db import Base, now, primary_key

RING = "errand"
"""Topic of the message that an errand waits."""
QUEUE = "errands"
"""Queue of the processes that do errands."""
LEASE = timedelta(minutes=2)
"""How long an errand is left alone after somebody took it, unless they ask for more time."""
FIRST_REST, LONGEST_REST = timedelta(seconds=10), timedelta(hours=1)
_LONGEST_PROBLEM = 500


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
    """Why the last attempt failed; on a done one, why it was given up."""


@dataclass(frozen=True)
class ErrandFacts:
    """What a handler is told of its errand. `attempt` is 1 the first time."""

    id: uuid.UUID
    key: str
    owner_id: uuid.UUID | None
    payload: dict[str, Any]
    attempt: int


class CannotBeDone(Exception):
    """Raised by a handler: no further try can help. The errand ends with the message as its problem."""


def add(
    session: Session,
    kind: str,
    key: str,
    payload: dict[str, Any] | None = None,
    *,
    owner_id: uuid.UUID | None = None,
    due_at: datetime | None = None,
) -> Errand | None:
    """Have something done once the caller's transaction commits, or at `due_at`. Gives None when the key exists.

    `key` is unique over all kinds, done errands included, until those are forgotten; it has at most 160 characters.
    Waits for a transaction that is adding the same key. Raises ValueError for a kind or key that is too long.
    """
    if len(key) > 160 or len(kind) > 40:
        raise ValueError("the kind or the key of an errand is too long")
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    values = {"kind": kind, "key": key, "owner_id": owner_id, "payload": payload or {}, "due_at": due_at or now()}
    added = session.scalars(
        insert(Errand).values(values).on_conflict_do_nothing(index_elements=[Errand.key]).returning(Errand)
    ).one_or_none()
    if added is not None and due_at is None:
        outbox.enqueue(session, RING, QUEUE)
    return added


def take(session: Session, lease: timedelta = LEASE) -> Errand | None:
    """The errand that has been due longest, for the caller alone until the lease is over; None when none is due."""
    moment = now()
    errand = session.scalar(
        select(Errand)
        .where(Errand.done_at.is_(None), Errand.due_at <= moment)
        .order_by(Errand.due_at, Errand.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if errand is not None:
        errand.attempts += 1
        errand.due_at = moment + lease
        session.flush()
    return errand


def ring_again(session: Session) -> None:
    """Ring for errands that are due: those that failed before, and those whose doorbell was lost."""
    due = select(Errand.id).where(Errand.done_at.is_(None), Errand.due_at <= now()).limit(1)
    if session.scalar(due) is not None:
        outbox.enqueue(session, RING, QUEUE)


def renew(session: Session, errand_id: uuid.UUID, attempt: int, lease: timedelta = LEASE) -> bool:
    """Ask for more time. Gives whether this attempt still has the errand, as all the following do."""
    return _change(session, errand_id, attempt, due_at=now() + lease)


def finish(session: Session, errand_id: uuid.UUID, attempt: int, *, problem: str | None = None) -> bool:
    """Mark it as done, and forget its payload. With a `problem` it was given up for that reason."""
    return _change(session, errand_id, attempt, done_at=now(), payload={}, problem=_short(problem))


def fail(session: Session, errand_id: uuid.UUID, attempt: int, problem: str) -> bool:
    """Have it tried again: after 10 s, then twice as long each time, up to an hour."""
    rest = LONGEST_REST if attempt > 12 else min(FIRST_REST * 2 ** max(attempt - 1, 0), LONGEST_REST)
    return _change(session, errand_id, attempt, due_at=now() + rest, problem=_short(problem))


def drop(session: Session, *, owner_id: uuid.UUID) -> None:
    """Delete every errand of an owner, done or not: for erasures, which must do first what still has to be done."""
    session.execute(delete(Errand).where(Errand.owner_id == owner_id))


def forget_done(session: Session, before: datetime, *, keep: Collection[uuid.UUID] = ()) -> None:
    """Delete errands that were done before a moment, except those of the owners in `keep`."""
    theirs = or_(Errand.owner_id.is_(None), Errand.owner_id.not_in(keep))
    session.execute(delete(Errand).where(Errand.done_at < before, theirs))


def stuck(session: Session, attempts: int = 3) -> list[tuple[str, int, str]]:
    """Kind, number and newest problem of what was tried more often than `attempts` times and is not done."""
    tried = (Errand.done_at.is_(None), Errand.attempts > attempts)
    return _by_kind(session, *tried)


def given_up(session: Session, since: datetime) -> list[tuple[str, int, str]]:
    """Kind, number and newest problem of what was given up since a moment."""
    return _by_kind(session, Errand.done_at >= since, Errand.problem.is_not(None))


def _by_kind(session: Session, *which: ColumnElement[bool]) -> list[tuple[str, int, str]]:
    found = []
    for kind, number in session.execute(
        select(Errand.kind, func.count()).where(*which).group_by(Errand.kind).order_by(Errand.kind)
    ):
        newest = select(Errand.problem).where(*which, Errand.kind == kind).order_by(Errand.due_at.desc()).limit(1)
        found.append((kind, number, session.scalar(newest) or ""))
    return found


def _change(session: Session, errand_id: uuid.UUID, attempt: int, **values: Any) -> bool:
    """Change an errand only while `attempt` is its newest and it is not done: others may have taken it over."""
    ours = (Errand.id == errand_id, Errand.attempts == attempt, Errand.done_at.is_(None))
    result = session.execute(update(Errand).where(*ours).values(values))
    return bool(result.rowcount)  # type: ignore[attr-defined]  # an UPDATE always has a row count


def _short(problem: str | None) -> str | None:
    return None if problem is None else problem.replace("\x00", "")[:_LONGEST_PROBLEM]
