"""API keys that were found in public: each real one is switched off at once, its owner is told, moderators see it.

Anybody may report. Nothing is believed but the key itself: whoever can send it could have used it.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from itertools import groupby
from operator import attrgetter

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts import letters
from app.accounts.key_format import find_keys
from app.accounts.key_models import ApiKey, KeyEnd
from app.accounts.keys import end_of, live
from app.accounts.models import Account
from app.accounts.signals import SignalKind, raise_signal
from app.core import audit, crypto, mail
from app.core.audit import Actor
from app.core.db import now
from app.core.errors import Invalid
from app.settings import Settings

_log = structlog.get_logger("vouch.keys")
REPORTED = Actor.system("leaked_keys")


def known_keys(session: Session, text: str) -> list[uuid.UUID]:
    """Keys in the text that work now. For looking first: most reports name none, and need no write."""
    digests = [crypto.digest(key) for key in find_keys(text)]
    if not digests:
        return []
    return list(session.scalars(select(ApiKey.id).where(ApiKey.key_digest.in_(digests), *live())))


def disable(session: Session, key_ids: Collection[uuid.UUID], *, source: str, settings: Settings) -> int:
    """Switch keys off as leaked; gives how many of them still worked.

    `source` is where they were found, as the reporter says. The owner of each is mailed.
    """
    query = select(ApiKey).where(ApiKey.id.in_(key_ids)).order_by(ApiKey.account_id, ApiKey.id)
    locked = session.scalars(query.with_for_update()).all()
    found = [key for key in locked if end_of(key) is None]  # asked by the clock after the wait for the lock
    for key in found:
        _switch_off(session, key, source)
    for account_id, leaked in groupby(found, attrgetter("account_id")):
        _tell_owner(session, session.get_one(Account, account_id), list(leaked), settings)
    return len(found)


def _switch_off(session: Session, key: ApiKey, source: str) -> None:
    key.revoked_at, key.ended_for = now(), KeyEnd.LEAKED
    audit.record(session, REPORTED, "api_key.leaked", key, facts={"prefix": key.prefix, "source": source})
    raise_signal(
        session,
        key.account_id,
        SignalKind.LEAKED_KEY,
        str(key.id),
        f"The API key “{key.name}” ({key.prefix}…) was found in public and has been switched off.",
        actor=REPORTED,
        facts={"source": source, "last_used_at": key.last_used_at.isoformat() if key.last_used_at else None},
    )


def _tell_owner(session: Session, account: Account, leaked: list[ApiKey], settings: Settings) -> None:
    subject, text = letters.keys_leaked(settings, [key.prefix for key in leaked])
    errand = f"leaked-key:{leaked[0].id}"
    try:
        mail.post(session, to=account.email, subject=subject, text=text, key=errand, owner_id=account.id)
    except Invalid:  # an address that no mail can go to must not keep the key alive
        _log.warning("nobody was told of a leaked key", account=str(account.id))
