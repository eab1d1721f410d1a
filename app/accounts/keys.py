"""API keys: made, recognised, rotated, revoked. Only digests are stored.

`app.accounts.key_format` says what a key looks like, `app.accounts.key_leaks` ends those that were found in public.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session

from app.accounts.key_format import SHOWN, new_key
from app.accounts.key_models import ApiKey, KeyEnd, Scope
from app.accounts.key_networks import admits
from app.accounts.models import Account, Role
from app.accounts.rules import OF_ROLE, Capability
from app.accounts.standing import refuse_banned
from app.core import audit, crypto
from app.core.audit import Actor
from app.core.db import now
from app.core.errors import Forbidden, Invalid, NotFound, Refused, Unauthenticated
from app.core.states import lock
from app.core.text import one_line

MOST_KEYS = 20
"""Most keys of one account that work at the same time."""
MOST_CHARACTERS = 1_000_000_000
"""Highest monthly cap of a key."""
LONGEST_NAME = 60
ROTATION_GRACE = timedelta(hours=24)
"""How long a replaced key goes on working when its holder asks for time to exchange it."""
ENDED_SHOWN = timedelta(days=30)
KEY_USE_RESOLUTION = timedelta(minutes=1)  # `last_used_at` is written at most this often, to keep reads cheap
_NEEDS = {Scope.SPEAK: Capability.SPEAK, Scope.VOICES: Capability.CLONE, Scope.MODERATE: Capability.MODERATE}


@dataclass(frozen=True)
class Terms:
    """What a key may be used for, how much, from where and until when."""

    scopes: frozenset[Scope]
    character_cap: int | None = None
    """Most characters in a calendar month (UTC), 1 to MOST_CHARACTERS."""
    networks: tuple[str, ...] = ()
    """As `key_networks.parse_networks` gives them; none means any."""
    expires_at: datetime | None = None


def scopes_of_role(role: Role) -> frozenset[Scope]:
    """The scopes that keys of an account with this role may have: a key can't do what its holder never may."""
    return frozenset(scope for scope in Scope if scope not in _NEEDS or _NEEDS[scope] in OF_ROLE[role])


def create_key(
    session: Session, account: Account, name: str, actor: Actor, terms: Terms | None = None
) -> tuple[ApiKey, str]:
    """Make an API key, by default with every scope that the account may have; gives the row and the key itself.

    The key itself is stored nowhere. Raises Invalid for terms that can't be and for one key too many.
    """
    lock(session, account)  # or two requests could both make the last key
    terms = terms or Terms(scopes_of_role(account.role))
    _check(session, account, terms)
    return _add(session, account, one_line(name, LONGEST_NAME) or "key", actor, terms)


def _check(session: Session, account: Account, terms: Terms) -> None:
    if not terms.scopes:
        raise Invalid("key.scopes", "Choose at least one thing that the key may do.")
    if not terms.scopes <= scopes_of_role(account.role):
        raise Invalid("key.scopes", "This account can't give a key all of these rights. Choose fewer.")
    if terms.character_cap is not None and not 1 <= terms.character_cap <= MOST_CHARACTERS:
        raise Invalid("key.cap", f"A monthly limit is a whole number from 1 to {MOST_CHARACTERS:,}, or nothing.")
    if terms.expires_at is not None and terms.expires_at <= now():
        raise Invalid("key.expires", "That day is over. Choose a later one.")
    if count_live(session, account.id) >= MOST_KEYS:
        raise Invalid("key.too_many", f"You have {MOST_KEYS} keys. Revoke one that you no longer use.")


