"""What happens inside the pretended payment provider: its objects change, and it tells of it as Stripe would.

Each function works in the caller's transaction and puts the events that follow into the same inbox as Stripe's.
"""

from __future__ import annotations

import hashlib
from calendar import monthrange
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.billing import incoming
from app.billing.gateway import EventFacts, GatewayRefused
from app.billing.models import SandboxObject, SubscriptionStatus, VerificationState
from app.billing.plans import PLANS, is_larger
from app.core import crypto
from app.core.db import now
from app.core.errors import Invalid, NotFound
from app.settings import Settings


class Kind(StrEnum):
    """What the pretended provider keeps."""

    CUSTOMER = "customer"
    CHECKOUT = "checkout"
    SUBSCRIPTION = "subscription"
    INVOICE = "invoice"
    CHARGE = "charge"
    DISPUTE = "dispute"
    WARNING = "warning"
    USAGE = "usage"
    VERIFICATION = "verification"

    @property
    def prefix(self) -> str:
        """How its ids begin."""
        return {"customer": "cus", "checkout": "cs", "subscription": "sub", "invoice": "in"}.get(self, self[:3])


CARDS = {
    "good": "A good card",
    "other": "Another good card",
    "shared": "A card that other accounts here use, too",
    "declined": "A card that is declined",
}
"""The pretended cards, with the words that choose them."""
_NUMBERS = {"good": "4242", "other": "4444", "shared": "1117", "declined": "0002"}
LIVE = (SubscriptionStatus.ACTIVE.value, SubscriptionStatus.PAST_DUE.value)


def find(session: Session, kind: Kind, external_id: str) -> SandboxObject:
    """An object to change, locked. Raises NotFound."""
    found = session.get(SandboxObject, external_id, with_for_update=True)
    if found is None or found.kind != kind:
        raise NotFound("sandbox.not_found", "There is nothing at this address.")
    return found


def make(session: Session, kind: Kind, data: dict[str, Any], external_id: str | None = None) -> str:
    """Keep an object, unless its id is there already; gives the id."""
    external_id = external_id or f"{kind.prefix}_sandbox_{crypto.public_token()}"
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    values = {"id": external_id, "kind": kind.value, "data": data, "created_at": now()}
    session.execute(insert(SandboxObject).values(values).on_conflict_do_nothing(index_elements=[SandboxObject.id]))
    return external_id


def change(held: SandboxObject, **values: Any) -> None:
    """Change some of what an object holds."""
    held.data = {**held.data, **values}


def all_of(session: Session, kind: Kind, customer: str) -> Sequence[SandboxObject]:
    """A customer's objects of a kind, newest first."""
    query = select(SandboxObject).where(
        SandboxObject.kind == kind.value, SandboxObject.data["customer"].as_string() == customer
    )
    return session.scalars(query.order_by(SandboxObject.created_at.desc(), SandboxObject.id)).all()


def live_subscription(session: Session, customer: str) -> SandboxObject | None:
    """The subscription that a customer has now."""
    found = all_of(session, Kind.SUBSCRIPTION, customer)
    return next((each for each in found if each.data["status"] in LIVE), None)


def card(customer: str, choice: str) -> dict[str, str]:
    """One of CARDS. Good ones differ from person to person; the shared one does not. Raises Invalid for another."""
    if choice not in CARDS:
        raise Invalid("sandbox.card", "Choose one of the cards.")
    whose = "all" if choice == "shared" else customer
    fingerprint = "sandbox" + hashlib.sha256(f"{choice}:{whose}".encode()).hexdigest()[:16]
    return {"fingerprint": fingerprint, "brand": "visa", "last4": _NUMBERS[choice], "funding": "credit"}


def pay(session: Session, checkout: SandboxObject, choice: str, settings: Settings) -> None:
    """Pay at the checkout. Raises GatewayRefused for the card that is declined, and Invalid the second time."""
    if checkout.data["done"]:
        raise Invalid("sandbox.done", "This was paid already. Go back to Vouch.")
    person = find(session, Kind.CUSTOMER, checkout.data["customer"])
    chosen = card(person.id, choice)
    _refuse_declined(chosen)
    change(person, card=chosen)
    change(checkout, done=True)
    start = now()
    held = {"customer": person.id, "plan": checkout.data["plan"], "status": SubscriptionStatus.ACTIVE.value}
    period = {"period_start": start.isoformat(), "period_end": _month_later(start).isoformat()}
    made = make(session, Kind.SUBSCRIPTION, {**held, **period, "cancel_at_period_end": False})
    tell(session, "checkout.session.completed", checkout.id, person.id)
    tell(session, "payment_method.attached", f"pm_{person.id}", person.id)
    tell(session, "customer.subscription.created", made, person.id)
    _bill(session, person.id, PLANS[checkout.data["plan"]].price_cents, settings)


