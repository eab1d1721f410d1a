"""Recovery codes: ten that each replace the second factor once, for the day on which the phone is lost.

A code has 60 random bits in three groups of four. What is stored can be tried out only with the web side's key.
"""

from __future__ import annotations

import secrets
import uuid

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from app.accounts.factor_models import RecoveryCode
from app.accounts.models import Account
from app.core import audit, crypto
from app.core.audit import Actor
from app.core.db import now

CODES = 10
FEW = 3
"""So many left, and the holder is told to make new ones."""
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Without i, l, o and u: what a person may mistake for another is read as that one."""
_MISREAD = str.maketrans({"o": "0", "i": "1", "l": "1"})
_LENGTH = 12


def renew(session: Session, account: Account, key: bytes, actor: Actor) -> list[str]:
    """Ten new codes in place of all before; shown once, stored nowhere."""
    codes = ["".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH)) for _ in range(CODES)]
    forget(session, account.id)
    session.add_all(RecoveryCode(account_id=account.id, code_digest=_digest(key, account.id, code)) for code in codes)
    audit.record(session, actor, "account.recovery_codes_made", account, facts={"codes": CODES})
    return [f"{code[:4]}-{code[4:8]}-{code[8:]}" for code in codes]


def use(session: Session, account: Account, code: str, key: bytes, actor: Actor) -> bool:
    """Whether this is one of the account's unused codes; it is used then, whoever else sends it at the same time."""
    cleaned = _cleaned(code)
    if cleaned is None:
        return False
    used = session.execute(
        update(RecoveryCode)
        .where(
            RecoveryCode.account_id == account.id,
            RecoveryCode.code_digest == _digest(key, account.id, cleaned),
            RecoveryCode.used_at.is_(None),
        )
        .values(used_at=now())
    )
    if not used.rowcount:  # type: ignore[attr-defined]
        return False
    audit.record(session, actor, "account.recovery_code_used", account, facts={"left": left(session, account.id)})
    return True


def left(session: Session, account_id: uuid.UUID) -> int:
    """How many unused codes the account has."""
    query = select(func.count()).where(RecoveryCode.account_id == account_id, RecoveryCode.used_at.is_(None))
    return session.scalar(query) or 0


def forget(session: Session, account_id: uuid.UUID) -> None:
    """Delete all codes of the account."""
    session.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account_id))


def looks_like_one(code: str) -> bool:
    """Whether this has the form of a recovery code."""
    return _cleaned(code) is not None


def _cleaned(code: str) -> str | None:
    """The code in the one spelling that is digested; None for what can't be one."""
    plain = "".join(code.lower().replace("-", "").split()).translate(_MISREAD)
    return plain if len(plain) == _LENGTH and set(plain) <= set(_ALPHABET) else None


def _digest(key: bytes, account_id: uuid.UUID, code: str) -> str:
    return crypto.keyed_digest(key, "recovery code", f"{account_id}:{code}")
