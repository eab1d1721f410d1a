"""Moving an object from state to state: the one function that does it, checks it and records it.

A class with states inherits `HasState` and names its TRANSITIONS. Assigning `.state` anywhere else raises.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from contextvars import ContextVar
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import Enum, event, inspect
from sqlalchemy.orm import InstanceState, Mapper, Session

from app.core import audit
from app.core.audit import Actor

_moving: ContextVar[bool] = ContextVar("moving", default=False)


class IllegalTransition(RuntimeError):
    """Code tried a move that TRANSITIONS does not have. A defect of ours, not of the person."""


class HasState:
    """Mixin of tables with a `state` column."""

    TRANSITIONS: ClassVar[Mapping[Any, Set[Any]]]
    state: Any


def state_enum(states: type[StrEnum], *, checked: bool = True) -> Enum:
    """Column type of a state: text with a CHECK constraint, the same on both databases.

    `checked=False` leaves the constraint out, for a column whose values another CHECK of its table holds.
    """
    return Enum(
        states,
        native_enum=False,
        create_constraint=checked,
        length=24,
        name=states.__name__.lower(),
        values_callable=lambda e: [m.value for m in e],
    )


def lock(session: Session, subject: Any) -> None:
    """Read a row again, as it is now, and keep others from changing it until the commit.

    For verbs that decide by what the row holds: on PostgreSQL it may have changed since it was loaded. Take locks in
    the order account, job, voice, consent or sample, or two verbs may wait for each other.
    """
    session.flush()
    columns = [column.key for column in inspect(type(subject)).column_attrs]
    session.refresh(subject, columns, with_for_update={"key_share": True})


def move(
    session: Session,
    subject: Any,
    to: StrEnum,
    actor: Actor,
    *,
    reason: str | None = None,
    facts: dict[str, Any] | None = None,
) -> None:
    """Move `subject` to the state `to` and write the audit row in the same transaction.

    Raises IllegalTransition when TRANSITIONS does not allow it from the state that the row has now.
    """
    _read_state_again(session, subject)
    before = subject.state
    if to not in subject.TRANSITIONS.get(before, ()):
        raise IllegalTransition(f"{subject.__tablename__} {subject.id}: {before} -> {to} is not allowed")
    token = _moving.set(True)
    try:
        subject.state = to
    finally:
        _moving.reset(token)
    audit.record(
        session,
        actor,
        f"{subject.__tablename__}.{to}",
        subject,
        before=str(before),
        after=str(to),
        reason=reason,
        facts=facts,
    )


def _read_state_again(session: Session, subject: Any) -> None:
    """Somebody else may have moved the row since it was loaded; from here on nobody can until the commit."""
    known = inspect(subject)
    if known.persistent and not known.attrs.state.history.has_changes():
        with session.no_autoflush:
            session.refresh(subject, ["state"], with_for_update={"key_share": True})


@event.listens_for(Mapper, "after_configured")
def _guard_states() -> None:
    from app.core.db import Base

    for mapper in Base.registry.mappers:
        if issubclass(mapper.class_, HasState) and "state" in mapper.columns:
            event.listen(mapper.class_.state, "set", _refuse_assignment)


def _refuse_assignment(target: Any, value: Any, old: Any, _initiator: object) -> None:
    status: InstanceState[Any] = target._sa_instance_state
    if status.transient or _moving.get() or value == old:
        return
    raise IllegalTransition(f"{target.__tablename__}.state is moved by app.core.states.move, not assigned")
