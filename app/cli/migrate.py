"""`vouch migrate`: bring database and stock voices up to date; nothing happens when they are."""

from __future__ import annotations

import typer

from app.cli.common import settings_with
from app.cli.prepare import bring_up_to_date


def migrate() -> None:
    """Bring the database to the present schema and store the engine's stock voices. Safe to repeat."""
    said = bring_up_to_date(settings_with())
    typer.echo("The database is current." + (f" {said}" if said else ""))
