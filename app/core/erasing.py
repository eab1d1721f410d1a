"""Stored objects that must go: named in the transaction that lets go of them, deleted by an errand until they are gone.

A storage that fails in the middle loses nothing, because deleting an object twice is no error.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from sqlalchemy.orm import Session

from app.core import errands

KIND = "erase_objects"
_BATCH = 500
"""Objects of one errand, so that each ends well within its lease."""


def forget_objects(
    session: Session, about: str, storage_keys: Iterable[str], *, account_id: uuid.UUID | None = None
) -> int:
    """Have objects deleted once the caller's transaction commits; gives how many.

    `about` names what they belong to, such as `voice:<id>`: the same name again adds nothing. With `account_id`, a
    legal hold on that account leaves them where they are. The errand has no owner, so that an erasure leaves it.
    """
    wanted = sorted(set(storage_keys))
    for number, keys in enumerate(_batches(wanted)):
        payload = {"keys": keys, "account": str(account_id) if account_id else None}
        errands.add(session, KIND, f"objects:{about}:{number}", payload)
    return len(wanted)


def _batches(keys: list[str]) -> list[list[str]]:
    return [keys[start : start + _BATCH] for start in range(0, len(keys), _BATCH)]
