"""What is said to the payment provider: written in the causing transaction, called afterwards, until it is heard."""

from __future__ import annotations

import uuid

from sqlalchemy.orm import Session

from app.accounts.models import Account
from app.core import errands
from app.core.db import now

CALL = "stripe.call"


def bill_overage(session: Session, account: Account, generation_id: uuid.UUID, characters: int) -> None:
    """Have characters beyond the allowance billed, once for each generation. Call it where the clip is settled."""
    if characters > 0:
        usage = {"generation": str(generation_id), "characters": characters, "at": now().isoformat()}
        payload = {"call": "record_usage", "account": str(account.id), **usage}
        errands.add(session, CALL, f"usage:{generation_id}", payload)
