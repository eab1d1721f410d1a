"""Choosing a plan: the provider's pages, changes of plan, invoices. All of it is called outside of transactions."""

from __future__ import annotations

import uuid

from sqlalchemy.orm import Session

from app.accounts.models import Account
from app.billing.customers import customer_of, ensure_customer, forget_customer
from app.billing.gateway import Gateway, GatewayRefused, InvoiceFacts
from app.billing.models import BillingCustomer, Subscription
from app.billing.plans import PLANS, is_larger
from app.billing.queries import MISSING, is_live, subscription_of
from app.billing.refreshing import refresh_customer
from app.core import audit
from app.core.audit import Actor
from app.core.db import Databases, now
from app.core.errors import Invalid
from app.settings import Settings

BILLING_PATH, PAID_PATH = "/account/plan", "/account/plan?checkout=done"
"""Our pages to which the provider's lead back."""


def begin(databases: Databases, gateway: Gateway, settings: Settings, account_id: uuid.UUID, plan: str) -> str:
    """Where to send a person who wants a paid plan: to the provider's checkout.

    Raises Invalid for a plan that nobody pays for, for an account that will be deleted, and when there is a
    subscription already: that one is changed with `change_plan`. The provider is asked for it, because a payment of a
    minute ago may not be known here yet.
    """
    _refuse_unpaid(plan)
    with databases.reading() as session:
        _refuse_closing(session, account_id)
    customer = ensure_customer(databases, gateway, account_id)
    try:
        return _open(databases, gateway, settings, customer, plan)
    except GatewayRefused as refused:
        if refused.code != "payment.missing":
            raise
        forget_customer(databases, customer.external_id)  # somebody has deleted it there: begin anew
        return _open(databases, gateway, settings, ensure_customer(databases, gateway, account_id), plan)


def _open(databases: Databases, gateway: Gateway, settings: Settings, customer: BillingCustomer, plan: str) -> str:
    account_id = customer.account_id
    refresh_customer(databases, gateway, settings, account_id)
    with databases.reading() as session:
        subscription = subscription_of(session, account_id)
        account = session.get_one(Account, account_id)
    if is_live(subscription):
        raise Invalid("billing.subscribed", "You have a plan already. Change it instead of taking a second one.")
    last = subscription.external_id if subscription is not None else "first"
    return gateway.checkout(
        customer=customer.external_id,
        plan=plan,
        reference=account.public_id,
        success_url=f"{settings.public_url}{PAID_PATH}",
        cancel_url=f"{settings.public_url}{BILLING_PATH}",
        key=f"checkout:{customer.external_id}:{plan}:{last}:{now():%Y%m%d%H}",  # a second click opens the same page
    )


def change_plan(databases: Databases, gateway: Gateway, settings: Settings, account_id: uuid.UUID, plan: str) -> None:
    """Put the account's subscription on another paid plan at once. Raises Invalid where there is none, or soon none,
    and for a larger one while a payment is missing.

    GatewayRefused with `payment.declined` means that the card was: the plan is then the old one.
    """
    _refuse_unpaid(plan)
    with databases.reading() as session:
        _refuse_closing(session, account_id)
        subscription = subscription_of(session, account_id)
    if subscription is None or not is_live(subscription):
        raise Invalid("billing.no_plan", "There is no plan to change. Choose one first.")
    if is_larger(plan, subscription.plan):
        _refuse_new_month(subscription)
    if subscription.plan != plan:
        key = f"plan:{subscription.external_id}:{plan}:{subscription.read_at.isoformat()}"
        try:
            gateway.change_plan(subscription.external_id, plan, key=key)
        except GatewayRefused:
            refresh_customer(databases, gateway, settings, account_id)  # so that the next try has another key
            raise
        with databases.writing() as session:
            actor = Actor("account", str(account_id))
            audit.record(session, actor, "subscription.plan_chosen", subscription, after=plan)
    refresh_customer(databases, gateway, settings, account_id)


def portal(databases: Databases, gateway: Gateway, settings: Settings, account_id: uuid.UUID) -> str:
    """The provider's page for cards, invoices and cancelling. Raises Invalid for an account that never paid."""
    with databases.reading() as session:
        customer = customer_of(session, account_id)
    if customer is None:
        raise Invalid("billing.no_customer", "There is nothing to manage yet. Choose a plan first.")
    return gateway.portal(customer=customer.external_id, return_url=f"{settings.public_url}{BILLING_PATH}")


def invoices(databases: Databases, gateway: Gateway, account_id: uuid.UUID) -> list[InvoiceFacts]:
    """The account's invoices as the provider has them now, newest first. Raises GatewayDown when it does not answer."""
    with databases.reading() as session:
        customer = customer_of(session, account_id)
    return gateway.invoices(customer.external_id) if customer is not None else []


def _refuse_closing(session: Session, account_id: uuid.UUID) -> None:
    if session.get_one(Account, account_id).closing_at is not None:
        raise Invalid(
            "billing.closing",
            "Your account will be deleted, so no plan can be taken or changed.",
            fix="If you want to keep the account, say so under “Your data” first.",
        )


def _refuse_new_month(subscription: Subscription) -> None:
    if subscription.status in MISSING:  # the new month's payment would make up for the one that is missing
        raise Invalid("billing.missing", "A payment is missing. Pay it first, then choose a larger plan.")
    if subscription.cancel_at_period_end:  # on a fixed day: it would end the new month, too
        said = "Your plan ends with its month. Take the cancellation back first, under “Card, or cancel”."
        raise Invalid("billing.ending", said)


def _refuse_unpaid(plan: str) -> None:
    if plan not in PLANS or not PLANS[plan].paid:
        raise Invalid("plan.unknown", "There is no such paid plan. Choose one from the list.")
