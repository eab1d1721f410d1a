"""`vouch admin stripe-setup`."""

from __future__ import annotations

import typer

from app.cli.common import settings_with


def stripe_setup() -> None:
    """Make the products, prices, meter, webhook and customer portal at Stripe; what is there already stays."""
    from app.billing.stripe_catalog import set_up  # here, since Stripe's library takes long to load

    for line in set_up(settings_with()):
        typer.echo(line)
