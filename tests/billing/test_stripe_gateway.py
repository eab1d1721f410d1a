"""The gateway to Stripe over real HTTP, with our own Stripe at the other end: customers, plans, money."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.billing.gateway import GatewayDown, GatewayRefused
from app.billing.models import SubscriptionStatus
from app.billing.stripe_catalog import OVERAGE_PRODUCT
from app.billing.stripe_gateway import StripeGateway
from app.core.db import now
from app.settings import Settings
from tests.stripe_fake import GOOD_CARD, MONTH, StripeWorld, billing, objects

OTHER_CARD = "5555555555554444"


def a_customer(gateway: StripeGateway, reference: str = "acc_1") -> str:
    return gateway.create_customer(reference=reference, email=f"{reference}@example.org", key=f"customer:{reference}")


def opened(gateway: StripeGateway, customer: str, plan: str = "creator", key: str = "checkout:1") -> str:
    return gateway.checkout(
        customer=customer,
        plan=plan,
        reference="acc_1",
        success_url="https://vouch.test/account/plan?done=1",
        cancel_url="https://vouch.test/account/plan",
        key=key,
    )


def subscribed(gateway: StripeGateway, stripe: StripeWorld, plan: str = "creator") -> tuple[str, str]:
    """A customer, and the subscription that they have paid."""
    customer = a_customer(gateway)
    return customer, stripe.pay_checkout(opened(gateway, customer, plan))


def used(gateway: StripeGateway, customer: str, characters: int, identifier: str = "gen_1") -> None:
    gateway.record_usage(customer=customer, identifier=identifier, characters=characters, at=now())


def asked(stripe: StripeWorld, method: str, path: str) -> list[objects.Object]:
    """The parameters of the calls that were made."""
    return [params for did, at, params in stripe.requests if (did, at) == (method, f"/v1/{path}")]


def test_a_customer_is_made_once_for_one_key(gateway: StripeGateway, stripe_world: StripeWorld) -> None:
    first, second = a_customer(gateway), a_customer(gateway)
    assert first == second
    (made,) = stripe_world.all("customer")
    assert (made["email"], made["metadata"]) == ("acc_1@example.org", {"reference": "acc_1"})


def test_a_key_that_comes_with_another_call_is_refused(gateway: StripeGateway) -> None:
    a_customer(gateway)
    with pytest.raises(GatewayRefused) as refused:
        gateway.create_customer(reference="acc_2", email="other@example.org", key="customer:acc_1")
    assert refused.value.code == "payment.refused"
    assert refused.value.facts["stripe_error"] == "IdempotencyError"


def test_a_deleted_customer_has_nothing_left_and_may_be_deleted_again(
    gateway: StripeGateway, stripe_world: StripeWorld
) -> None:
    customer, subscription = subscribed(gateway, stripe_world)
    gateway.delete_customer(customer, key="delete:1")
    gateway.delete_customer(customer, key="delete:2")
    gateway.delete_customer("cus_unknown", key="delete:3")
    held = gateway.subscription(subscription)
    assert held is not None
    assert held.status == SubscriptionStatus.CANCELED
    assert gateway.card_of(customer) is None


def test_a_paid_checkout_is_a_subscription_with_the_plan_and_its_period(
    gateway: StripeGateway, stripe_world: StripeWorld
) -> None:
    before = now().replace(microsecond=0)
    customer, subscription = subscribed(gateway, stripe_world, "creator")
    held = gateway.subscription(subscription)
    assert held is not None
    assert (held.id, held.customer, held.plan) == (subscription, customer, "creator")
    assert (held.status, held.cancel_at_period_end) == (SubscriptionStatus.ACTIVE, False)
    assert before <= held.period_start <= now()
    assert held.period_end - held.period_start == timedelta(seconds=MONTH)
    assert held.period_start.tzinfo is UTC


def test_a_checkout_asks_for_a_card_for_both_prices_and_for_flexible_billing(
    gateway: StripeGateway, stripe_world: StripeWorld
) -> None:
    address = opened(gateway, a_customer(gateway))
    assert address.startswith("https://checkout.stripe.com/")
    (params,) = asked(stripe_world, "POST", "checkout/sessions")
    prices = [stripe_world.objects[item["price"]]["lookup_key"] for item in params["line_items"]]
    assert prices == ["vouch_creator", "vouch_creator_overage"]
    assert params["allowed_payment_method_types"] == ["card"]
    assert params["subscription_data"]["billing_mode"] == {"type": "flexible"}
    assert (params["client_reference_id"], params["allow_promotion_codes"]) == ("acc_1", "true")


def test_the_same_checkout_is_opened_once(gateway: StripeGateway, stripe_world: StripeWorld) -> None:
    customer = a_customer(gateway)
    assert opened(gateway, customer) == opened(gateway, customer)
    assert len(stripe_world.all("checkout.session")) == 1


@pytest.mark.parametrize("active", [True, False])
def test_tax_is_computed_just_when_it_is_set_up_at_stripe(
    gateway: StripeGateway, stripe_world: StripeWorld, *, active: bool
) -> None:
    stripe_world.tax_active = active
    opened(gateway, a_customer(gateway))
    (params,) = asked(stripe_world, "POST", "checkout/sessions")
    assert params.get("automatic_tax") == ({"enabled": "true"} if active else None)
    assert params.get("customer_update") == ({"address": "auto", "name": "auto"} if active else None)


def test_a_plan_without_a_price_at_stripe_says_what_the_operator_must_do(
    empty_stripe: StripeWorld, tmp_path: Path
) -> None:
    gateway = StripeGateway(Settings(data_dir=tmp_path, billing=billing(empty_stripe)))
    with pytest.raises(GatewayRefused, match="can't be bought yet") as refused:
        opened(gateway, a_customer(gateway))
    assert refused.value.fix == "Ask the operator to run `vouch admin stripe-setup`."


def test_the_portal_is_the_one_that_was_set_up(gateway: StripeGateway, stripe_world: StripeWorld) -> None:
    address = gateway.portal(customer=a_customer(gateway), return_url="https://vouch.test/account")
    assert address.startswith("https://billing.stripe.com/")
    (params,) = asked(stripe_world, "POST", "billing_portal/sessions")
    (ours,) = stripe_world.all("billing_portal.configuration")
    assert (params["configuration"], params["return_url"]) == (ours["id"], "https://vouch.test/account")


def test_what_stripe_does_not_know_is_none(gateway: StripeGateway) -> None:
    assert gateway.subscription("sub_unknown") is None
    assert gateway.verification("vs_unknown") is None
    assert gateway.charge("ch_unknown") is None
    assert gateway.dispute("du_unknown") is None
    assert gateway.fraud_warning("issfr_unknown") is None
    assert gateway.subscriptions_of("cus_unknown") == []
    assert gateway.invoices("cus_unknown") == []
    assert gateway.card_of("cus_unknown") is None
    with pytest.raises(GatewayRefused) as refused:
        gateway.portal(customer="cus_unknown", return_url="https://vouch.test")
    assert refused.value.code == "payment.missing"


def test_a_subscription_tells_how_its_payments_go(gateway: StripeGateway, stripe_world: StripeWorld) -> None:
    def status() -> SubscriptionStatus:
        held = gateway.subscription(subscription)
        assert held is not None
        return held.status

    _, subscription = subscribed(gateway, stripe_world)
    stripe_world.fail_payment(subscription)
    assert status() == SubscriptionStatus.PAST_DUE
    stripe_world.give_up_payment(subscription)
    assert status() == SubscriptionStatus.UNPAID
    stripe_world.recover_payment(subscription)
    assert status() == SubscriptionStatus.ACTIVE
    stripe_world.give_up_payment(subscription, "canceled")
    assert status() == SubscriptionStatus.CANCELED


@pytest.mark.parametrize("field", ["cancel_at_period_end", "cancel_at"])
def test_a_subscription_that_will_end_says_so_in_either_of_stripes_ways(
    gateway: StripeGateway, stripe_world: StripeWorld, field: str
) -> None:
    _, subscription = subscribed(gateway, stripe_world)
    stripe_world.cancel(subscription, at_period_end=True)
    held = stripe_world.objects[subscription]
    held.update({"cancel_at_period_end": False, "cancel_at": None} | {field: held[field]})
    facts = gateway.subscription(subscription)
    assert facts is not None
    assert (facts.status, facts.cancel_at_period_end) == (SubscriptionStatus.ACTIVE, True)


def test_all_subscriptions_of_a_customer_are_listed_newest_first(
    gateway: StripeGateway, stripe_world: StripeWorld
) -> None:
    customer, first = subscribed(gateway, stripe_world, "starter")
    stripe_world.cancel(first)
    second = stripe_world.pay_checkout(opened(gateway, customer, "studio", key="checkout:2"))
    found = gateway.subscriptions_of(customer)
    assert [(each.id, each.plan, each.status.value) for each in found] == [
        (second, "studio", "active"),
        (first, "starter", "canceled"),
    ]


def test_a_price_that_was_replaced_still_stands_for_its_plan(gateway: StripeGateway, stripe_world: StripeWorld) -> None:
    _, subscription = subscribed(gateway, stripe_world, "creator")
    for item in stripe_world.objects[subscription]["items"]["data"]:
        item["price"]["lookup_key"] = None
    held = gateway.subscription(subscription)
    assert held is not None
    assert held.plan == "creator"


def test_the_plan_is_that_of_the_month_when_the_usage_is_still_that_of_another(
    gateway: StripeGateway, stripe_world: StripeWorld
) -> None:
    _, subscription = subscribed(gateway, stripe_world, "creator")
    stripe_world.change_plan(subscription, "vouch_starter_overage", "vouch_studio")
    held = gateway.subscription(subscription)
    assert held is not None
    assert held.plan == "studio"


@pytest.mark.parametrize("metadata", [{}, {"vouch_plan": "gold"}])
def test_a_subscription_to_something_else_has_no_plan(
    gateway: StripeGateway, stripe_world: StripeWorld, metadata: dict[str, str]
) -> None:
    _, subscription = subscribed(gateway, stripe_world)
    for item in stripe_world.objects[subscription]["items"]["data"]:
        item["price"].update(lookup_key="somebody_elses", metadata=metadata)
    held = gateway.subscription(subscription)
    assert held is not None
    assert held.plan is None


def test_a_larger_plan_replaces_both_prices_and_bills_a_new_month_and_the_usage_so_far(
    gateway: StripeGateway, stripe_world: StripeWorld
) -> None:
    customer, subscription = subscribed(gateway, stripe_world, "starter")
    used(gateway, customer, 5_000)
    changed = gateway.change_plan(subscription, "studio", key="change:1")
    again = gateway.change_plan(subscription, "studio", key="change:2")
    assert (changed.plan, again.plan) == ("studio", "studio")
    assert len(asked(stripe_world, "POST", f"subscriptions/{subscription}")) == 1
    held = [item["price"]["lookup_key"] for item in stripe_world.objects[subscription]["items"]["data"]]
    assert held == ["vouch_studio", "vouch_studio_overage"]
    # 99.00 for a month that begins now, 5,000 characters at 0.30 a thousand: billed once
    assert [invoice.total_cents for invoice in gateway.invoices(customer)] == [9_900 + 150, 600]


def test_a_smaller_plan_costs_and_gives_back_nothing_and_keeps_its_month(
    gateway: StripeGateway, stripe_world: StripeWorld
) -> None:
    customer, subscription = subscribed(gateway, stripe_world, "studio")
    before = gateway.subscription(subscription)
    changed = gateway.change_plan(subscription, "starter", key="change:1")
    assert before is not None
    assert (changed.plan, changed.period_start, changed.period_end) == (
        "starter",
        before.period_start,
        before.period_end,
    )
    assert [invoice.total_cents for invoice in gateway.invoices(customer)] == [9_900]
    (asked_for,) = asked(stripe_world, "POST", f"subscriptions/{subscription}")
    assert "billing_cycle_anchor" not in str(asked_for)


def test_a_plan_whose_usage_item_is_missing_gets_it_with_the_next_plan(
    gateway: StripeGateway, stripe_world: StripeWorld
) -> None:
    _, subscription = subscribed(gateway, stripe_world, "starter")
    del stripe_world.objects[subscription]["items"]["data"][1]
    gateway.change_plan(subscription, "creator", key="change:1")
    held = [item["price"]["lookup_key"] for item in stripe_world.objects[subscription]["items"]["data"]]
    assert held == ["vouch_creator", "vouch_creator_overage"]


def test_a_declined_card_leaves_the_plan_and_the_person_hears_why(
    gateway: StripeGateway, stripe_world: StripeWorld
) -> None:
    customer, subscription = subscribed(gateway, stripe_world, "starter")
    stripe_world.decline_cards(customer)
    with pytest.raises(GatewayRefused, match=r"Your card was declined\.") as refused:
        gateway.change_plan(subscription, "studio", key="change:1")
    assert (refused.value.code, refused.value.facts["stripe_code"]) == ("payment.declined", "card_declined")
    held = gateway.subscription(subscription)
    assert held is not None
    assert held.plan == "starter"


def test_cancelling_bills_the_usage_so_far_and_may_be_repeated(
    gateway: StripeGateway, stripe_world: StripeWorld
) -> None:
    customer, subscription = subscribed(gateway, stripe_world, "starter")
    used(gateway, customer, 2_000)
    gateway.cancel_subscription(subscription, key="cancel:1")
    gateway.cancel_subscription(subscription, key="cancel:2")
    gateway.cancel_subscription("sub_unknown", key="cancel:3")
    held = gateway.subscription(subscription)
    assert held is not None
    assert held.status == SubscriptionStatus.CANCELED
    assert [invoice.total_cents for invoice in gateway.invoices(customer)] == [60, 600]


def test_a_subscription_that_never_began_need_not_be_cancelled(
    gateway: StripeGateway, stripe_world: StripeWorld
) -> None:
    _, subscription = subscribed(gateway, stripe_world)
    stripe_world.objects[subscription]["status"] = "incomplete_expired"
    gateway.cancel_subscription(subscription, key="cancel:1")
    assert asked(stripe_world, "DELETE", f"subscriptions/{subscription}") == []


def test_invoices_come_newest_first_up_to_a_limit(gateway: StripeGateway, stripe_world: StripeWorld) -> None:
    customer, subscription = subscribed(gateway, stripe_world, "starter")
    used(gateway, customer, 10_000)
    stripe_world.advance_period(subscription)
    stripe_world.fail_payment(subscription)
    newest, middle, oldest = gateway.invoices(customer)
    assert [(each.total_cents, each.status) for each in (newest, middle, oldest)] == [
        (600, "open"),
        (900, "paid"),
        (600, "paid"),
    ]
    assert (oldest.number, oldest.currency) == ("VOUCH-0001", "eur")
    assert str(oldest.page_url).startswith("https://invoice.stripe.com/")
    assert str(oldest.pdf_url).endswith("/pdf")
    assert oldest.created.tzinfo is UTC
    assert gateway.invoices(customer, limit=1) == [newest]


def test_the_card_in_use_is_known_by_its_fingerprint(gateway: StripeGateway, stripe_world: StripeWorld) -> None:
    customer, subscription = subscribed(gateway, stripe_world)
    first = gateway.card_of(customer)
    assert first is not None
    assert (first.fingerprint, first.brand, first.last4, first.funding) == (
        objects.fingerprint(GOOD_CARD),
        "visa",
        "4242",
        "credit",
    )
    stripe_world.change_card(customer, OTHER_CARD)
    second = gateway.card_of(customer)
    assert second is not None
    assert second.fingerprint == objects.fingerprint(OTHER_CARD)
    stripe_world.objects[customer]["invoice_settings"]["default_payment_method"] = None
    stripe_world.objects[subscription]["default_payment_method"] = stripe_world.all("payment_method")[1]["id"]
    assert gateway.card_of(customer) == first, "the card of the running subscription comes before a newer one"


def test_without_a_subscription_the_card_is_the_default_one_or_else_the_newest(
    gateway: StripeGateway, stripe_world: StripeWorld
) -> None:
    customer = a_customer(gateway)
    assert gateway.card_of(customer) is None
    older = stripe_world.change_card(customer, GOOD_CARD)
    stripe_world.change_card(customer, OTHER_CARD)
    defaults = stripe_world.objects[customer]["invoice_settings"]
    for default, expected in [(older, GOOD_CARD), (None, OTHER_CARD)]:
        defaults["default_payment_method"] = default
        card = gateway.card_of(customer)
        assert card is not None
        assert card.fingerprint == objects.fingerprint(expected)


def test_what_is_paid_with_but_is_no_card_is_passed_over(gateway: StripeGateway, stripe_world: StripeWorld) -> None:
    customer, subscription = subscribed(gateway, stripe_world)
    wallet = {name: value for name, value in stripe_world.all("payment_method")[0].items() if name != "card"}
    stripe_world.put(wallet | {"id": "pm_wallet", "type": "link", "link": {"email": None}})
    stripe_world.objects[subscription]["default_payment_method"] = "pm_wallet"
    card = gateway.card_of(customer)
    assert card is not None
    assert card.fingerprint == objects.fingerprint(GOOD_CARD)


def test_usage_counts_once_however_often_it_is_sent(gateway: StripeGateway, stripe_world: StripeWorld) -> None:
    customer = a_customer(gateway)
    for _ in range(3):
        used(gateway, customer, 700, "gen_1")
    used(gateway, customer, 50, "gen_2")
    assert stripe_world.billed_characters(customer) == 750


def test_usage_whose_answer_was_lost_counts_once_when_it_is_sent_again(
    gateway: StripeGateway, stripe_world: StripeWorld
) -> None:
    customer = a_customer(gateway)
    stripe_world.lose_answers(3)
    with pytest.raises(GatewayDown):
        used(gateway, customer, 700)
    used(gateway, customer, 700)
    assert stripe_world.billed_characters(customer) == 700


def test_usage_that_stripe_can_not_take_any_more_is_refused_not_swallowed(
    gateway: StripeGateway, stripe_world: StripeWorld
) -> None:
    customer = a_customer(gateway)
    with pytest.raises(GatewayRefused) as refused:
        gateway.record_usage(customer=customer, identifier="gen_1", characters=9, at=datetime(2026, 1, 1, tzinfo=UTC))
    assert refused.value.facts["stripe_code"] == "timestamp_too_far_in_past"
    assert stripe_world.billed_characters(customer) == 0


def test_each_plan_has_its_price_and_the_characters_beyond_it_have_theirs(stripe_world: StripeWorld) -> None:
    prices = {each["lookup_key"]: each for each in stripe_world.all("price")}
    assert prices["vouch_starter"]["unit_amount"] == 600
    assert prices["vouch_starter_overage"]["unit_amount_decimal"] == "0.03"
    assert prices["vouch_starter_overage"]["product"] == OVERAGE_PRODUCT
