"""The page on which a person proves who they are. The proof itself happens at the provider's."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from app.accounts.identity import Caller, SignedIn, looking
from app.accounts.models import Account
from app.accounts.rules import is_verified
from app.billing import verification
from app.billing.gateway import Gateway, GatewayDown, GatewayRefused, gateway_of
from app.billing.models import Verification, VerificationMethod, VerificationState
from app.core.db import now
from app.core.errors import DomainError, Invalid
from app.core.services import Services, services_of
from app.site.pages import in_words, page, see

router = APIRouter()
Parts = Annotated[Services, Depends(services_of)]
Provider = Annotated[Gateway | None, Depends(gateway_of)]
PATH = "/account/identity"


@router.get(PATH)
def show_identity(
    request: Request, caller: SignedIn, services: Parts, gateway: Provider, back: bool = False
) -> Response:
    """Where the proof stands. Back from the provider's page it asks the provider at once."""
    if back and gateway is not None:
        _read_now(services, gateway, caller)
    return _identity_page(request, caller, services)


def _read_now(services: Services, gateway: Gateway, caller: Caller) -> None:
    with services.databases.reading() as session:
        last = verification.latest_of(session, caller.account_id)
    if last is None or last.external_id is None or last.finished_at is not None:
        return
    try:
        verification.refresh(services.databases, gateway, services.settings, last.external_id)
    except (GatewayDown, GatewayRefused):
        return  # the provider's event will tell


@router.post(PATH)
def begin(request: Request, caller: SignedIn, services: Parts, gateway: Provider) -> Response:
    """Lead to the provider's check, a new one or the one that was not finished."""
    try:
        if gateway is None:
            raise Invalid(
                "verification.operator", f"The operator verifies people here. Ask {services.settings.contact}."
            )
        back = f"{services.settings.public_url}{PATH}?back=1"
        return see(verification.start(services.databases, gateway, services.settings, caller.account_id, back))
    except DomainError as error:
        return _identity_page(request, caller, services, error)


def _identity_page(request: Request, caller: Caller, services: Services, error: DomainError | None = None) -> Response:
    with looking(services, caller) as (session, account):
        last = verification.latest_of(session, account.id)
        state = _state(account, last)
        return page(
            request,
            "identity.html",
            account,
            error.status if error else 200,
            provider=services.settings.billing_provider,
            state=state,
            steps=_steps(state),
            error=in_words(error) if error else None,
        )


def _state(account: Account, last: Verification | None) -> dict[str, Any]:
    """What the page says: `at` is none, needs_input, processing, verified or lapsed."""
    good = is_verified(account.verified_at, account.recheck_by, now())
    open_one = last if last is not None and last.finished_at is None else None
    if open_one is not None and open_one.state is VerificationState.PROCESSING:
        at = "processing"
    elif open_one is not None and open_one.problem and not good:
        at = "needs_input"
    elif good:
        at = "verified"
    else:
        at = "lapsed" if account.verified_at is not None else "none"
    return {
        "at": at,
        "good": good,
        "since": account.verified_at,
        "recheck_by": account.recheck_by,
        "problem": verification.problem_words(open_one.problem) if open_one and open_one.problem else None,
        "by_operator": last is not None and last.method is VerificationMethod.OPERATOR,
    }


_LABELS = ("Start the check", "Show a document and your face", "The provider looks at it", "Verified")
_AT = {"none": 0, "lapsed": 0, "needs_input": 1, "processing": 2, "verified": 4}


def _steps(state: dict[str, Any]) -> list[dict[str, Any]]:
    at, failed = _AT[state["at"]], state["at"] == "needs_input"
    now_is = "failed" if failed else "now"
    return [
        {"label": label, "state": "done" if number < at else now_is if number == at else "waiting", "note": None}
        for number, label in enumerate(_LABELS)
    ]
