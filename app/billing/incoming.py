"""Events from the payment provider: written down at once, handled by an errand that reads what holds now."""

from __future__ import annotations

from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.accounts.models import Account
from app.billing import disputes, refreshing, verification
from app.billing.customers import account_of, forget_customer
from app.billing.gateway import EVENT_TYPES, ChargeFacts, DisputeFacts, EventFacts, FraudWarningFacts, Gateway
from app.core import errands
from app.core.db import Databases
from app.settings import Settings

EVENT = "stripe.event"
_VERIFICATION, _DISPUTE = "identity.verification_session.", "charge.dispute."
_WARNING, _REFUND, _CUSTOMER_GONE = "radar.early_fraud_warning.", "charge.refunded", "customer.deleted"

log = structlog.get_logger(__name__)


def write_down(session: Session, event: EventFacts) -> bool:
    """Put an event into the inbox; gives whether it is new there. Types that nothing follows from are left out."""
    if event.type not in EVENT_TYPES:
        return False
    payload = {"type": event.type, "object": event.object_id, "customer": event.customer}
    return errands.add(session, EVENT, f"{EVENT}:{event.id}", payload) is not None


def handle(databases: Databases, gateway: Gateway, settings: Settings, payload: dict[str, Any]) -> None:
    """Do what follows from an event. Safe to repeat, in any order; raises what the gateway raises."""
    kind, external_id, customer = payload["type"], payload["object"], payload["customer"]
    if kind.startswith(_VERIFICATION):
        verification.refresh(databases, gateway, settings, external_id)
    elif kind.startswith(_DISPUTE):
        _note(databases, gateway.dispute(external_id))
    elif kind.startswith(_WARNING):
        _note(databases, gateway.fraud_warning(external_id))
    elif kind == _REFUND:
        _note(databases, gateway.charge(external_id))
    elif customer is not None:
        with databases.reading() as session:
            account = account_of(session, customer)
        if account is None:
            _not_ours(customer)
        else:
            refreshing.refresh_customer(databases, gateway, settings, account.id)
        if kind == _CUSTOMER_GONE:
            forget_customer(databases, customer)


def _note(databases: Databases, facts: DisputeFacts | FraudWarningFacts | ChargeFacts | None) -> None:
    if facts is None or facts.customer is None:
        return
    with databases.writing() as session:
        account = account_of(session, facts.customer)
        if account is None:
            _not_ours(facts.customer)
        else:
            _note_about(session, account, facts)


def _note_about(session: Session, account: Account, facts: DisputeFacts | FraudWarningFacts | ChargeFacts) -> None:
    match facts:
        case DisputeFacts():
            disputes.note_dispute(session, account, facts)
        case FraudWarningFacts():
            disputes.note_fraud_warning(session, account, facts)
        case ChargeFacts():
            disputes.note_refund(session, account, facts)


def _not_ours(customer: str) -> None:
    """Another product may use the same account at the provider."""
    log.info("billing.unknown_customer", customer=customer)
