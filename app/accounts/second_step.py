"""The second step of signing in: between the right password and the session stands a token that works once.

It dies with the fifth wrong code, after ten minutes, and with a change of the password.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from app.accounts import letters, links, second_factor
from app.accounts.models import Account, OneTimeToken, TokenPurpose
from app.accounts.second_factor import CodeMeans, Visit
from app.core.db import now
from app.core.errors import Invalid, Unauthenticated
from app.core.states import lock
from app.settings import Settings

LIFETIME = timedelta(minutes=10)
MAX_WRONG = 5


@dataclass(frozen=True)
class Step:
    """Somebody who has typed the right password. `next` is where they wanted to go."""

    id: uuid.UUID
    account: Account
    next: str


def begin(session: Session, account: Account, next_path: str) -> str:
    """A token for the account's second step, after its password was right."""
    facts = {"wrong": 0, "next": next_path}
    return links.issue(session, account.id, TokenPurpose.SECOND_STEP, LIFETIME, facts)


def waiting(session: Session, token: str) -> Step:
    """The step that a token is for. Raises Unauthenticated when it is unknown, over or used."""
    row = _row(session, token)
    return Step(row.id, session.get_one(Account, row.account_id), str(row.facts["next"]))


def take_code(session: Session, token: str, code: str, settings: Settings, visit: Visit) -> CodeMeans | int:
    """What the code was, when it is right, else how many more tries there are. Commit in either case.

    Raises Unauthenticated as `waiting`, and RateLimited. The last wrong code ends the step and warns the holder.
    """
    step = waiting(session, token)
    means = second_factor.accept_code(session, step.account, code, settings, visit)
    row = _row(session, token)
    lock(session, row)
    if row.used_at is not None:
        raise _over()
    if means is not None:
        return means
    wrong = int(row.facts["wrong"]) + 1
    row.facts = {**row.facts, "wrong": wrong}
    if wrong >= MAX_WRONG:
        row.used_at = now()
        once_a_day = f"wrong-codes:{step.account.id}:{now():%Y-%m-%d}"  # who guesses on must not fill the mailbox
        second_factor.tell(session, step.account, letters.wrong_codes(settings, MAX_WRONG), once_a_day)
    return MAX_WRONG - wrong


def finish(session: Session, token: str) -> None:
    """Use the step up, after a right code or passkey. Of several at once exactly one succeeds; else as `waiting`."""
    try:
        links.use(session, token, TokenPurpose.SECOND_STEP)
    except Invalid:
        raise _over() from None


def _row(session: Session, token: str) -> OneTimeToken:
    try:
        return links.look(session, token, TokenPurpose.SECOND_STEP)
    except Invalid:
        raise _over() from None


def _over() -> Unauthenticated:
    return Unauthenticated("second_step.over", "That took too long, or was tried too often. Please sign in again.")
