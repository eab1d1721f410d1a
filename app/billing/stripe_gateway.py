"""Stripe as the payment gateway: the only module that imports stripe.

Prices are found by lookup key, so that no id of one Stripe account stands in the settings: `vouch_starter` is the price
of the plan `starter` and `vouch_starter_overage` that of its characters beyond the allowance, counted by the meter
`vouch_characters`. `vouch admin stripe-setup` makes them. Tax is left to Stripe: it is computed for those whose Stripe
Tax is set up (`tax_is_on`), and there is nothing to set here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import stripe

from app.billing.gateway import (
    CardFacts,
    ChargeFacts,
    DisputeFacts,
    EventFacts,
    FraudWarningFacts,
    GatewayDown,
    GatewayRefused,
    InvoiceFacts,
    SubscriptionFacts,
    VerificationFacts,
    VerificationStart,
)
from app.billing.models import SubscriptionStatus
from app.billing.plans import PLANS, is_larger
from app.billing.stripe_facts import (
    METER,
    card_facts,
    charge_facts,
    dispute_facts,
    event_facts,
    fraud_warning_facts,
    invoice_facts,
    is_metered,
    lookup_key,
    overage_lookup_key,
    plan_of,
    subscription_facts,
    verification_facts,
)
from app.core.errors import Invalid
from app.settings import Settings

if TYPE_CHECKING:
    from stripe.params import SubscriptionUpdateParams, SubscriptionUpdateParamsItem
    from stripe.params.billing_portal import SessionCreateParams as PortalParams
    from stripe.params.checkout import SessionCreateParams, SessionCreateParamsLineItem

PORTAL_METADATA = "vouch"
"""Name of the metadata by which our configuration of the customer portal is known."""
CONNECT_SECONDS = 4.0
ANSWER_SECONDS = 10.0
RETRIES = 2
SIGNATURE_SECONDS = 300
"""How old a signed event may be: longer, and whoever has seen one could send it again."""

_MISSING = "payment.missing"
_OVER = (SubscriptionStatus.CANCELED, SubscriptionStatus.INCOMPLETE_EXPIRED)
_T = TypeVar("_T")

stripe.enable_telemetry = False  # it would tell Stripe how long our calls take and what system we run on


def connect(settings: Settings) -> stripe.StripeClient:
    """A client of Stripe's API. Contacts nobody yet; threads may share it."""
    base = settings.billing.stripe_api_base.rstrip("/")
    return stripe.StripeClient(
        settings.billing.stripe_secret_key.get_secret_value(),
        base_addresses={"api": base} if base else {},
        max_network_retries=RETRIES,
        http_client=stripe.RequestsClient(timeout=(CONNECT_SECONDS, ANSWER_SECONDS)),
    )


@contextmanager
def asking() -> Iterator[None]:
    """Turn what Stripe's library raises inside the block into GatewayDown or GatewayRefused."""
    try:
        yield
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        # "down", not "refused": the operator can mend it, and what waits to be sent must not be given up
        raise GatewayDown(
            "payment.key",
            "The payment provider does not accept this server's key, or the key may not do this.",
            fix="Ask the operator to check the key of the payment provider.",
            facts=_facts_of(error),
        ) from error
    except (stripe.CardError, stripe.InvalidRequestError, stripe.IdempotencyError) as error:
        raise _refusal(error) from error
    except stripe.StripeError as error:
        raise GatewayDown(
            "payment.unavailable",
            "The payment provider does not answer at the moment.",
            fix="Try again in a few minutes.",
            facts=_facts_of(error),
        ) from error


def _refusal(error: stripe.StripeError) -> GatewayRefused:
    facts = _facts_of(error)
    if isinstance(error, stripe.CardError):
        said = error.user_message or "The card was declined."
        return GatewayRefused("payment.declined", said, fix="Try another card.", facts=facts)
    if error.code == "resource_missing":
        return GatewayRefused(_MISSING, "The payment provider does not know this customer or payment.", facts=facts)
    said = "The payment provider could not do this, and nothing was charged."
    return GatewayRefused("payment.refused", said, fix="Ask the operator to look at it.", facts=facts)


