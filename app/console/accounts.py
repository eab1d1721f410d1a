"""One account as a moderator sees it; what the operator decides about its plan and identity. Reading it is audited."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.accounts import second_factor, sessions
from app.accounts.addresses import spelling
from app.accounts.identity import Caller, SignedInModerator, acting, looking
from app.accounts.models import Account
from app.accounts.rules import Capability, is_verified
from app.accounts.signals import Signal
from app.accounts.standing import capabilities_of, require
from app.billing import cards, queries, subscriptions, verification
from app.billing.ledger import balance_of
from app.billing.plans import PLANS, plan_of
from app.console.signals import card as signal_card
from app.core import audit
from app.core.db import now
from app.core.errors import DomainError, Invalid, NotFound
from app.core.services import Services, services_of
from app.core.text import one_line
from app.site.pages import page, see
from app.speech.service import count_clips
from app.voices.service import count_voices

router = APIRouter(prefix="/accounts")
Parts = Annotated[Services, Depends(services_of)]
Reason = Annotated[str, Form(max_length=2_000)]
LATEST_SIGNALS = 20


@router.get("")
def search(request: Request, caller: SignedInModerator, services: Parts, q: str = "") -> Response:
    """Find an account by its whole address or id. There is no list: nobody leafs through people."""
    wanted = q.strip()[:300]
    with looking(services, caller) as (session, viewer):
        found = _find(session, wanted) if wanted else None
        if found is not None:
            return see(f"/console/accounts/{found.public_id}")
        return page(request, "accounts.html", viewer, 404 if wanted else 200, wanted=wanted)


def _find(session: Session, wanted: str) -> Account | None:
    return session.scalar(select(Account).where(or_(Account.email == spelling(wanted), Account.public_id == wanted)))


@router.get("/{public_id}")
def show(request: Request, public_id: str, caller: SignedInModerator, services: Parts) -> Response:
    """The account. That it was looked at, and by whom, is kept."""
    with acting(services, caller) as (session, _):
        audit.record(session, caller.actor, "account.looked_at", _account(session, public_id))
    return _page(request, public_id, caller, services)


def _page(
    request: Request, public_id: str, caller: Caller, services: Services, error: DomainError | None = None
) -> Response:
    with looking(services, caller) as (session, viewer):
        account = _account(session, public_id)
        return page(
            request,
            "account_of.html",
            viewer,
            error.status if error else 200,
            account=_facts(session, services, account),
            signals=_signals(session, account),
            linked=_linked(session, account),
            plans=[{"id": plan.id, "name": plan.name} for plan in PLANS.values()],
            may_operate=Capability.OPERATE in capabilities_of(viewer) and account.erased_at is None,
            error=error.message if error else None,
        )


def _account(session: Session, public_id: str) -> Account:
    account = session.scalar(select(Account).where(Account.public_id == public_id))
    if account is None:
        raise NotFound("account.not_found", "There is no such account.")
    return account


def _facts(session: Session, services: Services, account: Account) -> dict[str, Any]:
    balance = balance_of(session, account)
    proof = verification.latest_of(session, account.id)
    subscription = queries.subscription_of(session, account.id)
    return {
        "id": account.public_id,
        "name": account.name,
        "email": account.email,
        "role": account.role.value,
        "standing": account.state.value,
        "until": account.suspended_until,
        "created_at": account.created_at,
        "closing_at": account.closing_at,
        "erased_at": account.erased_at,
        "plan": plan_of(account).name,
        "plan_id": account.plan,
        "subscription": subscription.status.value if subscription else None,
        "used": balance.used,
        "granted": balance.granted,
        "verified": is_verified(account.verified_at, account.recheck_by, now()),
        "verified_at": account.verified_at,
        "recheck_by": account.recheck_by,
        "proof": proof.method.value if proof else None,
        "proof_reason": proof.reason if proof else None,
        "voices": count_voices(session, account),
        "clips": count_clips(session, account),
        "sessions": len(sessions.sessions_of(session, account.id, services.settings.web.session_idle)),
        "has_factor": second_factor.has(session, account.id),
    }


def _signals(session: Session, account: Account) -> list[dict[str, Any]]:
    query = select(Signal).where(Signal.account_id == account.id).order_by(Signal.id.desc()).limit(LATEST_SIGNALS)
    return [signal_card(session, signal) for signal in session.scalars(query)]


def _linked(session: Session, account: Account) -> list[dict[str, Any]]:
    """Other accounts that have paid with one of this account's cards."""
    return [
        {"id": other.public_id, "email": other.email, "standing": other.state.value}
        for other in cards.accounts_with_cards_of(session, account)
    ]


@router.post("/{public_id}/verify")
def vouch(
    request: Request, public_id: str, caller: SignedInModerator, services: Parts, reason: Reason = ""
) -> Response:
    """The operator has checked who the person is."""
    return _decide(
        request, public_id, caller, services, lambda s, a: verification.vouch_for(s, a, reason, caller.actor)
    )


@router.post("/{public_id}/unverify")
def unverify(
    request: Request, public_id: str, caller: SignedInModerator, services: Parts, reason: Reason = ""
) -> Response:
    """The account no longer counts as verified."""

    def decision(session: Session, account: Account) -> None:
        verification.withdraw(session, account, reason, caller.actor)

    return _decide(request, public_id, caller, services, decision)


@router.post("/{public_id}/plan")
def set_plan(
    request: Request,
    public_id: str,
    caller: SignedInModerator,
    services: Parts,
    plan: Annotated[str, Form(max_length=24)] = "",
    reason: Reason = "",
) -> Response:
    """Put the account on a plan by hand."""

    def change(session: Session, account: Account) -> None:
        said = one_line(reason, 500)
        if not said:
            raise Invalid("reason.missing", "Please say why: the record needs a reason.")
        subscriptions.set_plan(session, account, plan, caller.actor, said)

    return _decide(request, public_id, caller, services, change)


def _decide(
    request: Request, public_id: str, caller: Caller, services: Services, decision: Callable[[Session, Account], object]
) -> Response:
    """Carry out what only an operator may, never about themselves."""
    try:
        with acting(services, caller) as (session, viewer):
            require(viewer, Capability.OPERATE)
            account = _account(session, public_id)
            if account.id == viewer.id:
                raise Invalid("operator.self", "Somebody else has to decide this about your own account.")
            if account.erased_at is not None:
                raise Invalid("account.erased", "This account has been erased: there is nothing left to decide.")
            decision(session, account)
    except Invalid as error:
        return _page(request, public_id, caller, services, error)
    return see(f"/console/accounts/{public_id}")
