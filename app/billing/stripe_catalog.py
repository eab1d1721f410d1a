"""What Vouch looks for at Stripe, and how it is made there by `vouch admin stripe-setup`, after each change of plans.

It needs a key that may write products, prices, meters, webhook endpoints and portal configurations.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from app.billing.gateway import EVENT_TYPES
from app.billing.plans import PLANS, Plan
from app.billing.stripe_facts import METER, PLAN_METADATA, lookup_key, overage_lookup_key
from app.billing.stripe_gateway import PORTAL_METADATA, asking, connect, found, portal_configuration, tax_is_on
from app.core.errors import Invalid
from app.settings import Settings

if TYPE_CHECKING:
    import stripe
    from stripe.params import PriceCreateParamsRecurring
    from stripe.params.billing_portal import ConfigurationCreateParamsFeatures, ConfigurationUpdateParamsFeatures

OVERAGE_PRODUCT = "vouch_overage"
PORTAL: ConfigurationCreateParamsFeatures = {
    "customer_update": {"enabled": True, "allowed_updates": ["address", "tax_id"]},
    "invoice_history": {"enabled": True},
    "payment_method_update": {"enabled": True},
    "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
}
"""Plans are changed on our own page: the portal can't change a subscription that bills usage too."""


def set_up(settings: Settings) -> Iterator[str]:
    """Make what is missing at Stripe and say each thing. Raises Invalid without a key, GatewayDown, GatewayRefused."""
    if not settings.billing.stripe_secret_key.get_secret_value():
        raise Invalid("billing.no_key", "There is no key of Stripe.", fix="Set VOUCH_BILLING__STRIPE_SECRET_KEY.")
    v1 = connect(settings).v1
    with asking():
        meter, said = _meter(v1)
        yield said
        yield _product(v1, OVERAGE_PRODUCT, f"{settings.voices.service_name}: characters beyond the allowance")
        for plan in PLANS.values():
            if plan.paid:
                yield _product(v1, lookup_key(plan.id), f"{settings.voices.service_name} {plan.name}")
                yield _monthly_price(v1, plan, settings.billing.currency)
            if plan.overage_cents_per_1000:
                yield _overage_price(v1, plan, settings.billing.currency, meter)
        yield _webhook(v1, settings)
        yield _portal(v1)
        yield _tax(v1)


def _meter(v1: stripe.V1Services) -> tuple[str, str]:
    for meter in v1.billing.meters.list({"status": "active", "limit": 100}).auto_paging_iter():
        if meter.event_name == METER:
            return meter.id, f"Meter {METER}: is there."
    made = v1.billing.meters.create(
        {
            "display_name": "Characters beyond the allowance",
            "event_name": METER,
            "default_aggregation": {"formula": "sum"},
            "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
            "value_settings": {"event_payload_key": "value"},
        }
    )
    return made.id, f"Meter {METER}: made."


def _product(v1: stripe.V1Services, product: str, name: str) -> str:
    if found(lambda: v1.products.retrieve(product)) is not None:
        return f"Product {product}: is there."
    v1.products.create({"id": product, "name": name})
    return f"Product {product}: made."


def _monthly_price(v1: stripe.V1Services, plan: Plan, currency: str) -> str:
    recurring: PriceCreateParamsRecurring = {"interval": "month"}
    key = lookup_key(plan.id)
    return _price(v1, plan, key, product=key, cents=Decimal(plan.price_cents), currency=currency, recurring=recurring)


def _overage_price(v1: stripe.V1Services, plan: Plan, currency: str, meter: str) -> str:
    recurring: PriceCreateParamsRecurring = {"interval": "month", "usage_type": "metered", "meter": meter}
    cents = Decimal(plan.overage_cents_per_1000) / 1000
    key = overage_lookup_key(plan.id)
    return _price(v1, plan, key, product=OVERAGE_PRODUCT, cents=cents, currency=currency, recurring=recurring)


def _price(
    v1: stripe.V1Services,
    plan: Plan,
    key: str,
    *,
    product: str,
    cents: Decimal,
    currency: str,
    recurring: PriceCreateParamsRecurring,
) -> str:
    """A price can't be changed, so another amount makes another price, which takes over the lookup key."""
    each = "character" if "meter" in recurring else "month"
    amount = f"{cents / 100:f} {currency.upper()} a {each}"
    held = v1.prices.list({"lookup_keys": [key], "active": True}).data
    if held and held[0].currency == currency and held[0].unit_amount_decimal == cents:
        return f"Price {key}: is there, {amount}."
    v1.prices.create(
        {
            "product": product,
            "lookup_key": key,
            "transfer_lookup_key": True,
            "currency": currency,
            "unit_amount_decimal": cents,
            "recurring": recurring,
            "metadata": {PLAN_METADATA: plan.id},
        }
    )
    if held:
        return f"Price {key}: made anew, {amount}. Who subscribed before goes on paying the old price."
    return f"Price {key}: made, {amount}."


def _webhook(v1: stripe.V1Services, settings: Settings) -> str:
    url = f"{settings.public_url}/webhooks/stripe"
    if not url.startswith("https://"):
        return f"Webhook {url}: not made, as Stripe sends events to https addresses only. Set VOUCH_WEB__PUBLIC_URL."
    events: list[Any] = list(EVENT_TYPES)
    for endpoint in v1.webhook_endpoints.list({"limit": 100}).auto_paging_iter():
        if endpoint.url != url:
            continue
        if set(endpoint.enabled_events) == set(EVENT_TYPES):
            return f"Webhook {url}: is there."
        v1.webhook_endpoints.update(endpoint.id, {"enabled_events": events})
        return f"Webhook {url}: is there; it now gets the events that Vouch handles, and no others."
    made = v1.webhook_endpoints.create({"url": url, "enabled_events": events, "description": "Vouch"})
    return (
        f"Webhook {url}: made. Its secret is shown only now; put it into the settings:\n"
        f"  VOUCH_BILLING__STRIPE_WEBHOOK_SECRET={made.secret}"
    )


def _portal(v1: stripe.V1Services) -> str:
    held = portal_configuration(v1)
    if held is not None:
        v1.billing_portal.configurations.update(
            held.id, {"features": cast("ConfigurationUpdateParamsFeatures", PORTAL)}
        )
        return "Customer portal: is there."
    v1.billing_portal.configurations.create({"features": PORTAL, "metadata": {PORTAL_METADATA: "portal"}})
    return "Customer portal: made. People cancel there with the end of the period, and change cards."


def _tax(v1: stripe.V1Services) -> str:
    if tax_is_on(v1):
        return "Tax: Stripe computes it, as Stripe Tax is set up."
    return "Tax: not computed. Set up Stripe Tax, with a default tax behavior, to have Stripe do it from then on."
