"""A small Stripe for tests: those endpoints that Vouch uses, over HTTP, with state in memory and verbs for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import stripe

from tests.http_server import serve
from tests.stripe_fake.api import application
from tests.stripe_fake.world import GOOD_CARD, MONTH, StripeWorld

__all__ = ["GOOD_CARD", "MONTH", "StripeWorld", "billing", "serving"]


@contextmanager
def serving() -> Iterator[StripeWorld]:
    """A Stripe of one's own, empty; `vouch admin stripe-setup` fills it. Retries of the library don't wait."""
    world = StripeWorld()
    with serve(application(world)) as url, pytest.MonkeyPatch.context() as patch:
        patch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.0)
        world.url = url
        yield world


def billing(world: StripeWorld) -> dict[str, Any]:
    """The settings group `billing` that leads to this Stripe."""
    return {
        "stripe_secret_key": world.key,
        "stripe_webhook_secret": world.webhook_secret,
        "stripe_api_base": world.url,
    }
