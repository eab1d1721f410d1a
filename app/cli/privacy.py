"""Holds and erasures at the command line. Each needs a reason, which is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts import holds
from app.accounts.addresses import spelling
from app.accounts.models import Account
from app.cli.common import OPERATOR, opened_services
from app.core.errors import Invalid, NotFound
from app.core.text import one_line
from app.privacy import deletion

Address = Annotated[str, typer.Argument(help="Address of the account.")]
Reason = Annotated[str, typer.Option(help="Who ordered it, and why, without names. It is kept.")]


def hold(email: Address, reason: Reason) -> None:
    """Keep everything of an account: no timer and no deletion touches it until the hold is released."""
    with _deciding(email, reason) as (session, account, said):
        holds.place(session, account, said, OPERATOR)
    typer.echo(f"Everything of {email} is kept from now on. The holder sees that a part of the data must be kept.")


def release_hold(email: Address, reason: Reason) -> None:
    """Let timers and deletions go on."""
    with _deciding(email, reason) as (session, account, said):
        holds.lift(session, account, said, OPERATOR)
    typer.echo(f"The hold on {email} is released. What was due meanwhile is deleted within a day.")


def erase(email: Address, reason: Reason) -> None:
    """Erase an account at once, without time to undo it. Refused while a hold is in force."""
    with _deciding(email, reason) as (session, account, said):
        deletion.order(session, account, said, OPERATOR)
    typer.echo(f"{email} is being erased. `vouch doctor` tells if that does not get done.")


@contextmanager
def _deciding(email: str, reason: str) -> Iterator[tuple[Session, Account, str]]:
    said = one_line(reason, 500)
    if not said:
        raise Invalid("admin.reason", "Give the reason: it is kept with the decision.")
    with opened_services() as services, services.databases.writing() as session:
        account = session.scalar(select(Account).where(Account.email == spelling(email)))
        if account is None:
            raise NotFound("account.not_found", f"There is no account for {email}.")
        yield session, account, said
