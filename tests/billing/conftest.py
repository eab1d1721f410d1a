"""A Stripe of our own for each test, and the gateway to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.billing.stripe_catalog import set_up
from app.billing.stripe_gateway import StripeGateway
from app.settings import Settings
from tests.billing.desk import desk  # noqa: F401 - a fixture
from tests.stripe_fake import StripeWorld, billing, serving


@pytest.fixture(scope="session")
def _served_stripe() -> Iterator[StripeWorld]:
    with serving() as world:
        yield world


@pytest.fixture
def empty_stripe(_served_stripe: StripeWorld) -> StripeWorld:
    """A Stripe where nothing was set up."""
    _served_stripe.begin()
    return _served_stripe


@pytest.fixture(scope="session")
def stripe_after_setup(tmp_path_factory: pytest.TempPathFactory) -> StripeWorld:
    """What `vouch admin stripe-setup` leaves behind, to be copied."""
    with serving() as world:
        web = {"public_url": "https://vouch.test"}
        list(set_up(Settings(data_dir=tmp_path_factory.mktemp("setup"), billing=billing(world), web=web)))
    return world


@pytest.fixture
def stripe_world(empty_stripe: StripeWorld, stripe_after_setup: StripeWorld) -> StripeWorld:
    """A Stripe after `vouch admin stripe-setup`."""
    empty_stripe.fill(stripe_after_setup)
    return empty_stripe


@pytest.fixture
def gateway(stripe_world: StripeWorld, tmp_path: Path) -> StripeGateway:
    """The gateway that speaks to `stripe_world`."""
    return StripeGateway(Settings(data_dir=tmp_path, billing=billing(stripe_world)))