def _facts_of(error: stripe.StripeError) -> dict[str, Any]:
    """What helps an operator to find the call at Stripe. The message may hold addresses, so it is left out."""
    return {
        "stripe_error": type(error).__name__,
        "stripe_code": error.code,
        "stripe_param": getattr(error, "param", None),
        "stripe_request": error.request_id,
    }


class StripeGateway:
    """The gateway (see app.billing.gateway.Gateway) that speaks to Stripe."""

    name: Literal["stripe"] = "stripe"

    def __init__(self, settings: Settings) -> None:
        self._webhook_secret = settings.billing.stripe_webhook_secret.get_secret_value()
        self._v1 = connect(settings).v1

    def create_customer(self, *, reference: str, email: str, key: str) -> str:
        """Make a customer; gives the id."""
        with asking():
            made = self._v1.customers.create({"email": email, "metadata": {"reference": reference}}, _once(key))
        return made.id

    def delete_customer(self, external_id: str, *, key: str) -> None:
        """Delete a customer with cards and subscriptions."""
        found(lambda: self._v1.customers.delete(external_id, options=_once(key)))

    def checkout(self, *, customer: str, plan: str, reference: str, success_url: str, cancel_url: str, key: str) -> str:
        """Begin to subscribe: a Checkout session, for cards alone, since a card is what links a banned person."""
        with asking():
            params: SessionCreateParams = {
                "mode": "subscription",
                "customer": customer,
                "client_reference_id": reference,
                "line_items": _line_items(self._prices(plan)),
                "allowed_payment_method_types": ["card"],
                "allow_promotion_codes": True,
                # "flexible" bills what was used when a metered price is replaced; "classic" would forget it
                "subscription_data": {"metadata": {"reference": reference}, "billing_mode": {"type": "flexible"}},
                "success_url": success_url,
                "cancel_url": cancel_url,
            }
            if tax_is_on(self._v1):
                params["automatic_tax"] = {"enabled": True}
                params["customer_update"] = {"address": "auto", "name": "auto"}
                params["tax_id_collection"] = {"enabled": True}
            session = self._v1.checkout.sessions.create(params, _once(key))
        return _address(session.url)

    def portal(self, *, customer: str, return_url: str) -> str:
        """The address of the customer portal, as `vouch admin stripe-setup` configured it."""
        params: PortalParams = {"customer": customer, "return_url": return_url}
        with asking():
            if (ours := portal_configuration(self._v1)) is not None:
                params["configuration"] = ours.id
            return self._v1.billing_portal.sessions.create(params).url

    def subscription(self, external_id: str) -> SubscriptionFacts | None:
        """A subscription; None when there is no such one."""
        answer = found(lambda: self._v1.subscriptions.retrieve(external_id))
        return subscription_facts(answer) if answer is not None else None

    def subscriptions_of(self, customer: str) -> list[SubscriptionFacts]:
        """All subscriptions of a customer, ended ones too, newest first."""
        return [subscription_facts(each) for each in self._subscriptions(customer)]

    def change_plan(self, external_id: str, plan: str, *, key: str) -> SubscriptionFacts:
        """Put a subscription on another plan; an unpaid new month leaves it as it was."""
        with asking():
            held = self._v1.subscriptions.retrieve(external_id)
            before = subscription_facts(held).plan
            if before == plan:
                return subscription_facts(held)
            change: SubscriptionUpdateParams = {
                "items": _switched(held, self._prices(plan)),
                "proration_behavior": "none",
                "payment_behavior": "error_if_incomplete",
            }
            if before is None or is_larger(plan, before):
                change["billing_cycle_anchor"] = {"type": "now"}
            changed = self._v1.subscriptions.update(external_id, change, _once(key))
        return subscription_facts(changed)

    def cancel_subscription(self, external_id: str, *, key: str) -> None:
        """End a subscription at once and bill the usage so far."""
        held = self.subscription(external_id)
        if held is not None and held.status not in _OVER:
            found(lambda: self._v1.subscriptions.cancel(external_id, {"invoice_now": True}, _once(key)))

    def invoices(self, customer: str, limit: int = 24) -> list[InvoiceFacts]:
        """The newest invoices of a customer, newest first."""
        answer = found(lambda: self._v1.invoices.list({"customer": customer, "limit": limit}))
        return [invoice_facts(invoice) for invoice in answer.data] if answer is not None else []

    def card_of(self, customer: str) -> CardFacts | None:
        """The card of the running subscription; else the customer's default; else the newest."""
        for subscription in self._subscriptions(customer):
            if subscription.status not in _OVER and (card := card_facts(subscription.default_payment_method)):
                return card
        expand = ["invoice_settings.default_payment_method"]
        person = found(lambda: self._v1.customers.retrieve(customer, {"expand": expand}))
        if person is None or getattr(person, "deleted", False):
            return None
        if person.invoice_settings and (card := card_facts(person.invoice_settings.default_payment_method)):
            return card
        cards = found(lambda: self._v1.payment_methods.list({"customer": customer, "type": "card", "limit": 1}))
        return next((card for method in (cards.data if cards else []) if (card := card_facts(method))), None)

    def record_usage(self, *, customer: str, identifier: str, characters: int, at: datetime) -> None:
        """Send one meter event. Stripe refuses an identifier that it has: then the usage is there, and all is well."""
        try:
            with asking():
                self._v1.billing.meter_events.create(
                    {
                        "event_name": METER,
                        "identifier": identifier,
                        "payload": {"stripe_customer_id": customer, "value": str(characters)},
                        "timestamp": int(at.timestamp()),
                    },
                )
        except GatewayRefused as refusal:
            if not _says_duplicate(refusal):
                raise

    def start_verification(self, *, reference: str, return_url: str, key: str) -> VerificationStart:
        """Begin an Identity session: a document, and a selfie that matches it."""
        with asking():
            session = self._v1.identity.verification_sessions.create(
                {
                    "type": "document",
                    "client_reference_id": reference,
                    "metadata": {"reference": reference},
                    "options": {"document": {"require_matching_selfie": True, "require_live_capture": True}},
                    "return_url": return_url,
                },
                _once(key),
            )
        return VerificationStart(session.id, _address(session.url))

    def verification(self, external_id: str) -> VerificationFacts | None:
        """An Identity session, with the proved name."""
        sessions = self._v1.identity.verification_sessions
        answer = found(lambda: sessions.retrieve(external_id, {"expand": ["verified_outputs"]}))
        return verification_facts(answer) if answer is not None else None

    def redact_verification(self, external_id: str, *, key: str) -> None:
        """Have Stripe delete document, selfie and name. A session still being checked can't be: that is GatewayDown."""
        sessions = self._v1.identity.verification_sessions
        held = found(lambda: sessions.retrieve(external_id))
        if held is None or held.redaction:
            return
        if held.status == "processing":
            raise GatewayDown("payment.verification_busy", "The identity check is still going on.")
        found(lambda: sessions.redact(external_id, options=_once(key)))

    def charge(self, external_id: str) -> ChargeFacts | None:
        """A payment."""
        answer = found(lambda: self._v1.charges.retrieve(external_id))
        return charge_facts(answer) if answer is not None else None

    def dispute(self, external_id: str) -> DisputeFacts | None:
        """A dispute; whose it is stands on the charge."""
        answer = found(lambda: self._v1.disputes.retrieve(external_id, {"expand": ["charge"]}))
        return dispute_facts(answer) if answer is not None else None

    def fraud_warning(self, external_id: str) -> FraudWarningFacts | None:
        """An early fraud warning; whose it is stands on the charge."""
        warnings = self._v1.radar.early_fraud_warnings
        answer = found(lambda: warnings.retrieve(external_id, {"expand": ["charge"]}))
        return fraud_warning_facts(answer) if answer is not None else None

    def read_event(self, body: bytes, signature: str) -> EventFacts:
        """Check Stripe's signature over the raw body, then read which object changed; nothing else of it is trusted."""
        try:
            stripe.WebhookSignature.verify_header(body, signature, self._webhook_secret, SIGNATURE_SECONDS)
        except (stripe.SignatureVerificationError, ValueError, TypeError) as error:  # the latter two: not text
            raise Invalid("webhook.signature", "The signature is missing, wrong or too old.") from error
        try:
            return event_facts(json.loads(body))
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise Invalid("webhook.body", "This is not an event about an object.") from error

    def _subscriptions(self, customer: str) -> list[stripe.Subscription]:
        expand = ["data.default_payment_method"]
        answer = found(
            lambda: self._v1.subscriptions.list({"customer": customer, "status": "all", "limit": 100, "expand": expand})
        )
        return answer.data if answer is not None else []

    def _prices(self, plan: str) -> list[str]:
        """Ids of the plan's monthly price, and of that of its characters beyond the allowance where it has any."""
        keys = [lookup_key(plan)]
        if PLANS[plan].overage_cents_per_1000:
            keys.append(overage_lookup_key(plan))
        ids = {price.lookup_key: price.id for price in self._v1.prices.list({"lookup_keys": keys, "active": True}).data}
        if missing := [key for key in keys if key not in ids]:
            raise GatewayRefused(
                "payment.refused",
                "This plan can't be bought yet.",
                fix="Ask the operator to run `vouch admin stripe-setup`.",
                facts={"missing_prices": missing},
            )
        return [ids[key] for key in keys]


