"""Evidence bundles of a trace: asking for one, and fetching it. Both are audited, both need a recent confirmation."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response
from sqlalchemy.orm import Session

from app.accounts.identity import Confirmed, SignedInModerator, acting
from app.core.sending import send_object
from app.core.services import Services, services_of
from app.provenance.evidence import service
from app.provenance.models import TraceQuery
from app.provenance.service import NAMING, trace_of
from app.site.pages import see

router = APIRouter(prefix="/trace")
Parts = Annotated[Services, Depends(services_of)]


@router.post("/{trace_id}/evidence")
def ask_for_bundle(
    trace_id: str,
    caller: SignedInModerator,
    services: Parts,
    _confirmed: Confirmed,
    reason: Annotated[str, Form(max_length=5000)] = "",
) -> Response:
    """Have a bundle made; the page of the trace shows what becomes of it."""
    with acting(services, caller) as (session, _):
        service.ask(session, trace_of(session, trace_id), caller.actor, reason)
    return see(f"/console/trace/{trace_id}#evidence")


@router.get("/{trace_id}/evidence/{bundle_id}")
def fetch_bundle(
    request: Request,
    trace_id: str,
    bundle_id: str,
    caller: SignedInModerator,
    services: Parts,
    _confirmed: Confirmed,
) -> Response:
    """The zip. Each fetch is audited."""
    with acting(services, caller) as (session, _):
        bundle = service.fetchable(session, trace_of(session, trace_id), bundle_id, caller.actor)
        key, digest = bundle.storage_key, bundle.sha256
    assert key is not None, "the schema says so of ready ones"
    return send_object(
        request,
        services.storage,
        key,
        mime="application/zip",
        file_name=f"evidence-{bundle_id}.zip",
        etag=digest or bundle_id,
        download=True,
        headers={"Cache-Control": "no-store"},
    )


def card(session: Session, query: TraceQuery) -> dict[str, Any] | None:
    """What `partials/evidence.html` shows of a trace; None for one that names no clip."""
    if query.verdict not in NAMING or query.generation_id is None:
        return None
    bundles = service.bundles_of(session, query)
    return {
        "action": f"/console/trace/{query.public_id}/evidence",
        "waiting": any(bundle.state == "waiting" for bundle in bundles),
        "bundles": [
            {
                "url": f"/console/trace/{query.public_id}/evidence/{bundle.public_id}"
                if bundle.state == "ready"
                else None,
                "state": bundle.state.value,
                "asked_at": bundle.created_at,
                "reason": bundle.reason,
                "sha256": bundle.sha256,
                "problem": bundle.problem,
            }
            for bundle in bundles
        ],
    }
