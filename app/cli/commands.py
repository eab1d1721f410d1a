"""All commands in one program, and how their errors are shown."""

from __future__ import annotations

import sys

import typer
from pydantic import ValidationError

from app.cli import admin, demo, doctor, ledger, migrate, receipts, rules, trace, up, verify
from app.core.errors import DomainError

cli = typer.Typer(
    help="Vouch: voices that answer for what they say.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # the pretty trace prints local variables, and those hold secrets
    add_completion=False,
)
cli.command("up")(up.up)
cli.command("demo")(demo.demo)
cli.command("trace")(trace.trace)
cli.command("verify")(verify.verify)
cli.command("verify-receipt")(receipts.verify_receipt)
cli.command("doctor")(doctor.doctor)
cli.command("migrate")(migrate.migrate)
cli.add_typer(admin.admin, name="admin")
cli.add_typer(rules.rules, name="rules")
cli.add_typer(ledger.ledger, name="ledger")


def main() -> None:
    """Run the command line; what can't be done is said in a sentence on stderr, with exit code 1."""
    try:
        cli()
    except DomainError as error:
        sys.exit(f"vouch: {error.message}" + (f" {error.fix}" if error.fix else ""))
    except ValidationError as error:
        sys.exit("vouch: the settings can't be used.\n" + "\n".join(_setting_problem(e) for e in error.errors()))


def _setting_problem(problem: object) -> str:
    assert isinstance(problem, dict)
    name = "VOUCH_" + "__".join(str(part) for part in problem["loc"]).upper() if problem["loc"] else "Settings"
    return f"  {name}: {problem['msg']}"
