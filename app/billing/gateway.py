"""What Vouch asks of a payment provider, and the facts that it gets back. One protocol, two providers: Stripe, and a
sandbox that runs the same flow with pretended money.

Facts are read, never assumed: an event says only *that* an object changed; what it is now is read from the provider.
Money is in cents (the smallest unit of the currency), times are aware and in UTC. Every call may raise `GatewayDown`
(nobody answered, or the answer was an error of the provider's: ask again later) or `GatewayRefused` (the same call will
be refused again). `key` is an idempotency key: a call repeated with the same key within a day does nothing new.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from fastapi import Request

from app.billing.models import SubscriptionStatus, VerificationState
from app.core.errors import DomainError, Unavailable
from app.core.services import services_of

if TYPE_CHECKING:
    from app.core.db import Databases
    from app.settings import Settings

EVENT_TYPES = (
    "checkout.session.completed",
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.updated",
    "customer.deleted",
    "payment_method.attached",
    "payment_method.automatically_updated",
    "invoice.paid",
    "invoice.payment_failed",
    "charge.refunded",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "radar.early_fraud_warning.created",
    "radar.early_fraud_warning.updated",
    "identity.verification_session.processing",
    "identity.verification_session.verified",
    "identity.verification_session.requires_input",
    "identity.verification_session.canceled",
    "identity.verification_session.redacted",
)
"""The events that Vouch acts on: what the webhook endpoint is registered for."""


class GatewayDown(Unavailable):
    """The payment provider can't be reached, or does not work at the moment. Nothing is known of what it did."""


class GatewayRefused(DomainError):
    """The payment provider says no, and will say no again. `facts` hold its own code and the number of the request.

    `code` is `payment.declined` (the card; the message is for the person), `payment.missing` (there is no such customer
    or object) or `payment.refused` (anything else).
    """

    status = 422


@dataclass(frozen=True)
class SubscriptionFacts:
    """A subscription as the provider has it now."""

    id: str
    customer: str
    plan: str | None
    """An id of app.billing.plans.PLANS; None when it is for something else that the same provider's account sells."""
    status: SubscriptionStatus
    period_start: datetime
    period_end: datetime
    cancel_at_period_end: bool
    card: CardFacts | None = None
    """The card that pays for it, where it has one of its own; else that of the customer does, see `card_of`."""


@dataclass(frozen=True)
class InvoiceFacts:
    """One invoice of a customer."""

    id: str
    number: str | None
    """None while it is a draft."""
    created: datetime
    total_cents: int
    currency: str
    """Three letters, small."""
    status: str
    """draft, open, paid, uncollectible or void."""
    page_url: str | None
    pdf_url: str | None


@dataclass(frozen=True)
class CardFacts:
    """The card that a customer pays with."""

    fingerprint: str
    """The same for the same card, whichever customer has it."""
    brand: str
    last4: str
    funding: str
    """credit, debit, prepaid or unknown."""


@dataclass(frozen=True)
class VerificationStart:
    """A check of identity that was begun: where to send the person. The address works once and is not to be stored."""

    id: str
    url: str = field(repr=False)


@dataclass(frozen=True)
class VerificationFacts:
    """A check of identity as the provider has it now."""

    id: str
    reference: str | None
    """What it was started with."""
    state: VerificationState
    problem: str | None
    """The provider's code for what is missing, such as `document_expired`."""
    name: str | None = field(default=None, repr=False)
    """The proved name, once verified and until redacted. To be held in memory only: never stored, never logged."""
    url: str | None = field(default=None, repr=False)
    """Where the person goes on, while there is something to do. Works once; not to be stored."""


@dataclass(frozen=True)
class ChargeFacts:
    """A payment."""

    id: str
    customer: str | None
    amount_refunded: int
    """In cents."""
    disputed: bool
    refunded: bool
    """Whether all of it was given back."""


@dataclass(frozen=True)
class DisputeFacts:
    """A payment that the holder of the card says was not theirs, or not right."""

    id: str
    charge: str
    customer: str | None
    status: str
    """won, lost, needs_response, under_review, prevented, or warning_ with needs_response, under_review or closed."""
    reason: str
    """Such as `fraudulent`."""


@dataclass(frozen=True)
class FraudWarningFacts:
    """The bank of a card suspects that a payment was a fraud."""

    id: str
    charge: str
    customer: str | None
    actionable: bool
    """Whether a refund could still prevent a dispute."""


