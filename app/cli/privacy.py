"""Holds and erasures at the command line. Each needs a reason, which is kept."""

from __future__ import annotations

from typing import Annotated

import typer

from app.accounts import holds
from app.cli.common import OPERATOR, deciding
from app.privacy import deletion

Address = Annotated[str, typer.Argument(help="Address of the account.")]
Reason = Annotated[str, typer.Option(help="Who ordered it, and why, without names. It is kept.")]


def hold(email: Address, reason: Reason) -> None:
    """Keep everything of an account: no timer and no deletion touches it until the hold is released."""
    with deciding(email, reason) as (_, session, account, said):
        holds.place(session, account, said, OPERATOR)
    typer.echo(f"Everything of {email} is kept from now on. The holder sees that a part of the data must be kept.")


def release_hold(email: Address, reason: Reason) -> None:
    """Let timers and deletions go on."""
    with deciding(email, reason) as (_, session, account, said):
        holds.lift(session, account, said, OPERATOR)
    typer.echo(f"The hold on {email} is released. What was due meanwhile is deleted within a day.")


def erase(email: Address, reason: Reason) -> None:
    """Erase an account at once, without time to undo it. Refused while a hold is in force."""
    with deciding(email, reason) as (_, session, account, said):
        deletion.order(session, account, said, OPERATOR)
    typer.echo(f"{email} is being erased. `vouch doctor` tells if that does not get done.")
