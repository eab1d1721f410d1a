"""Second factors at the command line: what new staff is handed over, and help for a lost phone."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from app.accounts import second_factor
from app.accounts.models import Account
from app.cli.common import OPERATOR, deciding
from app.settings import Settings


def handed_over(session: Session, account: Account, settings: Settings) -> dict[str, Any]:
    """An authenticator app and recovery codes for a new account of staff, whose API key needs one; else nothing."""
    if not second_factor.required(account, settings):
        return {}
    address, codes = second_factor.enrol_at_desk(session, account, settings, OPERATOR)
    return {"totp_address": address, "recovery_codes": codes}


def tell(shown: dict[str, Any]) -> None:
    """Print it for the operator, who hands it on."""
    if "totp_address" in shown:
        typer.echo(f"App       {shown['totp_address']}")
        typer.echo("          (for an authenticator app, shown only now; the security page has a new one at any time)")
        typer.echo(f"Recovery  {' '.join(shown['recovery_codes'])}")


def reset_second_factor(
    email: Annotated[str, typer.Argument(help="Address of the account.")],
    reason: Annotated[str, typer.Option(help="How you made sure of who asks, and why. It is kept.")],
) -> None:
    """Take every second factor from an account whose holder has lost them. They are told by mail and signed out."""
    with deciding(email, reason) as (services, session, account, said):
        second_factor.reset(session, account, said, services.settings, OPERATOR)
        must = second_factor.required(account, services.settings)
    typer.echo(f"{email} signs in with the password alone now, and was told by mail.")
    if must:
        typer.echo("Console and API key work again after a new second step is set up under Security.")
