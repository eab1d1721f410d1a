"""Signals: facts about accounts that somebody should look at, oldest first."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts.identity import Caller, SignedInModerator, acting, looking
from app.accounts.models import Account
from app.accounts.signals import Signal, SignalKind, open_signals
from app.billing.disputes import settle_signal
from app.core.errors import Invalid, NotFound
from app.core.services import Services, services_of
from app.core.text import one_line
from app.site.pages import page, see

router = APIRouter(prefix="/signals")
Parts = Annotated[Services, Depends(services_of)]
KINDS = {
    SignalKind.DISPUTE: "Disputed payment",
    SignalKind.FRAUD_WARNING: "Fraud warning",
    SignalKind.REFUND: "Refund",
    SignalKind.LINKED_CARD: "Card of a banned account",
    SignalKind.TEXT_RULE: "Text rule",
    SignalKind.LEAKED_KEY: "Leaked key",
    SignalKind.VERIFICATION: "Identity",
    SignalKind.MARKED_UPLOAD: "Upload made here",
}


@router.get("")
def queue(request: Request, caller: SignedInModerator, services: Parts) -> Response:
    """What is open, oldest first."""
    return _queue(request, caller, services)


def _queue(
    request: Request, caller: Caller, services: Services, *, wrong: uuid.UUID | None = None, error: str | None = None
) -> Response:
    with looking(services, caller) as (session, viewer):
        found = open_signals(session)
        rows = [card(session, signal) | {"error": error if signal.id == wrong else None} for signal in found]
        return page(request, "signals.html", viewer, 422 if error else 200, signals=rows)


def card(session: Session, signal: Signal) -> dict[str, Any]:
    """A signal as the pages show it, with its account."""
    account = session.scalars(select(Account).where(Account.id == signal.account_id)).one()
    return {
        "id": signal.id,
        "kind": KINDS[signal.kind],
        "summary": signal.summary,
        "facts": sorted((name.replace("_", " "), str(value)) for name, value in signal.facts.items()),
        "restricts": signal.restricted,
        "created_at": signal.created_at,
        "closed_at": signal.closed_at,
        "note": signal.note,
        "account_id": account.public_id,
        "account_email": account.email,
        "account_plan": account.plan,
        "account_standing": account.state.value,
    }


@router.post("/{signal_id}/close")
def close(
    request: Request,
    signal_id: uuid.UUID,
    caller: SignedInModerator,
    services: Parts,
    note: Annotated[str, Form(max_length=2_000)] = "",
) -> Response:
    """Close a signal with a note; the last one that restricts an account lets it clone again."""
    try:
        with acting(services, caller) as (session, viewer):
            signal = session.get(Signal, signal_id)
            if signal is None:
                raise NotFound("signal.not_found", "There is no such signal.")
            if signal.account_id == viewer.id:
                raise Invalid("signal.self", "Somebody else has to close this: it is about your own account.")
            said = one_line(note, 1_000)
            if not said:
                raise Invalid("signal.note", "Say in a sentence what you found: the note is kept.")
            settle_signal(session, signal, caller.actor, said)
    except Invalid as error:
        return _queue(request, caller, services, wrong=signal_id, error=error.message)
    return see("/console/signals")
