"""Slowing down guessing without letting anybody lock somebody else out.

Failures are counted for an hour: for account and network together, for the network, and for the account from anywhere.
A browser in which the account has signed in before counts its own failures only, whatever others have used up; and
who sets a new password by mail makes their browser such a one. Addresses without an account count the same.
"""

from __future__ import annotations

import ipaddress
import math
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.accounts.models import FailedLogin
from app.core import crypto
from app.core.db import now
from app.core.errors import RateLimited

HOUR = timedelta(hours=1)
KEPT = timedelta(days=1)
PER_ACCOUNT_AND_NETWORK = 10
PER_NETWORK = 100
PER_ACCOUNT = 50
PER_KNOWN_BROWSER = 10
CONFIRMATIONS = 10
SIGN_UPS_PER_NETWORK = 30


@dataclass(frozen=True)
class Limit:
    """`most` attempts in an hour under one digest."""

    digest: str
    most: int


def of_login(email: str, address: str, browser: uuid.UUID | None) -> tuple[Limit, ...]:
    """The limits of a log-in: of the address typed, from a network address, in a browser known to that account."""
    if browser is not None:
        return (_limit(PER_KNOWN_BROWSER, "browser", str(browser)),)
    where = network(address)
    return (
        _limit(PER_ACCOUNT_AND_NETWORK, "account and network", email, where),
        _limit(PER_NETWORK, "network", where),
        _limit(PER_ACCOUNT, "account", email),
    )


def of_confirmation(who: uuid.UUID) -> tuple[Limit, ...]:
    """The limits of proving oneself again in a session."""
    return (_limit(CONFIRMATIONS, "confirmation", str(who)),)


def of_second_step(account_id: uuid.UUID, address: str, browser: uuid.UUID | None) -> tuple[Limit, ...]:
    """The limits of codes after the right password, which only somebody who knows that can use up."""
    who = str(account_id)
    if browser is not None:
        return (_limit(PER_KNOWN_BROWSER, "code in browser", str(browser)),)
    return (
        _limit(PER_ACCOUNT_AND_NETWORK, "code from network", who, network(address)),
        _limit(PER_ACCOUNT, "code", who),
    )


def of_sign_up(address: str) -> tuple[Limit, ...]:
    """The limits of signing up from a network address."""
    return (_limit(SIGN_UPS_PER_NETWORK, "sign-up", network(address)),)


def refuse(
    session: Session,
    limits: Iterable[Limit],
    *,
    what: str = "wrong passwords",
    fix: str | None = "If you can't wait, have a link to a new password sent to you.",
) -> None:
    """Raise RateLimited when a limit is reached; `retry_after` is when the last of them lets one more pass."""
    waits = [wait for limit in limits if (wait := _wait(session, limit)) > 0]
    if waits:
        raise RateLimited(
            "login.too_many",
            f"Too many {what}. Try again in {_in_words(max(waits))}.",
            retry_after=max(waits),
            fix=fix,
        )


def note(session: Session, digests: Iterable[str]) -> None:
    """Count one attempt under each digest."""
    session.add_all(FailedLogin(who_digest=digest) for digest in digests)


def forget_old(session: Session) -> None:
    """Forget attempts older than a day."""
    session.execute(delete(FailedLogin).where(FailedLogin.at < now() - KEPT))


def network(address: str) -> str:
    """What counts as one place: an IPv4 address, or the /64 of an IPv6 one, in which one customer has all addresses."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))


def _limit(most: int, *parts: str) -> Limit:
    return Limit(crypto.digest("\x1f".join(parts)), most)


def _wait(session: Session, limit: Limit) -> int:
    """Seconds until one more may pass; 0 when it may now."""
    moment = now()
    deciding = session.scalar(
        select(FailedLogin.at)
        .where(FailedLogin.who_digest == limit.digest, FailedLogin.at > moment - HOUR)
        .order_by(FailedLogin.at.desc())
        .offset(limit.most - 1)
        .limit(1)
    )
    return 0 if deciding is None else max(1, math.ceil((deciding + HOUR - moment).total_seconds()))


def _in_words(seconds: int) -> str:
    minutes = math.ceil(seconds / 60)
    if minutes > 55:
        return "an hour"
    return f"{minutes} minutes" if minutes > 1 else "a minute"
