"""The log-in history that a person sees of their account."""

from __future__ import annotations

import uuid

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts.models import LoginEvent, LoginOutcome
from app.core.text import one_line


def note(
    session: Session, account_id: uuid.UUID, outcome: LoginOutcome, *, means: str, address: str, user_agent: str
) -> None:
    """Write one line. `means` is password, code, recovery_code, passkey or mail."""
    session.add(
        LoginEvent(
            account_id=account_id,
            outcome=outcome,
            means=means,
            address=address[:64],
            user_agent=one_line(user_agent, 200),
        )
    )


def history_of(session: Session, account_id: uuid.UUID, limit: int = 50) -> list[LoginEvent]:
    """The newest lines, newest first."""
    query = select(LoginEvent).where(LoginEvent.account_id == account_id)
    return list(session.scalars(query.order_by(LoginEvent.at.desc(), LoginEvent.id.desc()).limit(limit)))
