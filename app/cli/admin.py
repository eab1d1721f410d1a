"""`vouch admin`: what only the operator of the server does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from app.accounts import passwords
from app.accounts.models import Role
from app.accounts.registration import create_account
from app.billing.plans import PLANS
from app.cli import customers, factors, privacy, stripe_setup
from app.cli.common import OPERATOR, opened_services, run_module, settings_with
from app.core import crypto, signing
from app.core.errors import Invalid

admin = typer.Typer(help="Accounts and keys, for the operator.", no_args_is_help=True)
admin.command("stripe-setup")(stripe_setup.stripe_setup)
admin.command("reset-second-factor")(factors.reset_second_factor)
admin.command("verify")(customers.verify)
admin.command("unverify")(customers.unverify)
admin.command("end-sessions")(customers.end_sessions)
admin.command("set-plan")(customers.set_plan)
admin.command("hold")(privacy.hold)
admin.command("release-hold")(privacy.release_hold)
admin.command("erase")(privacy.erase)


@admin.command("create-account")
def create(
    email: Annotated[str, typer.Option(help="Address that the person signs in with.")],
    name: Annotated[str, typer.Option(help="Name of the person.")] = "",
    role: Annotated[Role, typer.Option(help="What the account is for.")] = Role.CUSTOMER,
    plan: Annotated[str, typer.Option(help=f"One of: {', '.join(PLANS)}.")] = "free",
    verified: Annotated[bool, typer.Option(help="You have checked who this is.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Create an account. Its one-time password and API key are printed once and stored nowhere.

    An account of staff gets an authenticator app and recovery codes at once: its API key would not work without.
    """
    if plan not in PLANS:
        raise Invalid("account.plan", f"There is no plan {plan!r}. Plans are: {', '.join(PLANS)}.")
    password = passwords.temporary()
    with opened_services() as services, services.databases.writing() as session:
        made = create_account(
            session,
            email=email,
            name=name,
            role=role,
            plan=plan,
            verified=verified,
            password=password,
            actor=OPERATOR,
        )
        shown = {
            "account_id": made.account.public_id,
            "email": made.account.email,
            "password": made.password,
            "api_key": made.api_key,
            **factors.handed_over(session, made.account, services.settings),
        }
    if as_json:
        typer.echo(json.dumps(shown))
        return
    typer.echo(f"Account   {shown['account_id']}, {shown['email']}, {role.value}, plan {plan}")
    typer.echo(f"Password  {shown['password']}   (to be changed after the first sign-in)")
    typer.echo(f"API key   {shown['api_key']}   (shown only now)")
    factors.tell(shown)


@admin.command("rebuild-index")
def rebuild_index() -> None:
    """Make the index of fingerprints anew from the database, when it is damaged, lost, or holds what was erased."""
    typer.echo(run_module("workers.index", "rebuild", timeout=24 * 3600).strip())


@admin.command("init-keys")
def init_keys(
    directory: Annotated[Path | None, typer.Option(help="Folder of the keys; default is that of the settings.")] = None,
) -> None:
    """Make the secret keys that are missing: of mark, credentials, signing and web. Existing ones are never touched."""
    settings = settings_with()
    if crypto.make_web_secret(settings):
        typer.echo(f"made {settings.secret_file}")
    if signing.make_signing_key(settings.signing_key_file):
        typer.echo(f"made {settings.signing_key_file}")
    folder = (directory or settings.key_directory).resolve()
    made = run_module("workers.keys", str(folder), settings.voices.service_name)
    typer.echo(made.strip() or f"All keys are there, in {folder}.")
    typer.echo(f"Back {folder} up, offline: without these keys no clip made under them can be traced.")
    typer.echo(f"Back {settings.secret_file} up, too: without it, people have to set up their authenticators again.")


@admin.command("rotate-mark-key")
def rotate_mark_key() -> None:
    """Start a new epoch of the mark. Old clips stay traceable; running workers take up the new key by themselves."""
    folder = settings_with().key_directory.resolve()
    typer.echo(run_module("workers.keys", "--rotate", str(folder)).strip())
    typer.echo("Clips that are begun from now on carry the new mark. Workers on other machines need the file, too.")
    typer.echo(f"Back {folder} up, offline, with all its mark keys: without one, no clip made under it can be traced.")