def _line_items(prices: list[str]) -> list[SessionCreateParamsLineItem]:
    monthly, *overage = prices
    items: list[SessionCreateParamsLineItem] = [{"price": price} for price in overage]  # usage has no quantity
    return [{"price": monthly, "quantity": 1}, *items]


def _switched(held: stripe.Subscription, prices: list[str]) -> list[SubscriptionUpdateParamsItem]:
    """The change of items that puts `prices`, the monthly one first, in place of those of the plan that was."""
    sold = sorted((item for item in held.items.data if plan_of(item.price)), key=lambda item: is_metered(item.price))
    changes: list[SubscriptionUpdateParamsItem] = []
    for item, price in zip_longest(sold, prices):
        if item is None:
            changes.append({"price": price})
        elif price is None:
            changes.append({"id": item.id, "deleted": True})
        else:
            changes.append({"id": item.id, "price": price})
    return changes


def tax_is_on(v1: stripe.V1Services) -> bool:
    """Whether the operator has set up Stripe Tax: asked each time, so that Vouch follows what is set up at Stripe."""
    tax = v1.tax.settings.retrieve()
    return tax.status == "active" and tax.defaults.tax_behavior is not None


def portal_configuration(v1: stripe.V1Services) -> stripe.billing_portal.Configuration | None:
    """The configuration of the customer portal that `vouch admin stripe-setup` made."""
    made = v1.billing_portal.configurations.list({"active": True, "limit": 100}).data
    return next((each for each in made if each.metadata and PORTAL_METADATA in each.metadata), None)


def _once(key: str) -> stripe.RequestOptions:
    return {"idempotency_key": key}


def found(ask: Callable[[], _T]) -> _T | None:
    """What Stripe answers to `ask`; None when it has no such object."""
    try:
        with asking():
            return ask()
    except GatewayRefused as refusal:
        if refusal.code == _MISSING:
            return None
        raise


def _says_duplicate(refusal: GatewayRefused) -> bool:
    cause = refusal.__cause__
    said = (cause.user_message or "") if isinstance(cause, stripe.InvalidRequestError) else ""
    return refusal.facts["stripe_code"] == "duplicate_meter_event" or "already exists with identifier" in said


def _address(url: str | None) -> str:
    if url is None:
        raise GatewayRefused("payment.refused", "The payment provider opened no page for this.")
    return url
