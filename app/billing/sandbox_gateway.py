"""The sandbox as the payment gateway: the same flow as with Stripe, with pretended money, cards and documents.

Its objects are rows of SandboxObject; app.billing.sandbox_world changes them when a button is pressed on its pages
(app.site.sandbox). Never used in production.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from app.billing import sandbox_world as pretended
from app.billing.gateway import (
    CardFacts,
    ChargeFacts,
    DisputeFacts,
    EventFacts,
    FraudWarningFacts,
    InvoiceFacts,
    SubscriptionFacts,
    VerificationFacts,
    VerificationStart,
)
from app.billing.models import SandboxObject, SubscriptionStatus, VerificationState
from app.billing.sandbox_world import Kind
from app.core.db import Databases
from app.core.errors import Invalid
from app.settings import Settings


class SandboxGateway:
    """The gateway (see app.billing.gateway.Gateway) that pretends. It is never down."""

    name: Literal["sandbox"] = "sandbox"

    def __init__(self, databases: Databases, settings: Settings) -> None:
        self._databases = databases
        self._settings = settings

    def create_customer(self, *, reference: str, email: str, key: str) -> str:
        """Make a customer; gives the id."""
        return self._make(Kind.CUSTOMER, key, {"reference": reference, "email": email, "card": None})

    def delete_customer(self, external_id: str, *, key: str) -> None:
        """Delete a customer with cards and subscriptions."""
        del key
        with self._databases.writing() as session:
            pretended.delete_customer(session, external_id)

    def checkout(self, *, customer: str, plan: str, reference: str, success_url: str, cancel_url: str, key: str) -> str:
        """The address of the sandbox's page for paying."""
        data = {"customer": customer, "plan": plan, "reference": reference, "done": False}
        made = self._make(Kind.CHECKOUT, key, {**data, "success_url": success_url, "cancel_url": cancel_url})
        return f"/sandbox/checkout/{made}"

    def portal(self, *, customer: str, return_url: str) -> str:
        """The address of the sandbox's page where everything can be made to happen."""
        with self._databases.writing() as session:
            held = pretended.find(session, Kind.CUSTOMER, customer)
            pretended.change(held, return_url=return_url)
        return f"/sandbox/portal/{customer}"

    def subscription(self, external_id: str) -> SubscriptionFacts | None:
        """A subscription; None when there is no such one."""
        found = self._one(Kind.SUBSCRIPTION, external_id)
        return _subscription(found) if found is not None else None

    def subscriptions_of(self, customer: str) -> list[SubscriptionFacts]:
        """All subscriptions of a customer, ended ones too, newest first."""
        return [_subscription(found) for found in self._all(Kind.SUBSCRIPTION, customer)]

    def change_plan(self, external_id: str, plan: str, *, key: str) -> SubscriptionFacts:
        """Put a subscription on another paid plan at once."""
        del key
        with self._databases.writing() as session:
            held = pretended.find(session, Kind.SUBSCRIPTION, external_id)
            pretended.change_plan(session, held, plan, self._settings)
            return _subscription(held)

    def cancel_subscription(self, external_id: str, *, key: str) -> None:
        """End a subscription at once."""
        del key
        with self._databases.writing() as session:
            held = session.get(SandboxObject, external_id)
            if held is not None:
                pretended.end_subscription(session, held)

    def invoices(self, customer: str, limit: int = 24) -> list[InvoiceFacts]:
        """The newest invoices of a customer, newest first."""
        return [_invoice(found) for found in self._all(Kind.INVOICE, customer)[:limit]]

    def card_of(self, customer: str) -> CardFacts | None:
        """The card that a customer pays with."""
        found = self._one(Kind.CUSTOMER, customer)
        card = found.data["card"] if found is not None else None
        return CardFacts(**card) if card else None

    def record_usage(self, *, customer: str, identifier: str, characters: int, at: datetime) -> None:
        """Bill characters beyond the allowance, once for each identifier."""
        self._make(Kind.USAGE, identifier, {"customer": customer, "characters": characters, "at": at.isoformat()})

    def start_verification(self, *, reference: str, return_url: str, key: str) -> VerificationStart:
        """Begin a pretended check of identity."""
        state = VerificationState.REQUIRES_INPUT.value
        data = {"reference": reference, "return_url": return_url, "state": state, "problem": None, "name": None}
        made = self._make(Kind.VERIFICATION, key, data)
        return VerificationStart(made, f"/sandbox/identity/{made}")

    def verification(self, external_id: str) -> VerificationFacts | None:
        """A check of identity; None when there is no such one."""
        found = self._one(Kind.VERIFICATION, external_id)
        if found is None:
            return None
        facts = {name: found.data[name] for name in ("reference", "problem", "name")}
        state = VerificationState(found.data["state"])
        url = f"/sandbox/identity/{found.id}" if state is VerificationState.REQUIRES_INPUT else None
        return VerificationFacts(id=found.id, state=state, url=url, **facts)

    def redact_verification(self, external_id: str, *, key: str) -> None:
        """Forget the name."""
        del key
        with self._databases.writing() as session:
            held = session.get(SandboxObject, external_id)
            if held is not None:
                pretended.redact(session, held)

    def charge(self, external_id: str) -> ChargeFacts | None:
        """A payment."""
        found = self._one(Kind.CHARGE, external_id)
        if found is None:
            return None
        data = found.data
        refunded = data["amount_refunded"] >= data["amount"]
        return ChargeFacts(found.id, data["customer"], data["amount_refunded"], data["disputed"], refunded)

    def dispute(self, external_id: str) -> DisputeFacts | None:
        """A dispute; None when there is no such one."""
        found = self._one(Kind.DISPUTE, external_id)
        return DisputeFacts(id=found.id, **found.data) if found is not None else None

    def fraud_warning(self, external_id: str) -> FraudWarningFacts | None:
        """An early fraud warning; None when there is no such one."""
        found = self._one(Kind.WARNING, external_id)
        return FraudWarningFacts(id=found.id, **found.data) if found is not None else None

    def read_event(self, body: bytes, signature: str) -> EventFacts:
        """Refuse: the sandbox's events come from its own pages, and nobody outside can sign one."""
        del body, signature
        raise Invalid("webhook.signature", "The sandbox takes no events from outside.")

    def _make(self, kind: Kind, key: str, data: dict[str, Any]) -> str:
        """Make an object, or find the one that the same key has made; gives its id."""
        external_id = f"{kind.prefix}_sandbox_{hashlib.sha256(f'{kind}:{key}'.encode()).hexdigest()[:24]}"
        with self._databases.writing() as session:
            pretended.make(session, kind, data, external_id)
        return external_id

    def _one(self, kind: Kind, external_id: str) -> SandboxObject | None:
        with self._databases.reading() as session:
            found = session.get(SandboxObject, external_id)
        return found if found is not None and found.kind == kind else None

    def _all(self, kind: Kind, customer: str) -> Sequence[SandboxObject]:
        with self._databases.reading() as session:
            return pretended.all_of(session, kind, customer)


def _subscription(found: SandboxObject) -> SubscriptionFacts:
    data = found.data
    return SubscriptionFacts(
        id=found.id,
        customer=data["customer"],
        plan=data["plan"],
        status=SubscriptionStatus(data["status"]),
        period_start=datetime.fromisoformat(data["period_start"]),
        period_end=datetime.fromisoformat(data["period_end"]),
        cancel_at_period_end=data["cancel_at_period_end"],
    )


def _invoice(found: SandboxObject) -> InvoiceFacts:
    data = found.data
    return InvoiceFacts(
        id=found.id,
        number=data["number"],
        created=found.created_at,
        total_cents=data["total_cents"],
        currency=data["currency"],
        status=data["status"],
        page_url=None,
        pdf_url=None,
    )
