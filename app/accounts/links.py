"""One-time secrets: the links in mails, and the steps between two requests of one ceremony.

Only a digest is stored. A link leads to a page that uses nothing up; its button does, so that programs that read mail
and follow every link in it can't.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from app.accounts.holds import held
from app.accounts.models import OneTimeToken, TokenPurpose
from app.core import crypto
from app.core.db import now
from app.core.errors import Invalid
from app.settings import Settings

PAGES = {
    TokenPurpose.VERIFY_EMAIL: "/sign-up/confirm",
    TokenPurpose.RESET_PASSWORD: "/password/new",
    TokenPurpose.CHANGE_EMAIL: "/account/email/confirm",
}
"""Where each kind of link leads; the token is the query parameter `token`."""

KEPT = timedelta(days=1)
"""How long a token that is used or too old is kept, so that its page can say which of the two it is."""


def issue(
    session: Session,
    account_id: uuid.UUID | None,
    purpose: TokenPurpose,
    lifetime: timedelta,
    facts: dict[str, Any] | None = None,
) -> str:
    """A new secret for one use within `lifetime`. `facts` are kept beside it in plain text."""
    token = crypto.secret_token()
    row = OneTimeToken(
        account_id=account_id,
        purpose=purpose,
        token_digest=crypto.digest(token),
        facts=facts or {},
        expires_at=now() + lifetime,
    )
    session.add(row)
    session.flush()
    return token


def address(settings: Settings, purpose: TokenPurpose, token: str) -> str:
    """The link that a mail shows."""
    return f"{settings.public_url}{PAGES[purpose]}?token={token}"


def look(session: Session, token: str, purpose: TokenPurpose) -> OneTimeToken:
    """The token's row, without using it up. Raises Invalid when it is unknown, used or too old."""
    row = session.scalar(
        select(OneTimeToken).where(OneTimeToken.token_digest == crypto.digest(token), OneTimeToken.purpose == purpose)
    )
    if row is None:
        raise Invalid(
            "link.unknown",
            "This link does not work. Perhaps a part of it got lost on the way.",
            fix="Ask for a new one.",
        )
    if row.used_at is not None:
        raise Invalid("link.used", "This link has been used already. Each link works once.", fix="Ask for a new one.")
    if row.expires_at <= now():
        raise Invalid(
            "link.expired", "This link is too old, or a newer one has been sent since.", fix="Ask for a new one."
        )
    return row


def use(session: Session, token: str, purpose: TokenPurpose) -> OneTimeToken:
    """Use a token up, and give its row. Of several at the same time exactly one succeeds. Raises as `look` does.

    Lock the account first where it will be changed: others lock it before they `kill` its tokens.
    """
    row = look(session, token, purpose)
    moment = now()
    taken = session.execute(
        update(OneTimeToken)
        .where(OneTimeToken.id == row.id, OneTimeToken.used_at.is_(None), OneTimeToken.expires_at > moment)
        .values(used_at=moment)
        .execution_options(synchronize_session=False)
    )
    session.refresh(row)
    if not taken.rowcount:  # type: ignore[attr-defined]  # an UPDATE always has a row count
        look(session, token, purpose)
    return row


def kill(session: Session, account_id: uuid.UUID, *purposes: TokenPurpose) -> None:
    """Let the account's unused tokens for these purposes expire now."""
    moment = now()
    session.execute(
        update(OneTimeToken)
        .where(
            OneTimeToken.account_id == account_id,
            OneTimeToken.purpose.in_(purposes),
            OneTimeToken.used_at.is_(None),
            OneTimeToken.expires_at > moment,
        )
        .values(expires_at=moment)
    )


def issued_since(session: Session, account_id: uuid.UUID, purpose: TokenPurpose, ago: timedelta) -> int:
    """How many tokens for a purpose the account was given within the time `ago` (at most KEPT)."""
    query = select(func.count()).where(
        OneTimeToken.account_id == account_id, OneTimeToken.purpose == purpose, OneTimeToken.created_at > now() - ago
    )
    return session.scalar(query) or 0


def forget_old(session: Session) -> None:
    """Delete what has been used or too old for longer than KEPT."""
    before = now() - KEPT
    old = (OneTimeToken.created_at < before, OneTimeToken.expires_at < before, ~held(OneTimeToken.account_id))
    session.execute(delete(OneTimeToken).where(*old))