def change_card(session: Session, person: SandboxObject, choice: str) -> None:
    """Pay with another card from now on. The declined one is taken, too: its payments fail."""
    change(person, card=card(person.id, choice))
    tell(session, "payment_method.attached", f"pm_{person.id}", person.id)
    tell(session, "customer.updated", person.id, person.id)


def change_plan(session: Session, held: SandboxObject, plan: str, settings: Settings) -> None:
    """Another plan at once. A larger one bills what was used and a whole new month; a smaller one is free.

    Raises GatewayRefused when the card is declined.
    """
    person = find(session, Kind.CUSTOMER, held.data["customer"])
    before = held.data["plan"]
    if plan not in PLANS or not PLANS[plan].paid:
        raise Invalid("plan.unknown", "There is no such paid plan.")
    if plan == before or held.data["status"] not in LIVE:
        return
    if is_larger(plan, before):
        _refuse_declined(person.data["card"])
        start = now()
        used = _overage_cents(session, held, start)
        change(held, period_start=start.isoformat(), period_end=_month_later(start).isoformat())
        _bill(session, person.id, PLANS[plan].price_cents + used, settings)
    change(held, plan=plan)
    tell(session, "customer.subscription.updated", held.id, person.id)


def set_ending(session: Session, held: SandboxObject, ending: bool) -> None:
    """Have a subscription end with its period, or go on after all."""
    change(held, cancel_at_period_end=ending)
    tell(session, "customer.subscription.updated", held.id, held.data["customer"])


def end_subscription(session: Session, held: SandboxObject) -> None:
    """End it at once. Ending an ended one changes nothing."""
    if held.data["status"] in LIVE:
        change(held, status=SubscriptionStatus.CANCELED.value)
        tell(session, "customer.subscription.deleted", held.id, held.data["customer"])


def fail_payment(session: Session, held: SandboxObject, settings: Settings) -> None:
    """The payment for the period does not go through."""
    person = held.data["customer"]
    invoice = _invoice(session, person, PLANS[held.data["plan"]].price_cents, "open", settings)
    change(held, status=SubscriptionStatus.PAST_DUE.value)
    tell(session, "invoice.payment_failed", invoice, person)
    tell(session, "customer.subscription.updated", held.id, person)


def recover_payment(session: Session, held: SandboxObject) -> None:
    """The missing payment goes through after all."""
    person = held.data["customer"]
    for invoice in all_of(session, Kind.INVOICE, person):
        if invoice.data["status"] == "open":
            change(invoice, status="paid")
            _charge(session, person, invoice.data["total_cents"])
            tell(session, "invoice.paid", invoice.id, person)
    change(held, status=SubscriptionStatus.ACTIVE.value)
    tell(session, "customer.subscription.updated", held.id, person)


def next_period(session: Session, held: SandboxObject, settings: Settings, start: datetime | None = None) -> None:
    """The period is over: bill the next one with what was used beyond the allowance, or end what was cancelled."""
    if held.data["cancel_at_period_end"]:
        end_subscription(session, held)
        return
    person = find(session, Kind.CUSTOMER, held.data["customer"])
    start = start or now()
    cents = PLANS[held.data["plan"]].price_cents + _overage_cents(session, held, start)
    change(held, period_start=start.isoformat(), period_end=_month_later(start).isoformat())
    if _is_declined(person.data["card"]):
        fail_payment(session, held, settings)
        return
    _bill(session, person.id, cents, settings)
    tell(session, "customer.subscription.updated", held.id, person.id)


def renew_due(session: Session, settings: Settings) -> None:
    """Begin the next period of all subscriptions whose period is over. Runs each minute where there is a sandbox."""
    held = select(SandboxObject).where(
        SandboxObject.kind == Kind.SUBSCRIPTION.value,
        SandboxObject.data["status"].as_string() == SubscriptionStatus.ACTIVE.value,
        SandboxObject.data["period_end"].as_string() <= now().isoformat(),
    )
    for subscription in session.scalars(held.limit(100).with_for_update()).all():
        next_period(session, subscription, settings, datetime.fromisoformat(subscription.data["period_end"]))


def dispute(session: Session, person: SandboxObject) -> None:
    """The holder of the card says that the newest payment was not theirs. Raises Invalid when nothing was paid."""
    charge = _newest_charge(session, person.id)
    change(charge, disputed=True)
    data = {"charge": charge.id, "customer": person.id, "status": "needs_response", "reason": "fraudulent"}
    made = make(session, Kind.DISPUTE, data)
    tell(session, "charge.dispute.created", made, person.id)


def end_disputes(session: Session, person: SandboxObject, status: str) -> None:
    """All open disputes are `won` or `lost`."""
    for each in all_of(session, Kind.DISPUTE, person.id):
        if each.data["status"] == "needs_response":
            change(each, status=status)
            tell(session, "charge.dispute.closed", each.id, person.id)


