"""What is said to the payment provider: written in the causing transaction, called afterwards, until it is heard.

A call that the provider refuses is tried again like one that it did not hear: most often the operator can mend what is
wrong, and until then `vouch doctor` shows it. None of these errands has an owner, so that an erasure leaves them.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts.models import Account
from app.billing.customers import customer_of
from app.billing.gateway import Gateway
from app.billing.models import Verification, VerificationState
from app.core import errands
from app.core.db import Databases, now

CALL = "stripe.call"
OLDEST_USAGE = timedelta(days=35)
"""Providers take no usage that is older."""


def bill_overage(session: Session, account: Account, generation_id: uuid.UUID, characters: int) -> None:
    """Have characters beyond the allowance billed, once for each generation. Call it where the clip is settled."""
    if characters > 0:
        usage = {"generation": str(generation_id), "characters": characters, "at": now().isoformat()}
        payload = {"call": "record_usage", "account": str(account.id), **usage}
        errands.add(session, CALL, f"usage:{generation_id}", payload)


def cancel_subscription(session: Session, external_id: str) -> None:
    """Have a subscription ended at once."""
    payload = {"call": "cancel_subscription", "subscription": external_id}
    errands.add(session, CALL, f"cancel:{external_id}", payload)


def redact_verification(session: Session, external_id: str, *, due_at: datetime | None = None) -> None:
    """Have the provider delete what it collected for a proof of identity: now, or at a time."""
    payload = {"call": "redact_verification", "verification": external_id}
    key = f"redact:{external_id}" if due_at is None else f"redact-later:{external_id}"
    errands.add(session, CALL, key, payload, due_at=due_at)


def forget_person(session: Session, account: Account) -> None:
    """Have the provider delete all it keeps of an account that is erased: its customer, and what proved its person."""
    for external_id in session.scalars(
        select(Verification.external_id).where(
            Verification.account_id == account.id,
            Verification.external_id.is_not(None),
            Verification.redacted_at.is_(None),
        )
    ):
        assert external_id is not None
        redact_verification(session, external_id)
    customer = customer_of(session, account.id)
    if customer is not None:
        payload = {"call": "delete_customer", "customer": customer.external_id}
        errands.add(session, CALL, f"delete:{customer.external_id}", payload)


def handle(databases: Databases, gateway: Gateway, payload: dict[str, Any]) -> None:
    """Make one call. Raises what the gateway raises, and errands.CannotBeDone where no try can help."""
    match payload["call"]:
        case "record_usage":
            _record_usage(databases, gateway, payload)
        case "cancel_subscription":
            external_id = payload["subscription"]
            gateway.cancel_subscription(external_id, key=f"cancel:{external_id}")
        case "redact_verification":
            _redact(databases, gateway, payload["verification"])
        case "delete_customer":
            gateway.delete_customer(payload["customer"], key=f"delete:{payload['customer']}")
        case unknown:
            raise errands.CannotBeDone(f"there is no call {unknown!r}")


def _record_usage(databases: Databases, gateway: Gateway, payload: dict[str, Any]) -> None:
    at = datetime.fromisoformat(payload["at"])
    with databases.reading() as session:
        customer = customer_of(session, uuid.UUID(payload["account"]))
    if customer is None:
        raise errands.CannotBeDone("the account is no longer a customer, so its usage can't be billed")
    if now() - at > OLDEST_USAGE:
        raise errands.CannotBeDone("the usage is too old: the provider takes none from more than 35 days ago")
    gateway.record_usage(
        customer=customer.external_id, identifier=payload["generation"], characters=payload["characters"], at=at
    )


def _redact(databases: Databases, gateway: Gateway, external_id: str) -> None:
    with databases.reading() as session:
        row = session.scalar(select(Verification).where(Verification.external_id == external_id))
    if row is not None and row.redacted_at is not None:
        return
    gateway.redact_verification(external_id, key=f"redact:{external_id}")
    with databases.writing() as session:
        row = session.scalar(select(Verification).where(Verification.external_id == external_id).with_for_update())
        if row is not None:
            row.redacted_at = now()
            if row.finished_at is None:
                row.state, row.finished_at = VerificationState.CANCELED, now()
