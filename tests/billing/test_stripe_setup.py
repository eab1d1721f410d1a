"""`vouch admin stripe-setup` makes what is missing at Stripe, once, and says so."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.billing.gateway import EVENT_TYPES, GatewayDown
from app.billing.plans import PLANS
from app.billing.stripe_catalog import set_up
from app.cli.commands import cli
from app.core.errors import Invalid
from app.settings import Settings, get_settings
from tests.stripe_fake import StripeWorld, billing


@pytest.fixture
def settings(empty_stripe: StripeWorld, tmp_path: Path) -> Settings:
    """Settings of a server that people reach by https."""
    return Settings(data_dir=tmp_path, billing=billing(empty_stripe), web={"public_url": "https://vouch.test"})


def made(stripe: StripeWorld) -> int:
    return sum(method == "POST" for method, _, _ in stripe.requests)


def test_everything_that_vouch_looks_for_is_made_and_said(settings: Settings, empty_stripe: StripeWorld) -> None:
    said = list(set_up(settings))
    prices = {each["lookup_key"]: each for each in empty_stripe.all("price")}
    assert set(prices) == {
        f"vouch_{name}{kind}" for name in ("starter", "creator", "studio") for kind in ("", "_overage")
    }
    (meter,) = empty_stripe.all("billing.meter")
    assert (meter["event_name"], meter["default_aggregation"]) == ("vouch_characters", {"formula": "sum"})
    overage = prices["vouch_studio_overage"]
    assert overage["recurring"] | {"meter": meter["id"], "usage_type": "metered"} == overage["recurring"]
    assert {each["currency"] for each in prices.values()} == {"eur"}
    (endpoint,) = empty_stripe.all("webhook_endpoint")
    assert endpoint["url"] == "https://vouch.test/webhooks/stripe"
    assert sorted(endpoint["enabled_events"]) == sorted(EVENT_TYPES)
    (portal,) = empty_stripe.all("billing_portal.configuration")
    assert portal["features"]["subscription_cancel"]["mode"] == "at_period_end"
    assert not portal["features"]["subscription_update"]["enabled"]
    assert len(said) == 14
    assert "VOUCH_BILLING__STRIPE_WEBHOOK_SECRET=whsec_fake" in "\n".join(said)


def test_a_second_time_nothing_is_made_and_no_secret_is_shown(settings: Settings, empty_stripe: StripeWorld) -> None:
    list(set_up(settings))
    before = dict(empty_stripe.objects)
    said = "\n".join(set_up(settings))
    assert empty_stripe.objects == before
    assert "made" not in said
    assert "whsec" not in said


def test_a_new_price_takes_the_place_of_the_old_one_for_those_who_subscribe_now(
    settings: Settings, empty_stripe: StripeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(set_up(settings))
    monkeypatch.setitem(PLANS, "starter", dataclasses.replace(PLANS["starter"], price_cents=700))
    said = list(set_up(settings))
    new, old = [each for each in empty_stripe.all("price") if each["product"] == "vouch_starter"]
    assert (new["unit_amount"], new["lookup_key"]) == (700, "vouch_starter")
    assert (old["unit_amount"], old["lookup_key"], old["metadata"]) == (600, None, {"vouch_plan": "starter"})
    assert [line for line in said if "anew" in line] == [
        "Price vouch_starter: made anew, 7 EUR a month. Who subscribed before goes on paying the old price."
    ]


def test_a_webhook_with_other_events_gets_those_that_vouch_handles(
    settings: Settings, empty_stripe: StripeWorld
) -> None:
    list(set_up(settings))
    (endpoint,) = empty_stripe.all("webhook_endpoint")
    endpoint["enabled_events"] = ["invoice.paid", "payout.paid"]
    said = "\n".join(set_up(settings))
    assert sorted(empty_stripe.all("webhook_endpoint")[0]["enabled_events"]) == sorted(EVENT_TYPES)
    assert "it now gets the events that Vouch handles" in said


def test_without_an_https_address_there_is_no_webhook(empty_stripe: StripeWorld, tmp_path: Path) -> None:
    said = "\n".join(set_up(Settings(data_dir=tmp_path, billing=billing(empty_stripe))))
    assert empty_stripe.all("webhook_endpoint") == []
    assert "Set VOUCH_WEB__PUBLIC_URL" in said


def test_it_says_whether_tax_is_computed(settings: Settings, empty_stripe: StripeWorld) -> None:
    assert list(set_up(settings))[-1].startswith("Tax: not computed.")
    empty_stripe.tax_active = True
    assert list(set_up(settings))[-1].startswith("Tax: Stripe computes it")


def test_what_was_interrupted_is_finished_by_the_next_run(settings: Settings, empty_stripe: StripeWorld) -> None:
    steps = set_up(settings)
    for _ in range(5):
        next(steps)
    empty_stripe.go_down()
    with pytest.raises(GatewayDown):
        next(steps)
    empty_stripe.come_back()
    list(set_up(settings))
    kinds = [each["object"] for each in empty_stripe.objects.values()]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "billing.meter": 1,
        "product": 4,
        "price": 6,
        "webhook_endpoint": 1,
        "billing_portal.configuration": 1,
    }


def test_without_a_key_it_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as error:
        list(set_up(Settings(data_dir=tmp_path)))
    assert error.value.fix == "Set VOUCH_BILLING__STRIPE_SECRET_KEY."


def test_the_command_prints_each_line(
    empty_stripe: StripeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in billing(empty_stripe).items():
        monkeypatch.setenv(f"VOUCH_BILLING__{name.upper()}", value)
    monkeypatch.setenv("VOUCH_DATA_DIR", str(tmp_path))
    try:
        result = CliRunner().invoke(cli, ["admin", "stripe-setup"])
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()
    assert result.exit_code == 0, result.output
    assert "Meter vouch_characters: made." in result.output
    assert made(empty_stripe) > 0