def warn(session: Session, person: SandboxObject) -> None:
    """The card's bank suspects that the newest payment was a fraud."""
    charge = _newest_charge(session, person.id)
    made = make(session, Kind.WARNING, {"charge": charge.id, "customer": person.id, "actionable": True})
    tell(session, "radar.early_fraud_warning.created", made, person.id)


def refund(session: Session, person: SandboxObject) -> None:
    """Give the newest payment back."""
    charge = _newest_charge(session, person.id)
    change(charge, amount_refunded=charge.data["amount"])
    tell(session, "charge.refunded", charge.id, person.id)


def prove(session: Session, held: SandboxObject, name: str) -> None:
    """The document is good and says this name. Raises Invalid for an empty one, and when the check is over."""
    if not name.strip():
        raise Invalid("sandbox.name", "Write the name that the pretended document says.")
    _check(session, held, VerificationState.VERIFIED, name=name.strip(), problem=None)


def reject(session: Session, held: SandboxObject, problem: str) -> None:
    """The document is not good; the person may try again."""
    _check(session, held, VerificationState.REQUIRES_INPUT, problem=problem)


def _check(session: Session, held: SandboxObject, state: VerificationState, **values: Any) -> None:
    if held.data["state"] != VerificationState.REQUIRES_INPUT:
        raise Invalid("sandbox.done", "This check is over. Go back to Vouch.")
    change(held, state=state.value, **values)
    tell(session, f"identity.verification_session.{state.value}", held.id, None)


def redact(session: Session, held: SandboxObject) -> None:
    """Forget what was collected; a check that is not finished ends."""
    unfinished = held.data["state"] == VerificationState.REQUIRES_INPUT
    change(held, name=None, state=VerificationState.CANCELED.value if unfinished else held.data["state"])
    tell(session, "identity.verification_session.redacted", held.id, None)


def delete_customer(session: Session, external_id: str) -> None:
    """Forget a customer, whose subscriptions end. One that is not there is no error."""
    person = session.get(SandboxObject, external_id)
    if person is None:
        return
    for held in all_of(session, Kind.SUBSCRIPTION, external_id):
        end_subscription(session, held)
    session.delete(person)
    tell(session, "customer.deleted", external_id, external_id)


def tell(session: Session, event: str, object_id: str, customer: str | None) -> None:
    """Put an event into the inbox, as the webhook does with Stripe's."""
    facts = EventFacts(f"evt_sandbox_{crypto.public_token()}", event, now(), event.split(".")[0], object_id, customer)
    incoming.write_down(session, facts)


def _bill(session: Session, customer: str, cents: int, settings: Settings) -> None:
    made = _invoice(session, customer, cents, "paid", settings)
    if cents > 0:
        _charge(session, customer, cents)
    tell(session, "invoice.paid", made, customer)


def _invoice(session: Session, customer: str, cents: int, status: str, settings: Settings) -> str:
    number = f"SANDBOX-{len(all_of(session, Kind.INVOICE, customer)) + 1:04}"
    money = {"total_cents": cents, "currency": settings.billing.currency, "status": status}
    return make(session, Kind.INVOICE, {"customer": customer, "number": number, **money})


def _charge(session: Session, customer: str, cents: int) -> None:
    data = {"customer": customer, "amount": cents, "amount_refunded": 0, "disputed": False}
    make(session, Kind.CHARGE, data)


def _newest_charge(session: Session, customer: str) -> SandboxObject:
    charges = all_of(session, Kind.CHARGE, customer)
    if not charges:
        raise Invalid("sandbox.no_payment", "Nothing was paid yet.")
    return charges[0]


def _overage_cents(session: Session, held: SandboxObject, until: datetime) -> int:
    """The price of what was used beyond the allowance in the period that ends at `until`."""
    start = datetime.fromisoformat(held.data["period_start"])
    used: int = sum(
        each.data["characters"]
        for each in all_of(session, Kind.USAGE, held.data["customer"])
        if start <= datetime.fromisoformat(each.data["at"]) < until
    )
    return round(used * PLANS[held.data["plan"]].overage_cents_per_1000 / 1000)


def _is_declined(held: dict[str, str] | None) -> bool:
    return held is None or held["last4"] == _NUMBERS["declined"]


def _refuse_declined(held: dict[str, str] | None) -> None:
    if _is_declined(held):
        raise GatewayRefused("payment.declined", "The card was declined.", fix="Try another card.")


def _month_later(start: datetime) -> datetime:
    """The same day of the next month, or its last day."""
    first = (start.replace(day=1) + timedelta(days=32)).replace(day=1)
    return first.replace(day=min(start.day, monthrange(first.year, first.month)[1]))
