"""The objects that `vouch admin stripe-setup` makes, and what it reads, as JSON."""

from __future__ import annotations

from decimal import Decimal

from tests.stripe_fake.objects import Object, base, new_id, without


def product(now: int, given: Object) -> Object:
    """A product."""
    return base("product", "prod", now) | {
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
    return base("price", "price", now) | {
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
    made = base("billing.meter", "mtr", now) | {
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
    return without(made, "metadata")


def portal_configuration(now: int, given: Object) -> Object:
    """What the customer portal offers."""
    wanted = given["features"]
    cancel, update = wanted.get("subscription_cancel", {}), wanted.get("customer_update", {})
    off: Object = {"enabled": False}
    return base("billing_portal.configuration", "bpc", now) | {
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


def webhook_endpoint(now: int, given: Object) -> Object:
    """Where events are sent; the secret is only in the answer that made it."""
    return base("webhook_endpoint", "we", now) | {
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
