"""Our Stripe answers as the real one: each object that it gave is held against the official library's types.

And the gateway asks the objects for nothing that those types lack, with or without a type checker.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import stripe

from app.billing.gateway import EVENT_TYPES
from app.billing.stripe_catalog import set_up
from app.billing.stripe_gateway import StripeGateway
from app.core.db import now
from app.settings import Settings
from tests.stripe_fake import StripeWorld, api, billing
from tests.stripe_fake.truth import fields, problems

KINDS: dict[str, type[stripe.StripeObject]] = {
    "customer": stripe.Customer,
    "payment_method": stripe.PaymentMethod,
    "product": stripe.Product,
    "price": stripe.Price,
    "plan": stripe.Plan,
    "subscription": stripe.Subscription,
    "subscription_item": stripe.SubscriptionItem,
    "invoice": stripe.Invoice,
    "charge": stripe.Charge,
    "dispute": stripe.Dispute,
    "radar.early_fraud_warning": stripe.radar.EarlyFraudWarning,
    "billing.meter": stripe.billing.Meter,
    "billing.meter_event": stripe.billing.MeterEvent,
    "checkout.session": stripe.checkout.Session,
    "billing_portal.session": stripe.billing_portal.Session,
    "billing_portal.configuration": stripe.billing_portal.Configuration,
    "identity.verification_session": stripe.identity.VerificationSession,
    "webhook_endpoint": stripe.WebhookEndpoint,
    "tax.settings": stripe.tax.Settings,
    "event": stripe.Event,
}


def untrue(answer: Any) -> list[str]:
    """What is wrong with an answer of the fake."""
    if answer["object"] == "list":
        return [found for each in answer["data"] for found in untrue(each)]
    if answer.get("deleted"):
        return [] if set(answer) == {"id", "object", "deleted"} else ["a deleted object says only that"]
    return problems(answer, KINDS[answer["object"]], answer["object"])


def live_a_life(gateway: StripeGateway, world: StripeWorld, settings: Settings) -> None:
    """Use every call of the gateway, every verb of the world and the set-up."""
    list(set_up(settings))
    customer = gateway.create_customer(reference="acc_1", email="a@example.org", key="1")
    urls = {"success_url": "https://v", "cancel_url": "https://v"}
    address = gateway.checkout(customer=customer, plan="creator", reference="acc_1", **urls, key="2")
    subscription = world.pay_checkout(address)
    gateway.portal(customer=customer, return_url="https://v")
    gateway.record_usage(customer=customer, identifier="gen_1", characters=9_000, at=now())
    gateway.change_plan(subscription, "studio", key="3")
    world.change_plan(subscription, "vouch_starter", "vouch_starter_overage")
    world.advance_period(subscription)
    world.fail_payment(subscription)
    world.give_up_payment(subscription)
    world.recover_payment(subscription)
    charge = world.charges_of(customer)[0]
    gateway.fraud_warning(world.warn_of_fraud(charge))
    dispute = world.open_dispute(charge)
    gateway.dispute(dispute)
    world.close_dispute(dispute, "won")
    world.refund(charge, 5)
    gateway.charge(charge)
    started = gateway.start_verification(reference="acc_1", return_url="https://v", key="4").id
    for step in (
        lambda: world.process_identity(started),
        lambda: world.refuse_identity(started),
        lambda: world.verify_identity(started, "Zoë", "Müller"),
        lambda: gateway.redact_verification(started, key="5"),
        lambda: world.cancel_identity(started),
    ):
        step()
        gateway.verification(started)
    gateway.invoices(customer)
    gateway.subscription(subscription)
    gateway.card_of(customer)
    world.cancel(subscription, at_period_end=True)
    gateway.subscriptions_of(customer)
    gateway.cancel_subscription(subscription, key="6")
    world.objects[customer]["invoice_settings"]["default_payment_method"] = None
    gateway.card_of(customer)
    gateway.delete_customer(customer, key="7")


@pytest.fixture
def settings(empty_stripe: StripeWorld, tmp_path: Path) -> Settings:
    """Settings that lead to a Stripe where nothing was set up."""
    return Settings(data_dir=tmp_path, billing=billing(empty_stripe), web={"public_url": "https://vouch.test"})


@pytest.fixture
def answers(settings: Settings, empty_stripe: StripeWorld, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """All that the fake answered in a whole life, and the events that it sent."""
    given: list[dict[str, Any]] = []
    answer: Callable[..., Any] = api._expanded

    def listening(*arguments: Any) -> Any:
        given.append(answer(*arguments))
        return given[-1]

    monkeypatch.setattr(api, "_expanded", listening)
    live_a_life(StripeGateway(settings), empty_stripe, settings)
    on_the_wire: list[dict[str, Any]] = json.loads(json.dumps(given + empty_stripe.events()))
    return on_the_wire


def test_every_answer_and_every_event_is_what_stripe_would_say(answers: list[dict[str, Any]]) -> None:
    assert {found for each in answers for found in untrue(each)} == set()
    about = [each["data"]["object"] for each in answers if each["object"] == "event"]
    assert {found for each in about for found in untrue(each)} == set()


def test_every_kind_of_object_was_seen(answers: list[dict[str, Any]]) -> None:
    seen = {each["object"] for each in answers} | {
        held["object"] for each in answers if each["object"] == "list" for held in each["data"]
    }
    assert seen - {"list"} == set(KINDS) - {"plan", "subscription_item"}  # those are within subscriptions


def test_every_call_of_the_api_was_made(answers: list[dict[str, Any]], empty_stripe: StripeWorld) -> None:
    def patterns(path: str) -> str:
        parts = path.removeprefix("/v1/").split("/")
        return "/".join("ID" if part in empty_stripe.objects or part.startswith("vouch_") else part for part in parts)

    made = {(method, patterns(path)) for method, path, _ in empty_stripe.requests}
    rare = {("POST", "webhook_endpoints/ID"), ("POST", "billing_portal/configurations/ID")}
    assert set(api.ROUTES) - made <= rare


def test_a_wrong_answer_is_noticed(answers: list[dict[str, Any]]) -> None:
    true = next(each for each in answers if each["object"] == "subscription")
    item = ("items", "data", 0)
    for path, value, said in [
        (("current_period_end",), 1, "no such field"),  # where it was before 2025
        ((*item, "current_period_end"), "soon", "is no int"),
        ((*item, "price", "lookup_keys"), "x", "no such field"),
        ((*item, "price", "unit_amount"), True, "is no int"),
        ((*item, "price", "unit_amount_decimal"), 600, "is no Decimal"),
        (("status",), "overdue", "is none of"),
        (("customer",), None, "null"),
        (("customer",), 7, "is no"),
        (("object",), "invoice", "is none of"),
        (("items",), [], "is no list object"),
        (("metadata",), {"a": 1}, "is no str"),
        (("discounts",), {}, "is no list"),
        (("billing_mode", "type"), 3, "is none of"),
    ]:
        false = copy.deepcopy(true)
        place: Any = false
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = value
        assert any(said in found for found in untrue(false)), f"{path} = {value!r}: {untrue(false)}"
    for needed in ("status", "items", "customer"):
        assert untrue({name: value for name, value in true.items() if name != needed})


def test_the_gateway_asks_objects_for_what_they_have(
    settings: Settings, empty_stripe: StripeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[tuple[type, str]] = set()
    get = stripe.StripeObject.__getattr__

    def listening(self: stripe.StripeObject, name: str) -> Any:
        if not name.startswith("_"):
            asked.add((type(self), name))
        return get(self, name)

    monkeypatch.setattr(stripe.StripeObject, "__getattr__", listening)
    live_a_life(StripeGateway(settings), empty_stripe, settings)
    assert (stripe.SubscriptionItem, "current_period_end") in asked
    of_objects = {(kind, name) for kind, name in asked if not issubclass(kind, stripe.ListObject)}
    assert {(kind.__name__, name) for kind, name in of_objects if name not in fields(kind)} == set()


def test_every_event_that_the_webhook_is_registered_for_exists() -> None:
    assert set(EVENT_TYPES) - set(get_args(fields(stripe.Event)["type"])) == set()
    assert len(EVENT_TYPES) == len(set(EVENT_TYPES))
