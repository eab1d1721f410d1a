"""Choosing a plan: the price page for everybody, and the plan page of an account. Paying happens at the provider's."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response
from sqlalchemy.orm import Session

from app.accounts.identity import Caller, Confirmed, SignedIn, acting, looking
from app.accounts.models import Account
from app.accounts.rules import is_verified
from app.billing import checkout
from app.billing.gateway import Gateway, GatewayDown, GatewayRefused, gateway_of
from app.billing.ledger import balance_of
from app.billing.models import Subscription
from app.billing.plans import PLANS, Plan, plan_of
from app.billing.queries import is_live, subscription_of
from app.billing.refreshing import refresh_customer
from app.billing.subscriptions import most_overage, set_overage_cap
from app.core.db import now
from app.core.errors import DomainError, Invalid
from app.core.services import Services, services_of
from app.site.pages import in_words, page, see

router = APIRouter()
Parts = Annotated[Services, Depends(services_of)]
Provider = Annotated[Gateway | None, Depends(gateway_of)]
PATH = "/account/plan"


@router.get("/plans")
def show_plans(request: Request, services: Parts) -> Response:
    """What the plans are and cost, for everybody."""
    return page(request, "plans.html", None, plans=_cards(), currency=_currency(services))


@router.get(PATH)
def show_plan(request: Request, caller: SignedIn, services: Parts, gateway: Provider, checkout: str = "") -> Response:
    """The plan, how it is paid, and the others. Back from a payment it asks the provider at once."""
    if checkout != "done" or gateway is None:
        return _plan_page(request, caller, services)
    arrived = _arrived(services, gateway, caller)
    return _plan_page(request, caller, services, waiting=not arrived, arrived=arrived)


def _arrived(services: Services, gateway: Gateway, caller: Caller) -> bool:
    """Whether the subscription that was just paid is there."""

    def live() -> bool:
        with services.databases.reading() as session:
            return is_live(subscription_of(session, caller.account_id))

    if not live():
        try:
            refresh_customer(services.databases, gateway, services.settings, caller.account_id)
        except (GatewayDown, GatewayRefused):
            return False  # the provider's event will tell
    return live()


@router.post(PATH)
def choose(
    request: Request,
    caller: Confirmed,
    services: Parts,
    gateway: Provider,
    plan: Annotated[str, Form(max_length=24)] = "",
) -> Response:
    """Lead to the provider's checkout; or, with a subscription, put it on another plan."""
    try:
        provider = _there(gateway, services)
        with looking(services, caller) as (session, account):
            live = is_live(subscription_of(session, account.id))
        if live:
            checkout.change_plan(services.databases, provider, services.settings, caller.account_id, plan)
            return see(PATH)
        return see(checkout.begin(services.databases, provider, services.settings, caller.account_id, plan))
    except DomainError as error:
        return _plan_page(request, caller, services, error=error)


@router.post(f"{PATH}/manage")
def manage(request: Request, caller: Confirmed, services: Parts, gateway: Provider) -> Response:
    """Lead to the provider's page for card and cancelling."""
    try:
        provider = _there(gateway, services)
        return see(checkout.portal(services.databases, provider, services.settings, caller.account_id))
    except DomainError as error:
        return _plan_page(request, caller, services, error=error)


@router.post(f"{PATH}/overage")
def choose_overage(
    request: Request, caller: Confirmed, services: Parts, cap: Annotated[str, Form(max_length=20)] = ""
) -> Response:
    """How many characters beyond the allowance may be billed."""
    try:
        characters = _number(cap)
        with acting(services, caller) as (session, account):
            set_overage_cap(session, account, characters, caller.actor)
    except DomainError as error:
        return _plan_page(request, caller, services, error=error, cap=cap)
    return see(PATH)


def _there(gateway: Gateway | None, services: Services) -> Gateway:
    if gateway is None:
        raise Invalid("billing.operator", f"Plans are given by the operator here. Ask {services.settings.contact}.")
    return gateway


def _number(typed: str) -> int:
    digits = typed.replace(",", "").replace(" ", "").strip() or "0"
    if not (digits.isascii() and digits.isdigit()):
        raise Invalid("overage.cap", "Write a number of characters, such as 20000, or 0 for none.")
    return int(digits)


def _plan_page(
    request: Request,
    caller: Caller,
    services: Services,
    *,
    waiting: bool = False,
    arrived: bool = False,
    error: DomainError | None = None,
    cap: str | None = None,
) -> Response:
    with looking(services, caller) as (session, account):
        subscription = subscription_of(session, account.id)
        return page(
            request,
            "plan.html",
            account,
            error.status if error else 200,
            plans=_cards(account.plan),
            currency=_currency(services),
            provider=services.settings.billing_provider,
            state=_state(session, account, subscription),
            overage=_overage(subscription, plan_of(account), cap),
            waiting=waiting,
            arrived=arrived,
            verified=is_verified(account.verified_at, account.recheck_by, now()),
            error=in_words(error) if error else None,
            overage_error=in_words(error) if error and error.code.startswith("overage.") else None,
        )


def _state(session: Session, account: Account, subscription: Subscription | None) -> dict[str, Any]:
    balance = balance_of(session, account)
    live = is_live(subscription)
    return {
        "plan": plan_of(account).name,
        "paid": plan_of(account).paid,
        "live": live,
        "by_operator": plan_of(account).paid and not live,
        "period_end": balance.period.end,
        "ends_at": subscription.period_end if subscription and live and subscription.cancel_at_period_end else None,
        "grace_until": subscription.grace_until if subscription and live else None,
        "left": balance.left,
        "granted": balance.granted,
    }


def _overage(subscription: Subscription | None, plan: Plan, typed: str | None) -> dict[str, Any] | None:
    """The form for characters beyond the allowance; None where there are none to be had."""
    if subscription is None or not is_live(subscription) or not most_overage(subscription.plan):
        return None
    cents = plan.overage_cents_per_1000
    return {
        "cap": typed if typed is not None else str(subscription.overage_cap),
        "most": most_overage(subscription.plan),
        "cents_per_1000": cents,
        "at_most_cents": subscription.overage_cap * cents / 1000,
    }


def _cards(present: str | None = None) -> list[dict[str, Any]]:
    """The plans side by side; `present` is the viewer's."""
    order = list(PLANS)
    at = order.index(present) if present in order else -1
    return [
        {
            "id": plan.id,
            "name": plan.name,
            "cents": plan.price_cents,
            "characters": plan.characters_a_month,
            "voices": plan.voice_slots,
            "at_once": plan.concurrency,
            "overage_cents": plan.overage_cents_per_1000,
            "formats": _format_words(plan),
            "present": plan.id == present,
            "larger": order.index(plan.id) > at,
        }
        for plan in PLANS.values()
    ]


def _format_words(plan: Plan) -> str:
    lossless = "48" if plan.has_format("wav_48000") else "44.1" if plan.has_format("wav_44100") else "24"
    return f"MP3 to {192 if plan.has_format('mp3_44100_192') else 128} kbit/s, WAV and FLAC to {lossless} kHz"


def _currency(services: Services) -> str:
    return services.settings.billing.currency.upper()
