"""The objects of Stripe's API as JSON: test_fake_is_true.py holds each against the official library's types."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

Object = dict[str, Any]
_numbers = itertools.count(1)
_NOBODY: Object = {"address": None, "email": None, "name": None, "phone": None, "tax_id": None}


def new_id(prefix: str) -> str:
    """An id that no other object of this process has."""
    return f"{prefix}_{next(_numbers):08d}fake"


def base(kind: str, prefix: str, now: int) -> Object:
    """What most objects begin with."""
    return {"id": new_id(prefix), "object": kind, "created": now, "livemode": False, "metadata": {}}


def page(data: list[Object], url: str) -> Object:
    """A list."""
    return {"object": "list", "data": data, "has_more": False, "url": url}


def customer(now: int, *, email: str, metadata: Object) -> Object:
    """A customer."""
    return base("customer", "cus", now) | {
        "email": email,
        "metadata": metadata,
        "name": None,
        "default_source": None,
        "invoice_settings": {"custom_fields": None, "default_payment_method": None, "footer": None},
    }


def card(now: int, *, customer: str, number: str) -> Object:
    """A payment method: the same number has the same fingerprint."""
    return base("payment_method", "pm", now) | {
        "type": "card",
        "customer": customer,
        "billing_details": dict(_NOBODY),
        "card": {
            "brand": "visa",
            "country": "DE",
            "exp_month": 12,
            "exp_year": 2034,
            "fingerprint": fingerprint(number),
            "funding": "credit",
            "last4": number[-4:],
        },
    }


def fingerprint(number: str) -> str:
    """The fingerprint of a card's number."""
    return hashlib.sha256(number.encode()).hexdigest()[:16]


def meter_event(now: int, given: Object) -> Object:
    """Usage of one customer."""
    return {
        "object": "billing.meter_event",
        "created": now,
        "event_name": given["event_name"],
        "identifier": given["identifier"],
        "livemode": False,
        "payload": given["payload"],
        "timestamp": int(given.get("timestamp", now)),
    }


def subscription(now: int, *, customer: str, card: str, prices: list[Object], given: Object, period: int) -> Object:
    """A subscription that has just been paid."""
    made = base("subscription", "sub", now)
    items = [subscription_item(now, made["id"], price, now, now + period) for price in prices]
    return made | {
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": now,
        "billing_mode": given.get("billing_mode", {"type": "classic"}),
        "billing_schedules": [],
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "collection_method": "charge_automatically",
        "currency": prices[0]["currency"],
        "customer": customer,
        "default_payment_method": card,
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": page(items, f"/v1/subscription_items?subscription={made['id']}"),
        "latest_invoice": None,
        "metadata": given.get("metadata", {}),
        "start_date": now,
        "status": "active",
    }


def subscription_item(now: int, subscription: str, price: Object, start: int, end: int) -> Object:
    """One thing that a subscription is for: periods are kept here."""
    metered = price["recurring"]["usage_type"] == "metered"
    made = base("subscription_item", "si", now) | {
        "current_period_end": end,
        "current_period_start": start,
        "discounts": [],
        "plan": _plan_of(price),
        "price": price,
        "subscription": subscription,
        "tax_rates": [],
    }
    return without(made, "livemode") | ({} if metered else {"quantity": 1})


def _plan_of(price: Object) -> Object:
    """The same as a price, as it was called before there were prices."""
    return {
        "id": price["id"],
        "object": "plan",
        "active": True,
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": "per_unit",
        "created": price["created"],
        "currency": price["currency"],
        "interval": "month",
        "interval_count": 1,
        "livemode": False,
        "metadata": price["metadata"],
        "product": price["product"],
        "usage_type": price["recurring"]["usage_type"],
    }