def _add(session: Session, account: Account, name: str, actor: Actor, terms: Terms) -> tuple[ApiKey, str]:
    key = new_key()
    row = ApiKey(
        account_id=account.id,
        name=name,
        prefix=key[:SHOWN],
        key_digest=crypto.digest(key),
        scopes=[scope.value for scope in Scope if scope in terms.scopes],
        character_cap=terms.character_cap,
        allowed_networks=list(terms.networks),
        expires_at=terms.expires_at,
    )
    session.add(row)
    session.flush()
    facts = {  # no name and no address: the record can't be erased
        "prefix": row.prefix,
        "scopes": row.scopes,
        "character_cap": row.character_cap,
        "networks": len(row.allowed_networks),
        "expires_at": row.expires_at.isoformat() if row.expires_at else None,
    }
    audit.record(session, actor, "api_key.created", row, facts=facts)
    return row, key


def account_of_key(session: Session, key: str, *, address: str) -> tuple[Account, ApiKey]:
    """Who is behind an API key that is used from a network address.

    Raises Unauthenticated when it is unknown or has ended (which is said only of keys that once worked), Refused when
    it may not be used from there, Forbidden when its account is banned or erased.
    """
    row = session.execute(
        select(Account, ApiKey)
        .join(ApiKey, ApiKey.account_id == Account.id)
        .where(ApiKey.key_digest == crypto.digest(key))
    ).one_or_none()
    if row is None:
        raise Unauthenticated("invalid_api_key", "The API key is not valid. Make one on your account page.")
    account, found = row
    _refuse_ended(found)
    if not admits(found.allowed_networks, address):
        raise Refused(
            "key.network",
            "This API key may not be used from this network address.",
            rule="key.network",
            fix="Use it from a network that its owner has allowed, or make a key that allows this one.",
            facts={"key": str(found.id), "address": address},
        )
    refuse_banned(account)
    return account, found


def _refuse_ended(key: ApiKey) -> None:
    ended = end_of(key)
    if ended is None:
        return
    raise Unauthenticated(
        "invalid_api_key",
        f"This API key {_ENDED_WORDS[ended]}.",
        rule=f"key.{ended}",
        fix="Make a new one on your account page, under API keys.",
    )


_ENDED_WORDS = {
    KeyEnd.REVOKED.value: "was revoked",
    KeyEnd.ROTATED.value: "was replaced by a new one",
    KeyEnd.LEAKED.value: "was found in public, so it was switched off",
    "expired": "has expired",
}


def end_of(key: ApiKey) -> str | None:
    """Why a key no longer works: revoked, rotated, leaked or expired; None while it does."""
    at = now()
    if key.revoked_at is not None and key.revoked_at <= at:
        return (key.ended_for or KeyEnd.REVOKED).value
    return "expired" if key.expires_at is not None and key.expires_at <= at else None


def require_scopes(account: Account, key: ApiKey, wanted: Collection[str]) -> None:
    """Raise Forbidden, naming the scope, unless the account's key has all that are wanted."""
    missing = sorted(set(wanted) - set(key.scopes))
    if not missing:
        return
    fix = f"Use a key with the scope “{missing[0]}”, or make one on your account page."
    if missing[0] not in scopes_of_role(account.role):
        fix = "No key of this account can have it: use an account that has this right."
    raise Forbidden(
        "missing_permissions",
        f"This API key lacks the scope “{missing[0]}”, which this request needs.",
        rule="key.scope",
        fix=fix,
    )


def key_use_is_stale(key: ApiKey) -> bool:
    """Whether `last_used_at` should be written again."""
    return key.last_used_at is None or now() - key.last_used_at > KEY_USE_RESOLUTION


def note_key_use(session: Session, key_id: uuid.UUID, address: str) -> None:
    """Remember when and from where a key was used."""
    values = {"last_used_at": now(), "last_address": address[:64]}
    session.execute(update(ApiKey).where(ApiKey.id == key_id).values(values))


def rename_key(session: Session, account: Account, key_id: uuid.UUID, name: str, actor: Actor) -> None:
    """Call a key something else. Raises NotFound for another account's key, Invalid for an empty name."""
    row = own_key(session, account, key_id)
    name = one_line(name, LONGEST_NAME)
    if not name:
        raise Invalid("key.name", "A key needs a name, or you won't know what it is for.")
    if name != row.name:
        audit.record(session, actor, "api_key.renamed", row)
        row.name = name


