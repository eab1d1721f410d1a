"""The first step of signing in: address and password. What comes after it is for the edge to decide:

a second step where the account has a second factor, else `sessions.start_session`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts import browsers, history, passwords, throttle
from app.accounts.addresses import spelling
from app.accounts.models import Account, LoginOutcome
from app.accounts.standing import refuse_banned
from app.core.errors import Unauthenticated


def check_password(session: Session, *, email: str, password: str, address: str, known_browsers: str = "") -> Account:
    """The account that an address and a password belong to. Takes a reading session: hashing is slow on purpose.

    `address` is the network address, `known_browsers` the cookie of that name. Raises RateLimited after many failures;
    Unauthenticated, the same and after the same time for an unknown address and a wrong password; and only when the
    password is right Forbidden: `login.unproved` while the address is not proved, `login.temporary_over` for a password
    that was made for the holder more than a week ago, else for a banned account.

    The caller hands the `facts` of an Unauthenticated to `note_failure`, in a writing transaction.
    """
    email = spelling(email)
    account = session.scalar(select(Account).where(Account.email == email))
    browser = browsers.find(session, account.id, known_browsers) if account is not None else None
    limits = throttle.of_login(email, address, browser.id if browser is not None else None)
    throttle.refuse(session, limits)
    if not passwords.matches(account, password) or account is None:
        facts = {
            "who": tuple(limit.digest for limit in limits),
            "account_id": account.id if account is not None else None,
        }
        raise Unauthenticated("login.wrong", "E-mail or password is wrong.", facts=facts)
    refuse_banned(account)
    passwords.refuse_old_temporary(account)
    return account


def note_failure(
    session: Session,
    facts: Mapping[str, Any],
    *,
    address: str,
    user_agent: str,
    outcome: LoginOutcome = LoginOutcome.WRONG_PASSWORD,
    means: str = "password",
) -> None:
    """Count a failed sign-in, and write it into the history of the account that it was for.

    `facts` has `who`, the digests to count under, and `account_id` (None for an unknown address).
    """
    throttle.note(session, facts["who"])
    account_id: uuid.UUID | None = facts["account_id"]
    if account_id is not None:
        history.note(session, account_id, outcome, means=means, address=address, user_agent=user_agent)