def invoice(now: int, *, subscription: Object, total: int, paid: bool, number: int) -> Object:
    """An invoice of a subscription."""
    made = base("invoice", "in", now)
    nothing = ("amount_overpaid", "amount_shipping", "starting_balance")
    nothing += ("post_payment_credit_notes_amount", "pre_payment_credit_notes_amount")
    return made | {
        **dict.fromkeys(nothing, 0),
        "amount_due": total,
        "amount_paid": total if paid else 0,
        "amount_remaining": 0 if paid else total,
        "attempt_count": 1,
        "attempted": True,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None, "status": None},
        "billing_reason": "subscription_cycle",
        "collection_method": "charge_automatically",
        "currency": subscription["currency"],
        "customer": subscription["customer"],
        "default_tax_rates": [],
        "discounts": [],
        "hosted_invoice_url": f"https://invoice.stripe.com/i/{made['id']}",
        "invoice_pdf": f"https://pay.stripe.com/invoice/{made['id']}/pdf",
        "issuer": {"type": "self"},
        "lines": page([], f"/v1/invoices/{made['id']}/lines"),
        "number": f"VOUCH-{number:04d}",
        "parent": {
            "quote_details": None,
            "subscription_details": {"metadata": {}, "subscription": subscription["id"]},
            "type": "subscription_details",
        },
        "payment_settings": {"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
        "period_end": now,
        "period_start": now,
        "status": "paid" if paid else "open",
        "status_transitions": {
            "finalized_at": now,
            "marked_uncollectible_at": None,
            "paid_at": now if paid else None,
            "voided_at": None,
        },
        "subtotal": total,
        "total": total,
    }


def charge(now: int, *, customer: str, card: str, amount: int, currency: str) -> Object:
    """A payment that went through."""
    return base("charge", "ch", now) | {
        "amount": amount,
        "amount_captured": amount,
        "amount_refunded": 0,
        "billing_details": dict(_NOBODY),
        "captured": True,
        "currency": currency,
        "customer": customer,
        "disputed": False,
        "paid": True,
        "payment_method": card,
        "refunded": False,
        "status": "succeeded",
    }


def dispute(now: int, *, charge: Object, reason: str) -> Object:
    """A dispute of a payment."""
    return base("dispute", "du", now) | {
        "amount": charge["amount"],
        "balance_transactions": [],
        "charge": charge["id"],
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": now + 7 * 86_400,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": False,
        "reason": reason,
        "status": "needs_response",
    }


def fraud_warning(now: int, *, charge: str) -> Object:
    """What a bank says before there is a dispute."""
    made = base("radar.early_fraud_warning", "issfr", now) | {
        "actionable": True,
        "charge": charge,
        "fraud_type": "made_with_stolen_card",
    }
    return without(made, "metadata")


def checkout_session(now: int, given: Object) -> Object:
    """A session of the hosted checkout page."""
    made = base("checkout.session", "cs_test", now)
    return made | {
        "allow_promotion_codes": given.get("allow_promotion_codes") == "true",
        "automatic_tax": {"enabled": given.get("automatic_tax", {}).get("enabled") == "true", "status": None},
        "cancel_url": given.get("cancel_url"),
        "client_reference_id": given.get("client_reference_id"),
        "currency": None,
        "custom_fields": [],
        "custom_text": {},
        "customer": given["customer"],
        "expires_at": now + 86_400,
        "metadata": given.get("metadata", {}),
        "mode": given["mode"],
        "payment_method_types": given.get("allowed_payment_method_types", ["card", "link"]),
        "payment_status": "unpaid",
        "shipping_options": [],
        "status": "open",
        "subscription": None,
        "success_url": given.get("success_url"),
        "url": f"https://checkout.stripe.com/c/pay/{made['id']}",
    }


def portal_session(now: int, given: Object) -> Object:
    """A session of the hosted customer portal."""
    made = base("billing_portal.session", "bps", now)
    return without(made, "metadata") | {
        "configuration": given.get("configuration", "bpc_of_the_dashboard"),
        "customer": given["customer"],
        "return_url": given.get("return_url"),
        "url": f"https://billing.stripe.com/p/session/{made['id']}",
    }


def verification_session(now: int, given: Object) -> Object:
    """A check of identity that was just begun."""
    made = base("identity.verification_session", "vs", now)
    document = given.get("options", {}).get("document", {})
    return made | {
        "client_reference_id": given.get("client_reference_id"),
        "client_secret": f"{made['id']}_secret",
        "last_error": None,
        "last_verification_report": None,
        "metadata": given.get("metadata", {}),
        "options": {"document": {name: value == "true" for name, value in document.items()}},
        "redaction": None,
        "status": "requires_input",
        "type": given["type"],
        "url": f"https://verify.stripe.com/start/{made['id']}",
        "verified_outputs": None,
    }


def event(now: int, kind: str, about: Object) -> Object:
    """That an object changed."""
    return {
        "id": new_id("evt"),
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": now,
        "data": {"object": about},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }


def without(made: Object, *names: str) -> Object:
    """An object less some fields."""
    return {name: value for name, value in made.items() if name not in names}
