"""API keys: made, recognised, revoked. Only digests are stored."""

from __future__ import annotations

import uuid
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.accounts.key_models import ApiKey
from app.accounts.models import Account
from app.core import audit, crypto
from app.core.audit import Actor
from app.core.db import now
from app.core.errors import NotFound, Unauthenticated
from app.core.text import one_line

KEY_PREFIX = "vch_"
KEY_USE_RESOLUTION = timedelta(minutes=1)  # `last_used_at` is written at most this often, to keep reads cheap


def account_of_key(session: Session, key: str) -> tuple[Account, ApiKey]:
    """Who is behind an API key. Raises Unauthenticated when it is unknown or revoked.

    Whether the account may still do anything is for the caller to look at.
    """
    row = session.execute(
        select(Account, ApiKey)
        .join(ApiKey, ApiKey.account_id == Account.id)
        .where(ApiKey.key_digest == crypto.digest(key))
    ).one_or_none()
    if row is None or row[1].revoked_at is not None:
        raise Unauthenticated("invalid_api_key", "The API key is not valid. Make one on your account page.")
    return row[0], row[1]


def key_use_is_stale(key: ApiKey) -> bool:
    """Whether `last_used_at` should be written again."""
    return key.last_used_at is None or now() - key.last_used_at > KEY_USE_RESOLUTION


def note_key_use(session: Session, key_id: uuid.UUID) -> None:
    """Remember that a key was used."""
    session.execute(update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=now()))


def create_key(session: Session, account: Account, name: str, actor: Actor) -> tuple[ApiKey, str]:
    """Make an API key; gives the row and the key itself, which is stored nowhere."""
    key = KEY_PREFIX + crypto.secret_token()
    name = one_line(name, 60) or "key"
    row = ApiKey(account_id=account.id, name=name, prefix=key[:9], key_digest=crypto.digest(key))
    session.add(row)
    session.flush()
    audit.record(session, actor, "api_key.created", row, facts={"name": name, "prefix": row.prefix})
    return row, key


def revoke_key(session: Session, account: Account, key_id: uuid.UUID, actor: Actor) -> None:
    """Make a key useless at once. Raises NotFound for another account's key."""
    row = session.get(ApiKey, key_id)
    if row is None or row.account_id != account.id:
        raise NotFound("key.not_found", "There is no such key.")
    if row.revoked_at is None:
        row.revoked_at = now()
        audit.record(session, actor, "api_key.revoked", row)
