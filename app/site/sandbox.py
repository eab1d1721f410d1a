"""The pages of the pretended payment provider: checkout, portal and identity check. No money moves, nobody is checked.

They are there only where the sandbox is the provider, and only for the signed-in account that they belong to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts.identity import SignedIn, acting, looking
from app.accounts.models import Account
from app.billing import sandbox_world as pretended
from app.billing.customers import customer_of
from app.billing.models import SandboxObject, Verification
from app.billing.plans import PLANS
from app.billing.sandbox_world import CARDS, Kind
from app.billing.verification import problem_words
from app.core.errors import DomainError, Invalid, NotFound
from app.core.services import Services, services_of
from app.settings import Settings
from app.site.pages import page, see

Parts = Annotated[Services, Depends(services_of)]
Choice = Annotated[str, Form(max_length=40)]
PROBLEMS = ("document_expired", "document_unverified_other", "selfie_face_mismatch", "abandoned")
"""Why the pretended check can be refused."""


def only_in_the_sandbox(services: Parts) -> None:
    """Nothing is here where payments are real."""
    if services.settings.billing_provider != "sandbox":
        raise _elsewhere()


router = APIRouter(prefix="/sandbox", dependencies=[Depends(only_in_the_sandbox)])


@router.get("/checkout/{checkout_id}")
def show_checkout(request: Request, checkout_id: str, caller: SignedIn, services: Parts) -> Response:
    """The plan, its price and the cards."""
    with looking(services, caller) as (session, account):
        held = _own_checkout(session, account, checkout_id)
        return _checkout_page(request, account, held, services.settings)


@router.post("/checkout/{checkout_id}")
def pay(request: Request, checkout_id: str, caller: SignedIn, services: Parts, card: Choice = "") -> Response:
    """Pay, or be told that the card was declined."""
    try:
        with acting(services, caller) as (session, account):
            held = _own_checkout(session, account, checkout_id)
            pretended.pay(session, held, card, services.settings)
    except NotFound:
        raise
    except DomainError as error:
        with looking(services, caller) as (session, account):
            held = _own_checkout(session, account, checkout_id)
            return _checkout_page(request, account, held, services.settings, card=card, error=error)
    return see(_path(held.data["success_url"]))


def _checkout_page(
    request: Request,
    account: Account,
    held: SandboxObject,
    settings: Settings,
    *,
    card: str = "good",
    error: DomainError | None = None,
) -> Response:
    return page(
        request,
        "sandbox_checkout.html",
        account,
        error.status if error else 200,
        checkout={"id": held.id, "done": held.data["done"], "back": _path(held.data["cancel_url"])},
        plan=PLANS[held.data["plan"]],
        currency=settings.billing.currency.upper(),
        cards=CARDS,
        chosen=card if card in CARDS else "good",
        error=error.message if error else None,
    )


@router.get("/portal/{customer}")
def show_portal(request: Request, customer: str, caller: SignedIn, services: Parts, done: str = "") -> Response:
    """What holds now, and buttons for all that can happen."""
    with looking(services, caller) as (session, account):
        person = _own_customer(session, account, customer)
        return _portal_page(request, session, account, person, services.settings, done=ACTIONS.get(done))


@router.post("/portal/{customer}")
def act(
    request: Request, customer: str, caller: SignedIn, services: Parts, action: Choice = "", choice: Choice = ""
) -> Response:
    """Make one thing happen."""
    try:
        with acting(services, caller) as (session, account):
            person = _own_customer(session, account, customer)
            _act(session, person, action, choice, services.settings)
    except NotFound:
        raise
    except DomainError as error:
        with looking(services, caller) as (session, account):
            person = _own_customer(session, account, customer)
            return _portal_page(request, session, account, person, services.settings, error=error)
    return see(f"/sandbox/portal/{customer}?done={action}")


ACTIONS = {
    "cancel": "The subscription has ended.",
    "cancel_later": "The subscription ends with its period.",
    "resume": "The subscription goes on.",
    "fail": "A payment has failed.",
    "recover": "The missing payment came in.",
    "next": "The next period has begun.",
    "plan": "The plan has changed.",
    "card": "The card has changed.",
    "dispute": "The newest payment is disputed.",
    "won": "Open disputes are won.",
    "lost": "Open disputes are lost.",
    "warning": "The bank has warned about the newest payment.",
    "refund": "The newest payment was given back.",
}
"""What can be made to happen, and what is said afterwards."""


def _act(session: Session, person: SandboxObject, action: str, choice: str, settings: Settings) -> None:
    with_subscription: dict[str, Callable[[SandboxObject], None]] = {
        "cancel": lambda held: pretended.end_subscription(session, held),
        "cancel_later": lambda held: pretended.set_ending(session, held, True),
        "resume": lambda held: pretended.set_ending(session, held, False),
        "fail": lambda held: pretended.fail_payment(session, held, settings),
        "recover": lambda held: pretended.recover_payment(session, held),
        "next": lambda held: pretended.next_period(session, held, settings),
        "plan": lambda held: pretended.change_plan(session, held, choice, settings),
    }
    with_person: dict[str, Callable[[], None]] = {
        "card": lambda: pretended.change_card(session, person, choice),
        "dispute": lambda: pretended.dispute(session, person),
        "won": lambda: pretended.end_disputes(session, person, "won"),
        "lost": lambda: pretended.end_disputes(session, person, "lost"),
        "warning": lambda: pretended.warn(session, person),
        "refund": lambda: pretended.refund(session, person),
    }
    if action in with_person:
        with_person[action]()
    elif action in with_subscription:
        held = pretended.live_subscription(session, person.id)
        if held is None:
            raise Invalid("sandbox.no_subscription", "There is no subscription now. Choose a plan in Vouch first.")
        with_subscription[action](held)
    else:
        raise Invalid("sandbox.action", "Choose one of the buttons.")


def _portal_page(
    request: Request,
    session: Session,
    account: Account,
    person: SandboxObject,
    settings: Settings,
    *,
    done: str | None = None,
    error: DomainError | None = None,
) -> Response:
    held = pretended.live_subscription(session, person.id)
    card = person.data["card"]
    return page(
        request,
        "sandbox_portal.html",
        account,
        error.status if error else 200,
        customer=person.id,
        back=_path(person.data.get("return_url", "/account/plan")),
        subscription=_subscription_facts(held) if held is not None else None,
        card=f"{card['brand'].capitalize()} ending in {card['last4']}" if card else None,
        invoices=[
            {**each.data, "amount": f"{each.data['total_cents'] / 100:.2f} {each.data['currency'].upper()}"}
            for each in pretended.all_of(session, Kind.INVOICE, person.id)[:12]
        ],
        plans=[plan for plan in PLANS.values() if plan.paid],
        cards=CARDS,
        currency=settings.billing.currency.upper(),
        done=done,
        error=error.message if error else None,
    )


def _subscription_facts(held: SandboxObject) -> dict[str, Any]:
    return {
        "plan": PLANS[held.data["plan"]],
        "missing": held.data["status"] == "past_due",
        "ending": held.data["cancel_at_period_end"],
        "until": held.data["period_end"][:10],
    }


@router.get("/identity/{check_id}")
def show_identity(request: Request, check_id: str, caller: SignedIn, services: Parts) -> Response:
    """The pretended document."""
    with looking(services, caller) as (session, account):
        held = _own_check(session, account, check_id)
        return _identity_page(request, account, held)


@router.post("/identity/{check_id}")
def check_identity(
    request: Request,
    check_id: str,
    caller: SignedIn,
    services: Parts,
    outcome: Choice = "",
    name: Annotated[str, Form(max_length=200)] = "",
    problem: Choice = "",
) -> Response:
    """The pretended document is good, or it is not."""
    try:
        with acting(services, caller) as (session, account):
            held = _own_check(session, account, check_id)
            if outcome == "verified":
                pretended.prove(session, held, name)
            else:
                pretended.reject(session, held, problem if problem in PROBLEMS else PROBLEMS[0])
    except NotFound:
        raise
    except DomainError as error:
        with looking(services, caller) as (session, account):
            return _identity_page(request, account, _own_check(session, account, check_id), name=name, error=error)
    return see(_path(held.data["return_url"]))


def _identity_page(
    request: Request,
    account: Account,
    held: SandboxObject,
    *,
    name: str | None = None,
    error: DomainError | None = None,
) -> Response:
    return page(
        request,
        "sandbox_identity.html",
        account,
        error.status if error else 200,
        check={"id": held.id, "open": held.data["state"] == "requires_input", "back": _path(held.data["return_url"])},
        name=account.name if name is None else name,
        problems={code: problem_words(code).split(". ")[0] for code in PROBLEMS},
        error=error.message if error else None,
    )


def _own_customer(session: Session, account: Account, customer: str) -> SandboxObject:
    ours = customer_of(session, account.id)
    if ours is None or ours.external_id != customer:
        raise _elsewhere()
    return pretended.find(session, Kind.CUSTOMER, customer)


def _own_checkout(session: Session, account: Account, checkout_id: str) -> SandboxObject:
    held = pretended.find(session, Kind.CHECKOUT, checkout_id)
    _own_customer(session, account, held.data["customer"])
    return held


def _own_check(session: Session, account: Account, check_id: str) -> SandboxObject:
    held = pretended.find(session, Kind.VERIFICATION, check_id)
    ours = select(Verification.id).where(Verification.account_id == account.id)
    if held.data["reference"] not in {str(own) for own in session.scalars(ours)}:
        raise _elsewhere()
    return held


def _elsewhere() -> NotFound:
    return NotFound("not_found", "There is nothing at this address.")


def _path(url: str) -> str:
    """The path of one of our own pages: the sandbox runs on whatever address the browser came to."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