def rotate_key(
    session: Session, account: Account, key_id: uuid.UUID, actor: Actor, *, grace: timedelta
) -> tuple[ApiKey, str]:
    """Replace a key by a new one on the same terms; the old one works for `grace` more (zero ends it at once).

    A key that expires gets as long a life again. Gives the new row and the key itself. Raises NotFound for another
    account's key, Invalid for one that is ending already, or when both would be one key too many.
    """
    lock(session, account)
    row = own_key(session, account, key_id)
    if row.revoked_at is not None or end_of(row) is not None:
        raise Invalid("key.ended", "This key has ended or is ending already. Make a new one.")
    at = now()
    row.revoked_at, row.ended_for = at + grace, KeyEnd.ROTATED
    session.flush()
    terms = terms_of(row)
    if terms.expires_at is not None:
        terms = replace(terms, expires_at=at + (terms.expires_at - row.created_at))
    _check(session, account, terms)
    made, key = _add(session, account, row.name, actor, terms)
    facts = {"replaced_by": str(made.id), "works_until": row.revoked_at.isoformat()}
    audit.record(session, actor, "api_key.rotated", row, facts=facts)
    return made, key


def terms_of(key: ApiKey) -> Terms:
    """The terms that a key was made on."""
    scopes = frozenset(Scope(scope) for scope in key.scopes)
    return Terms(scopes, key.character_cap, tuple(key.allowed_networks), key.expires_at)


def revoke_key(session: Session, account: Account, key_id: uuid.UUID, actor: Actor) -> None:
    """Make a key useless at once. Raises NotFound for another account's key."""
    row = own_key(session, account, key_id)
    if end_of(row) is None:
        row.revoked_at, row.ended_for = now(), KeyEnd.REVOKED
        audit.record(session, actor, "api_key.revoked", row)


def own_key(session: Session, account: Account, key_id: uuid.UUID) -> ApiKey:
    """A key of the account, locked until the commit. Raises NotFound for another account's."""
    row = session.get(ApiKey, key_id)
    if row is None or row.account_id != account.id:
        raise NotFound("key.not_found", "There is no such key.")
    lock(session, row)
    return row


def live() -> list[ColumnElement[bool]]:
    """Conditions of a query for keys that work now."""
    at = now()
    return [
        or_(ApiKey.revoked_at.is_(None), ApiKey.revoked_at > at),
        or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > at),
    ]


def count_live(session: Session, account_id: uuid.UUID) -> int:
    """How many keys of the account work."""
    query = select(func.count(ApiKey.id)).where(ApiKey.account_id == account_id, *live())
    return session.scalar(query) or 0


def live_keys(session: Session, account_id: uuid.UUID) -> list[ApiKey]:
    """The account's keys that work, newest first."""
    query = select(ApiKey).where(ApiKey.account_id == account_id, *live())
    return list(session.scalars(query.order_by(ApiKey.id.desc())))


def ended_keys(session: Session, account_id: uuid.UUID) -> list[ApiKey]:
    """The account's keys that ended within ENDED_SHOWN, newest first, at most 50."""
    at = now()
    revoked = and_(ApiKey.revoked_at <= at, ApiKey.revoked_at > at - ENDED_SHOWN)
    unrevoked = or_(ApiKey.revoked_at.is_(None), ApiKey.revoked_at > at)
    expired = and_(unrevoked, ApiKey.expires_at <= at, ApiKey.expires_at > at - ENDED_SHOWN)
    query = select(ApiKey).where(ApiKey.account_id == account_id, or_(revoked, expired))
    return list(session.scalars(query.order_by(ApiKey.id.desc()).limit(50)))
