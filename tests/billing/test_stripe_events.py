"""What Stripe sends to the webhook is believed only with Stripe's signature, and only as far as it must be."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from app.billing.gateway import EVENT_TYPES, EventFacts
from app.billing.stripe_gateway import StripeGateway
from app.core.errors import Invalid
from app.settings import Settings
from tests.stripe_fake import StripeWorld, billing


@pytest.fixture
def event(gateway: StripeGateway, stripe_world: StripeWorld) -> dict[str, Any]:
    """An event about a subscription."""
    customer = gateway.create_customer(reference="acc_1", email="a@example.org", key="1")
    address = gateway.checkout(
        customer=customer, plan="creator", reference="acc_1", success_url="https://v", cancel_url="https://v", key="2"
    )
    stripe_world.pay_checkout(address)
    return next(each for each in stripe_world.events() if each["type"] == "customer.subscription.created")


def refused(gateway: StripeGateway, body: bytes, signature: str) -> str:
    with pytest.raises(Invalid) as error:
        gateway.read_event(body, signature)
    return error.value.code


def test_a_signed_event_tells_which_object_changed(
    gateway: StripeGateway, stripe_world: StripeWorld, event: dict[str, Any]
) -> None:
    read = gateway.read_event(*stripe_world.signed(event))
    subscription = event["data"]["object"]
    assert (read.id, read.type) == (event["id"], "customer.subscription.created")
    assert (read.object_type, read.object_id) == ("subscription", subscription["id"])
    assert read.customer == subscription["customer"]
    assert read.created.timestamp() == event["created"]


def test_every_event_of_a_life_at_stripe_can_be_read(gateway: StripeGateway, stripe_world: StripeWorld) -> None:
    customer = gateway.create_customer(reference="acc_1", email="a@example.org", key="1")
    address = gateway.checkout(
        customer=customer, plan="creator", reference="acc_1", success_url="https://v", cancel_url="https://v", key="2"
    )
    subscription = stripe_world.pay_checkout(address)
    (charge,) = stripe_world.charges_of(customer)
    stripe_world.warn_of_fraud(charge)
    stripe_world.close_dispute(stripe_world.open_dispute(charge), "won")
    stripe_world.refund(charge)
    stripe_world.fail_payment(subscription)
    stripe_world.recover_payment(subscription)
    proof = gateway.start_verification(reference="acc_1", return_url="https://v", key="3").id
    stripe_world.process_identity(proof)
    stripe_world.refuse_identity(proof)
    stripe_world.verify_identity(proof, "Zoë", "Müller")
    gateway.redact_verification(proof, key="4")
    stripe_world.cancel_identity(gateway.start_verification(reference="acc_1", return_url="https://v", key="5").id)
    gateway.delete_customer(customer, key="6")
    read = [gateway.read_event(*stripe_world.signed(each)) for each in stripe_world.events()]
    never = {"customer.subscription.paused", "customer.subscription.resumed", "payment_method.automatically_updated"}
    never |= {"charge.dispute.updated", "radar.early_fraud_warning.updated"}
    assert {each.type for each in read} == set(EVENT_TYPES) - never
    assert len({each.id for each in read}) == len(read)
    owners = {each.type: each.customer for each in read}
    assert owners["customer.deleted"] == owners["invoice.paid"] == owners["payment_method.attached"] == customer
    assert owners["charge.dispute.created"] is None, "a dispute names the charge; the charge names the customer"


def test_an_event_signed_with_another_secret_is_refused(
    gateway: StripeGateway, stripe_world: StripeWorld, event: dict[str, Any]
) -> None:
    body, signature = stripe_world.signed(event, secret="whsec_other")
    assert refused(gateway, body, signature) == "webhook.signature"


@pytest.mark.parametrize(("age", "accepted"), [(0, True), (290, True), (310, False), (86_400, False)])
def test_a_signature_is_good_for_five_minutes(
    gateway: StripeGateway, stripe_world: StripeWorld, event: dict[str, Any], age: int, *, accepted: bool
) -> None:
    body, signature = stripe_world.signed(event, at=time.time() - age)
    if accepted:
        assert isinstance(gateway.read_event(body, signature), EventFacts)
    else:
        assert refused(gateway, body, signature) == "webhook.signature"


def test_an_altered_body_or_time_is_refused(
    gateway: StripeGateway, stripe_world: StripeWorld, event: dict[str, Any]
) -> None:
    body, signature = stripe_world.signed(event)
    altered = body.replace(event["id"].encode(), b"evt_other")
    assert altered != body
    assert refused(gateway, altered, signature) == "webhook.signature"
    assert refused(gateway, json.dumps(json.loads(body)).encode(), signature) == "webhook.signature"
    old_body, old = stripe_world.signed(event, at=time.time() - 1_000)
    made_young = f"t={int(time.time())},{old.split(',')[1]}"
    assert refused(gateway, old_body, made_young) == "webhook.signature"


@pytest.mark.parametrize(
    "signature",
    ["", "nonsense", "t=,v1=", "t=1", "v1=abc", "t=now,v1=abc", "t=1,v0=abc", "t=1,v1=\u00e9", "=" * 1000, "," * 1000],
)
def test_headers_that_are_no_signature_are_refused(
    gateway: StripeGateway, stripe_world: StripeWorld, event: dict[str, Any], signature: str
) -> None:
    body, _ = stripe_world.signed(event)
    assert refused(gateway, body, signature) == "webhook.signature"


def test_a_body_that_is_not_text_is_refused(gateway: StripeGateway, event: dict[str, Any]) -> None:
    assert refused(gateway, b"\xff\xfe", "t=1,v1=abc") == "webhook.signature"


def test_without_a_secret_nothing_is_believed(
    stripe_world: StripeWorld, tmp_path: Path, event: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    unset = billing(stripe_world) | {"stripe_webhook_secret": ""}
    gateway = StripeGateway(Settings(data_dir=tmp_path, billing=unset))
    monkeypatch.setattr(stripe_world, "webhook_secret", "")
    assert refused(gateway, *stripe_world.signed(event)) == "webhook.signature"


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {}},
        {"data": {"object": {"object": "invoice"}}},
        {"data": {"object": []}},
        {"data": {"object": {"id": 7, "object": "invoice"}}},
        {"created": "yesterday"},
        {"created": 10**20},
        {"id": None},
        {"type": ["a"]},
    ],
)
def test_a_signed_body_that_is_no_event_about_an_object_is_refused(
    gateway: StripeGateway, stripe_world: StripeWorld, event: dict[str, Any], changes: dict[str, Any]
) -> None:
    assert refused(gateway, *stripe_world.signed(event | changes)) == "webhook.body"


@pytest.mark.parametrize("other", [[], "text", None, 3])
def test_a_signed_body_that_is_no_object_is_refused(
    gateway: StripeGateway, stripe_world: StripeWorld, other: Any
) -> None:
    assert refused(gateway, *stripe_world.signed(other)) == "webhook.body"
