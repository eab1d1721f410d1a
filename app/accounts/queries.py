"""What the account page shows."""

from __future__ import annotations

import uuid

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts.key_models import ApiKey
from app.accounts.models import LoginSession
from app.core.db import now


def keys_of(session: Session, account_id: uuid.UUID) -> list[ApiKey]:
    """The account's keys that still work, newest first."""
    query = select(ApiKey).where(ApiKey.account_id == account_id, ApiKey.revoked_at.is_(None))
    return list(session.scalars(query.order_by(ApiKey.id.desc())))


def sessions_of(session: Session, account_id: uuid.UUID) -> list[LoginSession]:
    """The account's living log-ins, newest first."""
    query = select(LoginSession).where(
        LoginSession.account_id == account_id,
        LoginSession.ended_at.is_(None),
        LoginSession.expires_at > now(),
    )
    return list(session.scalars(query.order_by(LoginSession.id.desc())))
