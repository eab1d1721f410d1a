"""The objects of Stripe's API as JSON: test_fake_is_true.py holds each against the official library's types."""

from __future__ import annotations

import hashlib
import itertools
from decimal import Decimal
from typing import Any

Object = dict[str, Any]
_numbers = itertools.count(1)
_NOBODY: Object = {"address": None, "email": None, "name": None, "phone": None, "tax_id": None}


def new_id(prefix: str) -> str:
    """An id that no other object of this process has."""
    return f"{prefix}_{next(_numbers):08d}fake"


def _base(kind: str, prefix: str, now: int) -> Object:
    return {"id": new_id(prefix), "object": kind, "created": now, "livemode": False, "metadata": {}}


def page(data: list[Object], url: str) -> Object:
    """A list."""
    return {"object": "list", "data": data, "has_more": False, "url": url}


def customer(now: int, *, email: str, metadata: Object) -> Object:
    """A customer."""
    return _base("customer", "cus", now) | {
        "email": email,
        "metadata": metadata,
        "name": None,
        "default_source": None,
        "invoice_settings": {"custom_fields": None, "default_payment_method": None, "footer": None},
    }


def card(now: int, *, customer: str, number: str) -> Object:
    """A payment method: the same number has the same fingerprint."""
    return _base("payment_method", "pm", now) | {
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


def product(now: int, given: Object) -> Object:
    """A product."""
    return _base("product", "prod", now) | {
        "id": given.get("id") or new_id("prod"),
        "name": given["name"],
        "description": given.get("description"),
        "metadata": given.get("metadata", {}),
        "active": True,
        "images": [],
        "marketing_features": [],
        "type": "service",
        "updated": now,
    }


def price(now: int, given: Object) -> Object:
    """A price, monthly or metered."""
    recurring = given.get("recurring", {})
    cents = Decimal(given.get("unit_amount_decimal") or given["unit_amount"])
    return _base("price", "price", now) | {
        "active": True,
        "billing_scheme": "per_unit",
        "currency": given["currency"],
        "lookup_key": given.get("lookup_key"),
        "metadata": given.get("metadata", {}),
        "nickname": given.get("nickname"),
        "product": given["product"],
        "recurring": {
            "interval": recurring["interval"],
            "interval_count": 1,
            "meter": recurring.get("meter"),
            "trial_period_days": None,
            "usage_type": recurring.get("usage_type", "licensed"),
        },
        "tax_behavior": "unspecified",
        "type": "recurring",
        "unit_amount": int(cents) if cents == int(cents) else None,
        "unit_amount_decimal": str(cents),
    }


def meter(now: int, given: Object) -> Object:
    """A meter."""
    made = _base("billing.meter", "mtr", now) | {
        "display_name": given["display_name"],
        "event_name": given["event_name"],
        "default_aggregation": given["default_aggregation"],
        "customer_mapping": given.get("customer_mapping", {"event_payload_key": "stripe_customer_id", "type": "by_id"}),
        "value_settings": given.get("value_settings", {"event_payload_key": "value"}),
        "event_time_window": None,
        "status": "active",
        "status_transitions": {"deactivated_at": None},
        "updated": now,
    }
    return _without(made, "metadata")


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
    made = _base("subscription", "sub", now)
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
    made = _base("subscription_item", "si", now) | {
        "current_period_end": end,
        "current_period_start": start,
        "discounts": [],
        "plan": _plan_of(price),
        "price": price,
        "subscription": subscription,
        "tax_rates": [],
    }
    return _without(made, "livemode") | ({} if metered else {"quantity": 1})


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
    made = _base("invoice", "in", now)
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
    return _base("charge", "ch", now) | {
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
    return _base("dispute", "du", now) | {
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
    made = _base("radar.early_fraud_warning", "issfr", now) | {
        "actionable": True,
        "charge": charge,
        "fraud_type": "made_with_stolen_card",
    }
    return _without(made, "metadata")


def checkout_session(now: int, given: Object) -> Object:
    """A session of the hosted checkout page."""
    made = _base("checkout.session", "cs_test", now)
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
    made = _base("billing_portal.session", "bps", now)
    return _without(made, "metadata") | {
        "configuration": given.get("configuration", "bpc_of_the_dashboard"),
        "customer": given["customer"],
        "return_url": given.get("return_url"),
        "url": f"https://billing.stripe.com/p/session/{made['id']}",
    }


def portal_configuration(now: int, given: Object) -> Object:
    """What the customer portal offers."""
    wanted = given["features"]
    cancel, update = wanted.get("subscription_cancel", {}), wanted.get("customer_update", {})
    off: Object = {"enabled": False}
    return _base("billing_portal.configuration", "bpc", now) | {
        "active": True,
        "business_profile": {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None},
        "default_return_url": given.get("default_return_url"),
        "features": {
            "customer_update": {
                "allowed_updates": update.get("allowed_updates") or [],
                "enabled": _is_on(update),
            },
            "invoice_history": {"enabled": _is_on(wanted.get("invoice_history", off))},
            "payment_method_update": {"enabled": _is_on(wanted.get("payment_method_update", off))},
            "subscription_cancel": {
                "cancellation_reason": {"enabled": False, "options": []},
                "enabled": _is_on(cancel),
                "mode": cancel.get("mode", "at_period_end"),
                "proration_behavior": "none",
            },
            "subscription_pause": {"duration": {"interval_options": [], "type": "indefinite"}, "enabled": False},
            "subscription_update": {
                "default_allowed_updates": [],
                "enabled": _is_on(wanted.get("subscription_update", off)),
                "proration_behavior": "none",
                "schedule_at_period_end": {"conditions": []},
                "trial_update_behavior": "end_trial",
            },
        },
        "is_default": False,
        "login_page": {"enabled": False, "url": None},
        "metadata": given.get("metadata", {}),
        "updated": now,
    }


def _is_on(feature: Object) -> bool:
    return bool(feature.get("enabled") in (True, "true"))


def verification_session(now: int, given: Object) -> Object:
    """A check of identity that was just begun."""
    made = _base("identity.verification_session", "vs", now)
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


def webhook_endpoint(now: int, given: Object) -> Object:
    """Where events are sent; the secret is only in the answer that made it."""
    return _base("webhook_endpoint", "we", now) | {
        "api_version": given.get("api_version"),
        "description": given.get("description"),
        "enabled_events": given["enabled_events"],
        "metadata": given.get("metadata", {}),
        "status": "enabled",
        "url": given["url"],
    }


def tax_settings(*, active: bool) -> Object:
    """Whether Stripe Tax is set up."""
    return {
        "object": "tax.settings",
        "defaults": {"provider": "stripe", "tax_behavior": "inclusive" if active else None, "tax_code": None},
        "head_office": None,
        "livemode": False,
        "status": "active" if active else "pending",
        "status_details": {"active": {}} if active else {"pending": {"missing_fields": ["head_office"]}},
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


def _without(made: Object, *names: str) -> Object:
    return {name: value for name, value in made.items() if name not in names}
