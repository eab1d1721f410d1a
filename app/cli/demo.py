"""`vouch demo`: the main job on real audio, against a service of its own, from a minute of speech to a trace."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from app.accounts import passwords
from app.accounts.models import Role
from app.accounts.registration import NewAccount, create_account
from app.cli.common import OPERATOR, opened_services, settings_with
from app.cli.factors import handed_over
from app.cli.prepare import make_data_directory
from app.cli.private import PrivateService, private_service
from app.core.errors import Invalid

MIB = 2**20


def demo(
    sample: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="About a minute of one person's speech.")
    ] = None,
    consent: Annotated[Path | None, typer.Option(help="The same person reading the consent sentence.")] = None,
    statement: Annotated[
        str, typer.Option(help="What the consent file says, if it was recorded before. Development only.")
    ] = "",
    data: Annotated[Path | None, typer.Option(help="Directory for everything; default is a new temporary one.")] = None,
    keep: Annotated[bool, typer.Option(help="Leave the service running until Ctrl-C.")] = False,
) -> None:
    """Clone a voice with consent, speak in it, and trace a telephone copy of the clip back to its account.

    Without --sample the voice is Vouch's built-in donor, which is synthetic: no person's voice.
    """
    from app.cli.walk import Walk  # needs an HTTP client, which no other command needs

    _check(sample, consent, statement)
    folder = (data or Path(tempfile.mkdtemp(prefix="vouch-demo-"))).resolve()
    make_data_directory(folder)
    if statement:
        os.environ["VOUCH_TEST_CONSENT_STATEMENT"] = statement
    if settings_with(data=folder).environment != "development":
        raise Invalid("demo.production", "The demo is for development: unset VOUCH_ENVIRONMENT for it.")
    print("Vouch demo: from a minute of speech to a voice, and from a telephone copy back to the account.\n")
    began = time.monotonic()
    with suppress(KeyboardInterrupt), private_service(folder) as service:
        print(f"{time.monotonic() - began:6.1f} s  started a service of its own at {service.address}")
        customer = _account("Joe Miller", Role.CUSTOMER, "creator")
        moderator = _account("Mary Moderator", Role.MODERATOR, "free")
        walk = Walk(service.address, folder / "demo", customer, moderator, statement_known=bool(statement))
        walk.run(sample, consent)
        _say_memory(service)
        _say_where(folder, service, customer)
        if keep or sys.stdout.isatty():
            print("\nThe service runs until you press Ctrl-C.", flush=True)
            service.process.wait()
        else:
            print(f"\nThe service is stopping. `make up DATA={folder}` starts it again with this data.", flush=True)


def _check(sample: Path | None, consent: Path | None, statement: str) -> None:
    """Refuse combinations of options that can't work."""
    if consent is not None and sample is None:
        raise Invalid("demo.options", "--consent needs --sample: both must be of the same person.")
    if statement and consent is None:
        raise Invalid("demo.options", "--statement says what the file of --consent says: give both.")
    interactive = sys.stdin.isatty()
    if sample is not None and consent is None and not interactive:
        raise Invalid(
            "demo.options",
            "The speaker must read a sentence that is issued only now, and this is no terminal to show it on.",
            fix="Run it on a terminal, or give --consent FILE with --statement TEXT for a recording made before.",
        )
    if consent is not None and not consent.is_file() and not interactive:
        raise Invalid("demo.options", f"There is no file {consent}.")


def _account(name: str, role: Role, plan: str) -> NewAccount:
    email = f"{name.split()[0].lower()}-{secrets.token_hex(2)}@example.org"
    password = passwords.temporary()
    with opened_services() as services, services.databases.writing() as session:
        made = create_account(
            session, email=email, name=name, role=role, plan=plan, verified=True, password=password, actor=OPERATOR
        )
        handed_over(session, made.account, services.settings)
        return made


def _say_memory(service: PrivateService) -> None:
    for name, (resident, highest) in service.memory().items():
        print(f"          memory of {name}: {resident / MIB:.0f} MiB resident, {highest / MIB:.0f} MiB at its highest")


def _say_where(folder: Path, service: PrivateService, customer: NewAccount) -> None:
    print(f"\nFiles      {folder / 'demo'}")
    print(f"Web pages  {service.address}")
    print(f"Sign in    {customer.account.email}   password {customer.password}")