@dataclass(frozen=True)
class EventFacts:
    """That something changed. What it is now must be read: events come late, twice and in any order."""

    id: str
    type: str
    created: datetime
    object_type: str
    """Such as `subscription`, `charge`, `dispute`, `radar.early_fraud_warning`, `identity.verification_session`."""
    object_id: str
    customer: str | None


class Gateway(Protocol):
    """A payment provider."""

    @property
    def name(self) -> Literal["stripe", "sandbox"]:
        """Which one."""

    def create_customer(self, *, reference: str, email: str, key: str) -> str:
        """Make a customer; gives the id. `reference` is the account's public id."""

    def delete_customer(self, external_id: str, *, key: str) -> None:
        """Delete a customer with cards and subscriptions. One that is gone already is no error."""

    def checkout(self, *, customer: str, plan: str, reference: str, success_url: str, cancel_url: str, key: str) -> str:
        """Begin to subscribe to a paid plan; gives the address of the provider's page, which works for a day."""

    def portal(self, *, customer: str, return_url: str) -> str:
        """The address of the provider's page for cards, invoices and cancelling; works for minutes.

        Plans are changed on our own page: Stripe's can't change a subscription that bills usage too.
        """

    def subscription(self, external_id: str) -> SubscriptionFacts | None:
        """A subscription; None when there is no such one."""

    def subscriptions_of(self, customer: str) -> list[SubscriptionFacts]:
        """All subscriptions of a customer, ended ones too, newest first."""

    def change_plan(self, external_id: str, plan: str, *, key: str) -> SubscriptionFacts:
        """Put a subscription on another paid plan at once.

        A larger plan begins a new month now, which is paid whole; a smaller one costs nothing and gives nothing back:
        so nobody uses a large allowance up and is credited for it. When the card is declined the plan stays as it was
        and GatewayRefused says `payment.declined`.
        """

    def cancel_subscription(self, external_id: str, *, key: str) -> None:
        """End a subscription at once and bill the usage so far. One that has ended, or is unknown, is no error."""

    def invoices(self, customer: str, limit: int = 24) -> list[InvoiceFacts]:
        """The newest invoices (at most 100) of a customer, newest first."""

    def card_of(self, customer: str) -> CardFacts | None:
        """The card that a customer pays with; None when there is none, or the customer is gone."""

    def record_usage(self, *, customer: str, identifier: str, characters: int, at: datetime) -> None:
        """Bill characters beyond the allowance. An identifier counts once, however often it is sent.

        `at` may be up to 35 days ago. `identifier` has at most 100 characters.
        """

    def start_verification(self, *, reference: str, return_url: str, key: str) -> VerificationStart:
        """Begin a check of identity: a document and a selfie that matches it."""

    def verification(self, external_id: str) -> VerificationFacts | None:
        """A check of identity; None when there is no such one."""

    def redact_verification(self, external_id: str, *, key: str) -> None:
        """Have the provider delete what it collected. Repeatable."""

    def charge(self, external_id: str) -> ChargeFacts | None:
        """A payment; None when there is no such one."""

    def dispute(self, external_id: str) -> DisputeFacts | None:
        """A dispute; None when there is no such one."""

    def fraud_warning(self, external_id: str) -> FraudWarningFacts | None:
        """An early fraud warning; None when there is no such one."""

    def read_event(self, body: bytes, signature: str) -> EventFacts:
        """Read what the provider sent to the webhook; `signature` is the value of its `Stripe-Signature` header.

        Raises Invalid with code `webhook.signature` when the signature is missing, wrong or older than five minutes,
        and with code `webhook.body` when what was signed is not an event about an object.
        """


def open_gateway(settings: Settings, databases: Databases) -> Gateway | None:
    """The payment provider that the settings name; None where only the operator gives plans. Contacts nobody."""
    if settings.billing_provider == "stripe":
        from app.billing.stripe_gateway import StripeGateway

        return StripeGateway(settings)
    if settings.billing_provider == "sandbox":
        from app.billing.sandbox_gateway import SandboxGateway

        return SandboxGateway(databases, settings)
    return None


def gateway_of(request: Request) -> Gateway | None:
    """The payment provider of the app that serves this request, made at its first use (a FastAPI dependency)."""
    state = request.app.state
    if not hasattr(state, "gateway"):
        services = services_of(request)
        state.gateway = open_gateway(services.settings, services.databases)
    gateway: Gateway | None = state.gateway
    return gateway
