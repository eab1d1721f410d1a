"""The fake's answers over HTTP: those parts of Stripe's API that Vouch uses. Parameters that Stripe's library does not
know are refused, as Stripe refuses them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import stripe.params
import stripe.params.billing
import stripe.params.billing_portal
import stripe.params.checkout
import stripe.params.identity
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.stripe_fake import catalog, objects
from tests.stripe_fake.forms import unflatten
from tests.stripe_fake.objects import Object
from tests.stripe_fake.world import Declined, StripeWorld

p = stripe.params
Handler = Callable[[StripeWorld, Object, Object], Object]


class Refusal(Exception):
    """An error that Stripe answers with."""

    def __init__(self, status: int, message: str, *, kind: str = "invalid_request_error", code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"type": kind, "message": message} | ({"code": code} if code else {})}


def application(world: StripeWorld) -> Starlette:
    """The ASGI application."""

    async def answer(request: Request) -> JSONResponse:
        body = (await request.body()).decode()
        status, answered = await run_in_threadpool(_answer, world, request, body)
        return JSONResponse(answered, status, headers={"Request-Id": objects.new_id("req")})

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST", "DELETE"])])


def _answer(world: StripeWorld, request: Request, body: str) -> tuple[int, Object]:
    params = unflatten(body if request.method == "POST" else request.url.query)
    with world.lock:
        world.requests.append((request.method, request.url.path, copy.deepcopy(params)))
        if world.down:
            return 503, {"error": {"type": "api_error", "message": "Stripe is down."}}
        try:
            status, answered = _remembered(world, request, params)
        except Refusal as refusal:
            status, answered = refusal.status, refusal.body
        if world.answers_to_lose > 0:
            world.answers_to_lose -= 1
            return 502, {"error": {"type": "api_error", "message": "The answer was lost."}}
        return status, copy.deepcopy(answered)


def _remembered(world: StripeWorld, request: Request, params: Object) -> tuple[int, Object]:
    """Do what is asked; a call with a known idempotency key is answered as the first time, and does nothing."""
    if request.headers.get("authorization") != f"Bearer {world.key}":
        raise Refusal(401, "Invalid API Key provided.")
    if "stripe-version" not in request.headers:
        raise Refusal(400, "The library names the version of the API.")
    key = request.headers.get("idempotency-key")
    call: Object = {"method": request.method, "path": request.url.path, "params": copy.deepcopy(params)}
    if key in world.answers:
        first, status, answered = world.answers[key]
        if first != call:
            said = "Keys for idempotent requests can only be used with the same parameters they were first used with."
            raise Refusal(400, said, kind="idempotency_error")
        return status, answered
    try:
        done = 200, _do(world, request.method, request.url.path, params)
    except Refusal as refusal:
        done = refusal.status, refusal.body
    if key is not None:
        world.answers[key] = call, done[0], copy.deepcopy(done[1])
    return done


def _do(world: StripeWorld, method: str, path: str, params: Object) -> Object:
    expand = params.pop("expand", [])
    parts = path.removeprefix("/v1/").split("/")
    for (wanted_method, pattern), (known, handler) in ROUTES.items():
        names = pattern.split("/")
        if (
            method == wanted_method
            and len(names) == len(parts)
            and all(name in (part, "ID") for name, part in zip(names, parts, strict=True))
        ):
            if unknown := [name for name in params if known is not None and name not in known.__annotations__]:
                raise Refusal(400, f"Received unknown parameter: {unknown[0]}", code="parameter_unknown")
            held = next((_held(world, part) for name, part in zip(names, parts, strict=True) if name == "ID"), {})
            return _expanded(world, handler(world, held, params), expand)
    raise Refusal(404, f"Unrecognized request URL ({method}: {path}).")


def _held(world: StripeWorld, external_id: str) -> Object:
    if external_id not in world.objects:
        raise Refusal(404, f"No such object: '{external_id}'", code="resource_missing")
    return world.objects[external_id]


def _expanded(world: StripeWorld, answered: Object, expand: list[str]) -> Object:
    answered = copy.deepcopy(answered)
    hidden = answered.get("object") == "identity.verification_session" and "verified_outputs" not in expand
    if hidden:
        del answered["verified_outputs"]
    for path in expand:
        _expand(world, answered, path.split("."))
    return answered


def _expand(world: StripeWorld, place: Any, path: list[str]) -> None:
    if isinstance(place, list):
        for each in place:
            _expand(world, each, path)
        return
    name, *rest = path
    if isinstance(place.get(name), str):
        place[name] = copy.deepcopy(world.objects[place[name]])
    if rest and place.get(name) is not None:
        _expand(world, place[name], rest)


def _making(maker: Callable[[int, Object], Object], *, answer_more: Object | None = None) -> Handler:
    def make(world: StripeWorld, held: Object, params: Object) -> Object:
        if "customer" in params:
            _living(world, params["customer"])
        return world.put(maker(world.now(), params)) | (answer_more or {})

    return make


def _living(world: StripeWorld, customer: str) -> Object:
    person = _held(world, customer)
    if person.get("deleted"):
        raise Refusal(400, f"No such customer: '{customer}'", code="resource_missing")
    return person


def _listing(kind: str, *filters: str) -> Handler:
    def find(world: StripeWorld, held: Object, params: Object) -> Object:
        if "customer" in params:
            _held(world, params["customer"])
        found = world.all(kind, **{name: params[name] for name in filters if name in params})
        return objects.page(found[: int(params.get("limit", 10))], f"/v1/{kind}s")

    return find


def _update_endpoint(world: StripeWorld, held: Object, params: Object) -> Object:
    held["enabled_events"] = params["enabled_events"]
    return held


def _get(world: StripeWorld, held: Object, params: Object) -> Object:
    return held


def _create_customer(world: StripeWorld, held: Object, params: Object) -> Object:
    made = objects.customer(world.now(), email=params["email"], metadata=params.get("metadata", {}))
    return world.put(made)


def _delete_customer(world: StripeWorld, held: Object, params: Object) -> Object:
    _living(world, held["id"])
    for subscription in world.all("subscription", customer=held["id"]):
        if subscription["status"] != "canceled":
            world.end(subscription, invoice_now=False)
    world.emit("customer.deleted", held)
    gone: Object = {"id": held["id"], "object": "customer", "deleted": True}
    return world.put(gone)


def _open_checkout(world: StripeWorld, held: Object, params: Object) -> Object:
    _living(world, params["customer"])
    for item in params["line_items"]:
        price = _held(world, item["price"])
        metered = price["recurring"]["usage_type"] == "metered"
        if metered == ("quantity" in item):
            raise Refusal(
                400, "Quantity should not be specified where usage_type is `metered`, and is needed elsewhere."
            )
    if params.get("automatic_tax", {}).get("enabled") == "true" and not world.tax_active:
        raise Refusal(400, "You must have a valid head office address to enable automatic tax calculation.")
    return world.open_checkout(params)


def _list_prices(world: StripeWorld, held: Object, params: Object) -> Object:
    keys = params.get("lookup_keys")
    found = [each for each in world.all("price") if keys is None or each["lookup_key"] in keys]
    active = [each for each in found if "active" not in params or each["active"] == (params["active"] == "true")]
    return objects.page(active[: int(params.get("limit", 10))], "/v1/prices")


def _create_price(world: StripeWorld, held: Object, params: Object) -> Object:
    key = params.get("lookup_key")
    for old in world.all("price", lookup_key=key) if key else []:
        if params.get("transfer_lookup_key") != "true":
            raise Refusal(400, f"A price (`{old['id']}`) already uses that lookup key.")
        old["lookup_key"] = None
    _held(world, params["product"])
    return world.put(catalog.price(world.now(), params))


def _create_product(world: StripeWorld, held: Object, params: Object) -> Object:
    if params.get("id") in world.objects:
        raise Refusal(400, "Product already exists.", code="resource_already_exists")
    return world.put(catalog.product(world.now(), params))


def _list_subscriptions(world: StripeWorld, held: Object, params: Object) -> Object:
    _held(world, params["customer"])
    found = world.all("subscription", customer=params["customer"])
    if params.get("status") != "all":
        found = [each for each in found if each["status"] != "canceled"]
    return objects.page(found[: int(params.get("limit", 10))], "/v1/subscriptions")


def _update_subscription(world: StripeWorld, held: Object, params: Object) -> Object:
    if held["status"] == "canceled":
        raise Refusal(400, "A canceled subscription can only update its cancellation_details and metadata.")
    try:
        prorate = params.get("proration_behavior") != "none"
        restart = params.get("billing_cycle_anchor", {}).get("type") == "now"
        world.switch(held, params["items"], prorate=prorate, restart=restart)
    except Declined:
        raise Refusal(402, "Your card was declined.", kind="card_error", code="card_declined") from None
    return held


def _cancel_subscription(world: StripeWorld, held: Object, params: Object) -> Object:
    if held["status"] == "canceled":
        raise Refusal(404, f"No such subscription: '{held['id']}'", code="resource_missing")
    world.end(held, invoice_now=params.get("invoice_now") == "true")
    return held


def _record_usage(world: StripeWorld, held: Object, params: Object) -> Object:
    identifier, at = params["identifier"], int(params["timestamp"])
    if not world.all("billing.meter", event_name=params["event_name"], status="active"):
        raise Refusal(400, "No active meter found for this event name.", code="no_meter")
    if len(identifier) > 100 or not world.now() - 35 * 86_400 <= at <= world.now() + 300:
        raise Refusal(400, "The timestamp must be within the past 35 calendar days.", code="timestamp_too_far_in_past")
    if identifier in world.usage:
        raise Refusal(400, f"An event already exists with identifier {identifier}.")
    _living(world, params["payload"]["stripe_customer_id"])
    world.usage[identifier] = objects.meter_event(world.now(), params)
    return world.usage[identifier]


def _redact(world: StripeWorld, held: Object, params: Object) -> Object:
    if held["redaction"] is not None or held["status"] == "processing":
        raise Refusal(400, "This session can't be redacted.")
    if held["status"] == "requires_input":
        held["status"] = "canceled"
    if held["verified_outputs"]:
        held["verified_outputs"] = {"first_name": "[redacted]", "last_name": "[redacted]"}
    held.update(redaction={"status": "processing"}, metadata={}, url=None)
    world.emit("identity.verification_session.redacted", held)
    return held


def _update_configuration(world: StripeWorld, held: Object, params: Object) -> Object:
    held.update({name: value for name, value in catalog.portal_configuration(0, params).items() if name == "features"})
    return held


def _tax(world: StripeWorld, held: Object, params: Object) -> Object:
    return catalog.tax_settings(active=world.tax_active)


_create_endpoint = _making(catalog.webhook_endpoint, answer_more={"secret": "whsec_fake"})
ROUTES: dict[tuple[str, str], tuple[Any, Handler]] = {
    ("POST", "customers"): (p.CustomerCreateParams, _create_customer),
    ("GET", "customers/ID"): (p.CustomerRetrieveParams, _get),
    ("DELETE", "customers/ID"): (p.CustomerDeleteParams, _delete_customer),
    ("POST", "checkout/sessions"): (p.checkout.SessionCreateParams, _open_checkout),
    ("POST", "billing_portal/sessions"): (p.billing_portal.SessionCreateParams, _making(objects.portal_session)),
    ("GET", "billing_portal/configurations"): (
        p.billing_portal.ConfigurationListParams,
        _listing("billing_portal.configuration"),
    ),
    ("POST", "billing_portal/configurations"): (
        p.billing_portal.ConfigurationCreateParams,
        _making(catalog.portal_configuration),
    ),
    ("POST", "billing_portal/configurations/ID"): (
        p.billing_portal.ConfigurationUpdateParams,
        _update_configuration,
    ),
    ("GET", "products/ID"): (p.ProductRetrieveParams, _get),
    ("POST", "products"): (p.ProductCreateParams, _create_product),
    ("GET", "prices"): (p.PriceListParams, _list_prices),
    ("POST", "prices"): (p.PriceCreateParams, _create_price),
    ("GET", "billing/meters"): (p.billing.MeterListParams, _listing("billing.meter", "status")),
    ("POST", "billing/meters"): (p.billing.MeterCreateParams, _making(catalog.meter)),
    ("POST", "billing/meter_events"): (p.billing.MeterEventCreateParams, _record_usage),
    ("GET", "subscriptions"): (p.SubscriptionListParams, _list_subscriptions),
    ("GET", "subscriptions/ID"): (p.SubscriptionRetrieveParams, _get),
    ("POST", "subscriptions/ID"): (p.SubscriptionUpdateParams, _update_subscription),
    ("DELETE", "subscriptions/ID"): (p.SubscriptionCancelParams, _cancel_subscription),
    ("GET", "invoices"): (p.InvoiceListParams, _listing("invoice", "customer")),
    ("GET", "payment_methods"): (p.PaymentMethodListParams, _listing("payment_method", "customer", "type")),
    ("POST", "identity/verification_sessions"): (
        p.identity.VerificationSessionCreateParams,
        _making(objects.verification_session),
    ),
    ("GET", "identity/verification_sessions/ID"): (p.identity.VerificationSessionRetrieveParams, _get),
    ("POST", "identity/verification_sessions/ID/redact"): (p.identity.VerificationSessionRedactParams, _redact),
    ("GET", "charges/ID"): (p.ChargeRetrieveParams, _get),
    ("GET", "disputes/ID"): (p.DisputeRetrieveParams, _get),
    ("GET", "radar/early_fraud_warnings/ID"): (None, _get),
    ("GET", "webhook_endpoints"): (p.WebhookEndpointListParams, _listing("webhook_endpoint")),
    ("POST", "webhook_endpoints"): (p.WebhookEndpointCreateParams, _create_endpoint),
    ("POST", "webhook_endpoints/ID"): (p.WebhookEndpointUpdateParams, _update_endpoint),
    ("GET", "tax/settings"): (None, _tax),
}
"""Method and path, to the parameters that Stripe knows and what is done."""
