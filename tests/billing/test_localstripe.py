"""The gateway with a Stripe that we did not write: localstripe, over HTTP, with the official library.

It knows customers, cards, subscriptions, invoices and payments that fail; but no Checkout, prices, meters, Identity and
disputes: for these see test_stripe_gateway.py.
"""

from __future__ import annotations

import queue
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
import stripe
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.billing.gateway import EVENT_TYPES, GatewayRefused
from app.billing.models import SubscriptionStatus
from app.billing.stripe_gateway import StripeGateway, asking, connect
from app.core.errors import Invalid
from app.settings import Settings
from tests.billing.localstripe_process import localstripe, present_shape
from tests.http_server import serve

GOOD, DECLINED_WHEN_ATTACHED, DECLINED_WHEN_CHARGED = "4242424242424242", "4000000000000002", "4000000000000341"
ASKS_FOR_CONFIRMATION = "4000002500003155"
SECRET = "whsec_of_localstripe"
PATIENCE = 30.0


@dataclass(frozen=True)
class Shop:
    """A localstripe with one plan a month and one a year, seen through the gateway and through the library."""

    address: str
    gateway: StripeGateway
    v1: stripe.V1Services

    def customer(self) -> str:
        """A new customer."""
        return self.gateway.create_customer(reference="acc_1", email="a@example.org", key=str(uuid.uuid4()))

    def use_card(self, customer: str, number: str) -> str:
        """Let a customer pay with a card; gives the payment method."""
        card = {"number": number, "exp_month": 12, "exp_year": 2034, "cvc": "123"}
        method = self.v1.payment_methods.create({"type": "card", "card": card})  # type: ignore[typeddict-item]
        with asking():
            self.v1.payment_methods.attach(method.id, {"customer": customer})
        self.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": method.id}})
        return method.id

    def subscribe(self, customer: str) -> str:
        """Subscribe to the plan a month."""
        return self.v1.subscriptions.create({"customer": customer, "items": [{"plan": "vouch_creator"}]}).id

    def refuse_to_confirm(self, customer: str) -> None:
        """The person's bank asks whether they want to pay, and they don't."""
        (invoice,) = self.v1.invoices.list({"customer": customer}).data
        payment = self.v1.payment_intents.retrieve(invoice["payment_intent"])
        httpx2.post(
            f"{self.address}/v1/payment_intents/{payment.id}/_authenticate",
            json={"client_secret": payment.client_secret, "success": False},
            headers={"Authorization": "Bearer sk_test_localstripe"},
        ).raise_for_status()

    def status(self, subscription: str) -> SubscriptionStatus:
        """How the gateway sees a subscription."""
        facts = self.gateway.subscription(subscription)
        assert facts is not None
        return facts.status


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One localstripe for this module."""
    with localstripe() as address, present_shape(address) as url:
        keys = {"stripe_secret_key": "sk_test_localstripe", "stripe_webhook_secret": SECRET, "stripe_api_base": url}
        settings = Settings(data_dir=tmp_path_factory.mktemp("localstripe"), billing=keys)
        v1 = connect(settings).v1
        v1.products.create({"id": "prod_creator", "name": "Creator"})
        plan = {"product": "prod_creator", "currency": "eur"}
        v1.plans.create({"id": "vouch_creator", "amount": 2_200, "interval": "month", **plan})
        v1.plans.create({"id": "vouch_creator_year", "amount": 22_000, "interval": "year", **plan})
        yield Shop(address, StripeGateway(settings), v1)


def test_customers_are_made_and_deleted(shop: Shop) -> None:
    customer = shop.customer()
    made = shop.v1.customers.retrieve(customer)
    assert (made.email, made.metadata and made.metadata["reference"]) == ("a@example.org", "acc_1")
    shop.gateway.delete_customer(customer, key="1")
    shop.gateway.delete_customer(customer, key="2")
    assert shop.gateway.invoices(customer) == []


def test_a_paid_subscription_has_its_plan_its_month_and_its_invoice(shop: Shop) -> None:
    customer = shop.customer()
    shop.use_card(customer, GOOD)
    subscription = shop.subscribe(customer)
    facts = shop.gateway.subscription(subscription)
    assert facts is not None
    assert (facts.customer, facts.plan, facts.status) == (customer, "creator", SubscriptionStatus.ACTIVE)
    assert timedelta(days=28) <= facts.period_end - facts.period_start <= timedelta(days=31)
    assert shop.gateway.subscriptions_of(customer) == [facts]
    (invoice,) = shop.gateway.invoices(customer)
    assert (invoice.total_cents, invoice.currency, invoice.status) == (2_200, "eur", "paid")


def test_the_same_card_of_two_customers_has_one_fingerprint(shop: Shop) -> None:
    cards = []
    for number in (GOOD, GOOD, DECLINED_WHEN_CHARGED):
        customer = shop.customer()
        shop.use_card(customer, number)
        cards.append(shop.gateway.card_of(customer))
    first, second, other = [card.fingerprint for card in cards if card is not None]
    assert first == second != other


def test_a_first_payment_that_fails_leaves_the_subscription_incomplete_until_another_card_pays(shop: Shop) -> None:
    customer = shop.customer()
    shop.use_card(customer, DECLINED_WHEN_CHARGED)
    subscription = shop.subscribe(customer)
    assert shop.status(subscription) == SubscriptionStatus.INCOMPLETE
    (invoice,) = shop.gateway.invoices(customer)
    assert invoice.status == "open"
    shop.use_card(customer, GOOD)
    shop.v1.invoices.pay(invoice.id)
    assert shop.status(subscription) == SubscriptionStatus.ACTIVE
    assert shop.gateway.invoices(customer)[0].status == "paid"


def test_a_later_payment_that_fails_leaves_the_subscription_past_due(shop: Shop) -> None:
    customer = shop.customer()
    shop.use_card(customer, GOOD)
    subscription = shop.subscribe(customer)
    shop.use_card(customer, DECLINED_WHEN_CHARGED)
    shop.v1.subscriptions.update(subscription, {"items": [{"plan": "vouch_creator_year"}]})
    assert shop.status(subscription) == SubscriptionStatus.PAST_DUE


def test_a_cancelled_subscription_is_over_and_may_be_cancelled_again(shop: Shop) -> None:
    customer = shop.customer()
    shop.use_card(customer, GOOD)
    subscription = shop.subscribe(customer)
    shop.gateway.cancel_subscription(subscription, key="1")
    shop.gateway.cancel_subscription(subscription, key="2")
    assert shop.status(subscription) == SubscriptionStatus.CANCELED


def test_a_declined_card_and_an_unknown_subscription_are_told_apart(shop: Shop) -> None:
    with pytest.raises(GatewayRefused) as refused:
        shop.use_card(shop.customer(), DECLINED_WHEN_ATTACHED)
    assert (refused.value.code, refused.value.facts["stripe_code"]) == ("payment.declined", "card_declined")
    with pytest.raises(GatewayRefused) as unknown:
        shop.gateway.change_plan("sub_unknown", "studio", key="1")
    assert unknown.value.code != "payment.declined"


def test_its_signed_events_are_read_and_others_are_not(shop: Shop, tmp_path: Path) -> None:
    arrived: queue.Queue[tuple[bytes, str]] = queue.Queue()

    async def hook(request: Request) -> Response:
        arrived.put((await request.body(), request.headers["stripe-signature"]))
        return Response()

    with serve(Starlette(routes=[Route("/hook", hook, methods=["POST"])])) as url:
        registered = {"url": f"{url}/hook", "secret": SECRET, "events": list(EVENT_TYPES)}
        httpx2.post(f"{shop.address}/_config/webhooks/ours", json=registered).raise_for_status()
        customer = shop.customer()
        shop.use_card(customer, ASKS_FOR_CONFIRMATION)
        subscription = shop.subscribe(customer)
        shop.refuse_to_confirm(customer)
        seen = {}
        while not {"customer.subscription.created", "invoice.payment_failed"} <= seen.keys():
            body, signature = arrived.get(timeout=PATIENCE)
            event = shop.gateway.read_event(body, signature)
            if event.customer == customer:
                seen[event.type] = event
    created = seen["customer.subscription.created"]
    assert (created.object_type, created.object_id) == ("subscription", subscription)
    keys = {"stripe_secret_key": "sk_test_localstripe", "stripe_webhook_secret": "whsec_other"}
    with pytest.raises(Invalid):
        StripeGateway(Settings(data_dir=tmp_path, billing=keys)).read_event(body, signature)
    with pytest.raises(Invalid):
        shop.gateway.read_event(body.replace(customer.encode(), b"cus_somebody_else"), signature)
