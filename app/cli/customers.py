"""What the operator decides about an account, at the command line: plan, identity, log-ins. Each needs a reason."""

from __future__ import annotations

from typing import Annotated

import typer

import app.voices.entitlements  # noqa: F401 - voices follow a plan wherever it is changed
from app.accounts import sessions
from app.billing import queries, subscriptions, verification
from app.billing.plans import PLANS
from app.cli.common import OPERATOR, deciding

Address = Annotated[str, typer.Argument(help="Address of the account.")]
Reason = Annotated[str, typer.Option(help="Why, and how you made sure. It is kept.")]


def verify(email: Address, reason: Reason) -> None:
    """Say that you have checked who the person is."""
    with deciding(email, reason) as (_, session, account, said):
        verification.vouch_for(session, account, said, OPERATOR)
    typer.echo(f"{email} counts as verified.")


def unverify(email: Address, reason: Reason) -> None:
    """Take the verification back. The person may prove themselves anew."""
    with deciding(email, reason) as (_, session, account, said):
        verification.withdraw(session, account, said, OPERATOR)
    typer.echo(f"{email} no longer counts as verified.")


def set_plan(
    email: Address, plan: Annotated[str, typer.Argument(help=f"One of: {', '.join(PLANS)}.")], reason: Reason
) -> None:
    """Put an account on a plan by hand. A subscription that begins or changes later counts again."""
    with deciding(email, reason) as (_, session, account, said):
        changed = subscriptions.set_plan(session, account, plan, OPERATOR, said)
        live = queries.is_live(queries.subscription_of(session, account.id))
    typer.echo(f"{email} is on the plan {plan}." if changed else f"{email} was on the plan {plan} already.")
    if live:
        typer.echo("The subscription goes on and is billed as before; end it at the payment provider if it should not.")


def end_sessions(email: Address, reason: Reason) -> None:
    """Sign every browser of an account out. Its API keys go on working."""
    with deciding(email, reason) as (_, session, account, said):
        number = sessions.end_other_sessions(session, account, OPERATOR, keep=None, reason=said)
    typer.echo(f"{email} is signed out everywhere ({number} {'session' if number == 1 else 'sessions'}).")
