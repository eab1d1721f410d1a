"""Standing and role to capabilities. Code asks for a capability, never for a status."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from app.accounts.models import Role, Standing


class Capability(StrEnum):
    """Something that an account may do."""

    SIGN_IN = "sign_in"
    SPEAK = "speak"
    CLONE = "clone"
    MODERATE = "moderate"
    OPERATE = "operate"


OF_STANDING: dict[Standing, frozenset[Capability]] = {
    Standing.ACTIVE: frozenset(Capability),
    Standing.RESTRICTED: frozenset({Capability.SIGN_IN, Capability.SPEAK}),
    Standing.SUSPENDED: frozenset({Capability.SIGN_IN}),
    Standing.BANNED: frozenset(),
}

OF_ROLE: dict[Role, frozenset[Capability]] = {
    Role.CUSTOMER: frozenset({Capability.SIGN_IN, Capability.SPEAK, Capability.CLONE}),
    Role.MODERATOR: frozenset({Capability.SIGN_IN, Capability.MODERATE}),
    Role.SENIOR: frozenset({Capability.SIGN_IN, Capability.MODERATE}),
    Role.OPERATOR: frozenset(Capability),
}


def capabilities(
    role: Role,
    standing: Standing,
    suspended_until: datetime | None,
    at: datetime,
    *,
    proved: bool = True,
    closing: bool = False,
    erased: bool = False,
) -> frozenset[Capability]:
    """What an account may do at the moment `at`. A suspension that has run out no longer counts.

    Nothing before its address is `proved` or once it is `erased`; one that is `closing` may sign in, to undo it.
    """
    if erased or not proved:
        return frozenset()
    if standing is Standing.SUSPENDED and suspended_until is not None and suspended_until <= at:
        standing = Standing.ACTIVE
    allowed = OF_ROLE[role] & OF_STANDING[standing]
    return allowed & {Capability.SIGN_IN} if closing else allowed


def is_verified(verified_at: datetime | None, recheck_by: datetime | None, at: datetime) -> bool:
    """Whether the proof of who is behind an account counts at the moment `at`.

    `verified_at` is when it was given, `recheck_by` until when it must be repeated (None: it need not be).
    """
    return verified_at is not None and (recheck_by is None or at < recheck_by)
