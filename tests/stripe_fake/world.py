"""What this Stripe knows, and what can happen in it: people pay, cards fail, banks complain, months pass.

All ids may be given to the verbs as the gateway gave them; a checkout also by the address of its page.
"""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import threading
import time
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal

from app.billing.gateway import EVENT_TYPES
from tests.stripe_fake import objects
from tests.stripe_fake.objects import Object

MONTH = 30 * 86_400
GOOD_CARD = "4242424242424242"


class Declined(Exception):
    """The card of a customer does not pay."""


@dataclass
class StripeWorld:
    """The state of the fake. Its lock is held by each verb and by each request."""

    url: str = ""
    key: str = "sk_test_fake"
    webhook_secret: str = "whsec_fake"
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget everything."""
        self.tax_active = False
        self.requests: list[tuple[str, str, Object]] = []
        """Every call of the API: method, path, parameters."""
        self.objects: dict[str, Object] = {}
        self.usage: dict[str, Object] = {}
        """Meter events by identifier."""
        self.answers: dict[str, tuple[Object, int, Object]] = {}
        """What was answered to each idempotency key: the call, status and body."""
        self.down = False
        self.answers_to_lose = 0
        self.declining: set[str] = set()
        self._events: list[Object] = []
        self._billed: set[str] = set()
        self._checkouts: dict[str, Object] = {}

    # --- what the API and the verbs share

    def now(self) -> int:
        """Seconds since 1970."""
        return int(time.time())

    def put(self, made: Object) -> Object:
        """Keep an object."""
        self.objects[made["id"]] = made
        return made

    def all(self, kind: str, **fields: Any) -> list[Object]:
        """The objects of a kind with these fields, newest first."""
        found = [each for each in self.objects.values() if each["object"] == kind]
        return [each for each in reversed(found) if all(each.get(name) == value for name, value in fields.items())]

    def emit(self, kind: str, about: Object) -> None:
        """Record an event, if Vouch's webhook is registered for its type."""
        if kind in EVENT_TYPES:
            self._events.append(objects.event(self.now(), kind, copy.deepcopy(about)))

    def open_checkout(self, params: Object) -> Object:
        """A Checkout session, with what was asked for kept aside for when it is paid."""
        session = self.put(objects.checkout_session(self.now(), params))
        self._checkouts[session["id"]] = params
        return session

    def bill(self, subscription: Object, total: int, *, paid: bool = True) -> Object:
        """An invoice, with a charge where it is paid and above nothing."""
        number = len(self.all("invoice")) + 1
        invoice = self.put(
            objects.invoice(self.now(), subscription=subscription, total=total, paid=paid, number=number)
        )
        subscription["latest_invoice"] = invoice["id"]
        if paid:
            self._charge(subscription, total)
        self.emit("invoice.paid" if paid else "invoice.payment_failed", invoice)
        return invoice

    def _charge(self, subscription: Object, total: int) -> None:
        if total > 0:
            card = subscription["default_payment_method"]
            money: Object = {"amount": total, "currency": subscription["currency"]}
            self.put(objects.charge(self.now(), customer=subscription["customer"], card=card, **money))

    def switch(
        self, subscription: Object, changes: list[Object], *, prorate: bool = True, restart: bool = False
    ) -> None:
        """Change the items of a subscription and bill, at once, the usage at the old price and the difference.

        The difference is not divided by the days that are left of the month, and not billed unless `prorate`. With
        `restart` a new month begins now, which is billed whole. Raises Declined and changes nothing where the card does
        not pay.
        """
        items: list[Object] = subscription["items"]["data"]
        before = _monthly_total(items)
        after = [self._changed(item, changes) for item in items]
        kept = [item for item in after if item is not None]
        new = [change for change in changes if "id" not in change]
        start, end = items[0]["current_period_start"], items[0]["current_period_end"]
        for change in new:
            price = self.objects[change["price"]]
            kept.append(objects.subscription_item(self.now(), subscription["id"], price, start, end))
        flexible = subscription["billing_mode"]["type"] == "flexible"
        due = _monthly_total(kept) if restart else max(_monthly_total(kept) - before, 0) if prorate else 0
        owed = due + (self._owed_for_usage(subscription) if flexible else 0)
        if owed and subscription["customer"] in self.declining:
            raise Declined
        self._forget_usage(subscription)
        if restart:
            for item in kept:
                item.update(current_period_start=self.now(), current_period_end=self.now() + MONTH)
        subscription["items"]["data"] = kept
        if owed:
            self.bill(subscription, owed)
        self.emit("customer.subscription.updated", subscription)

    def _changed(self, item: Object, changes: list[Object]) -> Object | None:
        change = next((each for each in changes if each.get("id") == item["id"]), None)
        if change is None:
            return item
        if change.get("deleted") == "true":
            return None
        price = self.objects[change["price"]]
        period = item["current_period_start"], item["current_period_end"]
        return objects.subscription_item(item["created"], item["subscription"], price, *period) | {"id": item["id"]}

    def end(self, subscription: Object, *, invoice_now: bool) -> None:
        """End a subscription at once."""
        if invoice_now and (owed := self._owed_for_usage(subscription)):
            self.bill(subscription, owed, paid=subscription["customer"] not in self.declining)
        self._forget_usage(subscription)
        subscription.update(status="canceled", canceled_at=self.now(), ended_at=self.now())
        self.emit("customer.subscription.deleted", subscription)

    def _unbilled(self, customer: str) -> list[Object]:
        mine = [each for each in self.usage.values() if each["payload"]["stripe_customer_id"] == customer]
        return [each for each in mine if each["identifier"] not in self._billed]

    def _owed_for_usage(self, subscription: Object) -> int:
        prices = [item["price"] for item in subscription["items"]["data"]]
        metered = [price for price in prices if price["recurring"]["usage_type"] == "metered"]
        characters = sum(int(each["payload"]["value"]) for each in self._unbilled(subscription["customer"]))
        cents = sum((Decimal(price["unit_amount_decimal"]) * characters for price in metered), Decimal(0))
        return int(cents.quantize(Decimal(1), ROUND_HALF_UP))

    def _forget_usage(self, subscription: Object) -> None:
        self._billed |= {each["identifier"] for each in self._unbilled(subscription["customer"])}

    def fill(self, template: StripeWorld) -> None:
        """Begin with all objects of another Stripe."""
        with self.lock:
            self.objects = copy.deepcopy(template.objects)

    # --- the verbs of tests

    def pay_checkout(self, session: str, card: str = GOOD_CARD) -> str:
        """The person fills in a card on the page of a checkout and pays; gives the id of the subscription."""
        with self.lock:
            opened = self.objects[session.rsplit("/", 1)[-1]]
            asked = self._checkouts[opened["id"]]
            customer = opened["customer"]
            method = self.change_card(customer, card)
            prices = [self.objects[item["price"]] for item in asked["line_items"]]
            given = asked.get("subscription_data", {})
            made = self.put(
                objects.subscription(
                    self.now(), customer=customer, card=method, prices=prices, given=given, period=MONTH
                )
            )
            opened.update(status="complete", payment_status="paid", subscription=made["id"], url=None)
            self.emit("customer.subscription.created", made)
            self.bill(made, _monthly_total(made["items"]["data"]))
            self.emit("checkout.session.completed", opened)
            return str(made["id"])

    def change_card(self, customer: str, card: str) -> str:
        """The customer pays with another card from now on; gives the id of the payment method."""
        with self.lock:
            method = self.put(objects.card(self.now(), customer=customer, number=card))
            self.objects[customer]["invoice_settings"]["default_payment_method"] = method["id"]
            for subscription in self.all("subscription", customer=customer):
                subscription["default_payment_method"] = method["id"]
            self.emit("payment_method.attached", method)
            self.emit("customer.updated", self.objects[customer])
            return str(method["id"])

    def decline_cards(self, customer: str) -> None:
        """From now on the customer's card does not pay."""
        with self.lock:
            self.declining.add(customer)

    def advance_period(self, subscription: str) -> None:
        """A month passes: the next one is billed, with the usage of the last, and paid unless the card is declined."""
        with self.lock:
            held = self.objects[subscription]
            for item in held["items"]["data"]:
                item["current_period_start"] = item["current_period_end"]
                item["current_period_end"] += MONTH
            if held["cancel_at_period_end"]:
                return self.end(held, invoice_now=True)
            owed = _monthly_total(held["items"]["data"]) + self._owed_for_usage(held)
            self._forget_usage(held)
            paid = held["customer"] not in self.declining
            if not paid:
                held["status"] = "past_due"
            self.bill(held, owed, paid=paid)
            return self.emit("customer.subscription.updated", held)

    def fail_payment(self, subscription: str) -> None:
        """The next month can't be paid."""
        with self.lock:
            self.declining.add(self.objects[subscription]["customer"])
            self.advance_period(subscription)

    def give_up_payment(self, subscription: str, status: Literal["unpaid", "canceled"] = "unpaid") -> None:
        """Stripe has tried often enough."""
        with self.lock:
            held = self.objects[subscription]
            if status == "canceled":
                return self.end(held, invoice_now=False)
            held["status"] = "unpaid"
            return self.emit("customer.subscription.updated", held)

    def recover_payment(self, subscription: str) -> None:
        """The open invoices are paid after all."""
        with self.lock:
            held = self.objects[subscription]
            self.declining.discard(held["customer"])
            for invoice in self.all("invoice", customer=held["customer"], status="open"):
                total = invoice["total"]
                invoice.update(status="paid", amount_paid=total, amount_remaining=0)
                invoice["status_transitions"]["paid_at"] = self.now()
                self._charge(held, total)
                self.emit("invoice.paid", invoice)
            held["status"] = "active"
            self.emit("customer.subscription.updated", held)

    def cancel(self, subscription: str, *, at_period_end: bool = False) -> None:
        """The person cancels, on the page of the portal with the end of the period."""
        with self.lock:
            held = self.objects[subscription]
            if not at_period_end:
                return self.end(held, invoice_now=True)
            held.update(cancel_at_period_end=True, canceled_at=self.now())
            held["cancel_at"] = held["items"]["data"][0]["current_period_end"]
            return self.emit("customer.subscription.updated", held)

    def change_plan(self, subscription: str, *lookup_keys: str) -> None:
        """Somebody changes what a subscription is for, at Stripe's own pages, to the prices with these lookup keys."""
        with self.lock:
            held = self.objects[subscription]
            gone: list[Object] = [{"id": item["id"], "deleted": "true"} for item in held["items"]["data"]]
            prices = [self.all("price", lookup_key=key)[0] for key in lookup_keys]
            self.switch(held, [*gone, *[{"price": price["id"]} for price in prices]])

    def charges_of(self, customer: str) -> list[str]:
        """The ids of a customer's payments, newest first."""
        with self.lock:
            return [each["id"] for each in self.all("charge", customer=customer)]

    def open_dispute(self, charge: str, reason: str = "fraudulent") -> str:
        """The holder of the card disputes a payment; gives the id of the dispute."""
        with self.lock:
            held = self.objects[charge]
            held["disputed"] = True
            made = self.put(objects.dispute(self.now(), charge=held, reason=reason))
            self.emit("charge.dispute.created", made)
            return str(made["id"])

    def close_dispute(self, dispute: str, result: Literal["won", "lost"]) -> None:
        """The bank decides."""
        with self.lock:
            held = self.objects[dispute]
            held["status"] = result
            self.emit("charge.dispute.closed", held)

    def warn_of_fraud(self, charge: str) -> str:
        """The bank suspects a payment; gives the id of the warning."""
        with self.lock:
            made = self.put(objects.fraud_warning(self.now(), charge=charge))
            self.emit("radar.early_fraud_warning.created", made)
            return str(made["id"])

    def refund(self, charge: str, amount: int | None = None) -> None:
        """Money is given back: all of it, or an amount in cents."""
        with self.lock:
            held = self.objects[charge]
            held["amount_refunded"] = held["amount"] if amount is None else held["amount_refunded"] + amount
            held["refunded"] = held["amount_refunded"] >= held["amount"]
            self.emit("charge.refunded", held)

    def process_identity(self, session: str) -> None:
        """The person has sent document and selfie, and Stripe looks at them."""
        self._identity(session, "processing", status="processing", last_error=None, url=None, client_secret=None)

    def verify_identity(self, session: str, first_name: str, last_name: str) -> None:
        """Stripe is content."""
        proved: Object = {"first_name": first_name, "last_name": last_name, "address": None, "dob": None}
        gone: Object = {"url": None, "client_secret": None}
        self._identity(session, "verified", status="verified", last_error=None, verified_outputs=proved, **gone)

    def refuse_identity(self, session: str, code: str = "document_expired") -> None:
        """Stripe is not content; the person may try again."""
        error = {"code": code, "reason": "The document can't be used."}
        self._identity(session, "requires_input", status="requires_input", last_error=error)

    def cancel_identity(self, session: str) -> None:
        """The session is given up."""
        self._identity(session, "canceled", status="canceled", url=None, client_secret=None)

    def _identity(self, session: str, event: str, **changes: Any) -> None:
        with self.lock:
            self.objects[session].update(changes)
            self.emit(f"identity.verification_session.{event}", self.objects[session])

    def billed_characters(self, customer: str) -> int:
        """How many characters beyond allowances were reported, each identifier once."""
        with self.lock:
            mine = [each for each in self.usage.values() if each["payload"]["stripe_customer_id"] == customer]
            return sum(int(each["payload"]["value"]) for each in mine)

    def go_down(self) -> None:
        """From now on every call is answered with 503, and nothing is done."""
        self.down = True

    def come_back(self) -> None:
        """Stripe works again."""
        self.down = False

    def lose_answers(self, times: int) -> None:
        """The next calls are done, but their answers are lost on the way. The library itself asks three times."""
        self.answers_to_lose = times

    def events(self) -> list[Object]:
        """All events so far, oldest first."""
        with self.lock:
            return copy.deepcopy(self._events)

    def signed(self, event: Object, secret: str = "", at: float | None = None) -> tuple[bytes, str]:
        """An event as Stripe sends it: the body, and the value of the header `Stripe-Signature`."""
        body = json.dumps(event, indent=2).encode()
        moment = int(time.time() if at is None else at)
        key = (secret or self.webhook_secret).encode()
        digest = hmac.new(key, f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
        return body, f"t={moment},v1={digest}"


def _monthly_total(items: list[Object]) -> int:
    monthly = [item["price"] for item in items if item["price"]["recurring"]["usage_type"] == "licensed"]
    return sum(price["unit_amount"] for price in monthly)
