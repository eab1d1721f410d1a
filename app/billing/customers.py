"""Accounts as the payment provider knows them."""

from __future__ import annotations

import uuid

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts.models import Account
from app.billing.gateway import Gateway
from app.billing.models import BillingCustomer
from app.core import audit
from app.core.audit import Actor
from app.core.db import Databases, now
from app.core.states import lock

BILLING = Actor.system("billing")
"""Who acts where the provider's word moves something."""


def customer_of(session: Session, account_id: uuid.UUID) -> BillingCustomer | None:
    """The customer that an account is; None when it never came near a payment."""
    return session.scalar(select(BillingCustomer).where(BillingCustomer.account_id == account_id))


def account_of(session: Session, customer: str) -> Account | None:
    """The account behind the provider's id of a customer; None when it is not one of ours."""
    query = select(Account).join(BillingCustomer, BillingCustomer.account_id == Account.id)
    return session.scalar(query.where(BillingCustomer.external_id == customer))


def ensure_customer(databases: Databases, gateway: Gateway, account_id: uuid.UUID) -> BillingCustomer:
    """The customer that an account is, made when there is none yet. Call it outside of transactions.

    Two calls at once make one customer: the provider knows the key again, and the first row stays.
    """
    with databases.reading() as session:
        known = customer_of(session, account_id)
        account = session.get_one(Account, account_id)
    if known is not None:
        return known
    key = f"customer:{account_id}:{now():%Y%m%d%H}"  # by the hour, or one that was deleted there would come back
    external_id = gateway.create_customer(reference=account.public_id, email=account.email, key=key)
    with databases.writing() as session:
        account = session.get_one(Account, account_id)
        lock(session, account)
        known = customer_of(session, account_id)
        if known is not None:
            return known
        made = BillingCustomer(account_id=account_id, external_id=external_id)
        session.add(made)
        session.flush()
        audit.record(session, BILLING, "billing_customer.created", made, facts={"account": str(account_id)})
        return made


def forget_customer(databases: Databases, external_id: str) -> None:
    """A customer was deleted at the provider: the account gets a new one when it pays again."""
    with databases.writing() as session:
        account = account_of(session, external_id)
        if account is None:
            return
        lock(session, account)
        customer = customer_of(session, account.id)
        if customer is not None and customer.external_id == external_id:
            session.delete(customer)
            audit.record(session, BILLING, "billing_customer.deleted", customer, facts={"account": str(account.id)})
