"""What Stripe's objects say, in our words. Reads them, asks nothing; of Stripe's library it needs the types alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from app.billing.gateway import (
    CardFacts,
    ChargeFacts,
    DisputeFacts,
    EventFacts,
    FraudWarningFacts,
    InvoiceFacts,
    SubscriptionFacts,
    VerificationFacts,
)
from app.billing.models import SubscriptionStatus, VerificationState
from app.billing.plans import PLANS

if TYPE_CHECKING:
    import stripe
    from stripe.identity import VerificationSession
    from stripe.radar import EarlyFraudWarning

METER = "vouch_characters"
"""Name of the meter that counts characters beyond allowances."""
PLAN_METADATA = "vouch_plan"
"""Name of the metadata of a price that says which plan it is for."""


def lookup_key(plan: str) -> str:
    """The lookup key of a plan's monthly price."""
    return f"vouch_{plan}"


def overage_lookup_key(plan: str) -> str:
    """The lookup key of the price of a plan's characters beyond the allowance."""
    return f"vouch_{plan}_overage"


_PLANS_BY_KEY = {key(plan): plan for plan in PLANS for key in (lookup_key, overage_lookup_key)}


def plan_of(price: stripe.Price) -> str | None:
    """The plan that a price is for; None when it is none of ours.

    A price that a newer one replaced has lost its lookup key, but there are people who still pay it: its metadata says
    the plan. A price that an operator made by hand may have the key alone.
    """
    metadata = price.metadata
    named = metadata[PLAN_METADATA] if PLAN_METADATA in metadata else None  # noqa: SIM401 - it is no dict, and has no get
    plan = _PLANS_BY_KEY.get(price.lookup_key or "", named)
    return plan if plan in PLANS else None


def is_metered(price: stripe.Price) -> bool:
    """Whether a price is for usage, not for the month."""
    return price.recurring is not None and price.recurring.usage_type == "metered"


def subscription_facts(found: stripe.Subscription) -> SubscriptionFacts:
    """The plan and the period are those of the monthly item: Stripe keeps periods on items."""
    monthly = [item for item in found.items.data if not is_metered(item.price)]
    item = next((item for item in monthly if plan_of(item.price)), found.items.data[0])
    return SubscriptionFacts(
        id=found.id,
        customer=id_of(found.customer),
        plan=plan_of(item.price),
        status=SubscriptionStatus(found.status),
        period_start=at(item.current_period_start),
        period_end=at(item.current_period_end),
        # subscriptions with flexible billing say when they end, not that they end with the period
        cancel_at_period_end=found.cancel_at_period_end or found.cancel_at is not None,
        card=card_facts(found.default_payment_method),
    )


def invoice_facts(found: stripe.Invoice) -> InvoiceFacts:
    """One invoice."""
    return InvoiceFacts(
        id=found.id,
        number=found.number,
        created=at(found.created),
        total_cents=found.total,
        currency=found.currency,
        status=found.status or "draft",
        page_url=found.hosted_invoice_url,
        pdf_url=found.invoice_pdf,
    )


def card_facts(method: stripe.PaymentMethod | str | None) -> CardFacts | None:
    """The card of a payment method; None when it is none, is not expanded, or can't be told from others."""
    card = None if method is None or isinstance(method, str) or method.type != "card" else method.card
    if card is None or card.fingerprint is None:
        return None
    return CardFacts(card.fingerprint, card.brand, card.last4, card.funding)


def verification_facts(found: VerificationSession) -> VerificationFacts:
    """A check of identity; the name is there once verified, until redacted."""
    proved = found.verified_outputs if found.status == "verified" and not found.redaction else None
    names = [proved.first_name, proved.last_name] if proved else []
    return VerificationFacts(
        id=found.id,
        reference=found.client_reference_id,
        state=VerificationState(found.status),
        problem=found.last_error.code if found.last_error else None,
        name=" ".join(name for name in names if name) or None,
        url=found.url,
    )


def charge_facts(found: stripe.Charge) -> ChargeFacts:
    """A payment."""
    customer = id_of(found.customer) if found.customer else None
    return ChargeFacts(found.id, customer, found.amount_refunded, found.disputed, found.refunded)


def dispute_facts(found: stripe.Dispute) -> DisputeFacts:
    """A dispute whose charge is expanded: the charge says whose it is."""
    return DisputeFacts(found.id, id_of(found.charge), _customer_of(found.charge), found.status, found.reason)


def fraud_warning_facts(found: EarlyFraudWarning) -> FraudWarningFacts:
    """An early fraud warning whose charge is expanded: the charge says whose it is."""
    return FraudWarningFacts(found.id, id_of(found.charge), _customer_of(found.charge), found.actionable)


def event_facts(event: Any) -> EventFacts:
    """Which object an event is about. Raises TypeError, KeyError or ValueError for what is not an event about one."""
    about = event["data"]["object"]
    customer = about["id"] if about["object"] == "customer" else about.get("customer")
    facts = EventFacts(
        id=event["id"],
        type=event["type"],
        created=at(event["created"]),
        object_type=about["object"],
        object_id=about["id"],
        customer=customer if isinstance(customer, str) else None,
    )
    if not all(isinstance(text, str) for text in (facts.id, facts.type, facts.object_type, facts.object_id)):
        raise TypeError("an event says its names in text")
    return facts


def id_of(field: Any) -> str:
    """The id of a field that holds an id, or an object where it was expanded."""
    return field if isinstance(field, str) else str(field.id)


def at(timestamp: int) -> datetime:
    """A moment, from seconds since 1970."""
    return datetime.fromtimestamp(timestamp, UTC)


def _customer_of(charge: stripe.Charge | str) -> str | None:
    return None if isinstance(charge, str) or charge.customer is None else id_of(charge.customer)
