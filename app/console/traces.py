"""Tracing a file back to its generation and account."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from fastapi.responses import Response
from sqlalchemy.orm import Session

from app.accounts.identity import SignedInModerator, acting, looking
from app.accounts.models import Account
from app.console import evidence
from app.core import audit
from app.core.errors import Invalid, NotFound
from app.core.services import Services, services_of
from app.core.uploads import storing
from app.jobs.models import JobKind
from app.jobs.service import latest
from app.provenance.delivery import stamp_of
from app.provenance.findings import LABELS
from app.provenance.models import TraceQuery, TraceState
from app.provenance.service import ask_for_trace, named_by, read_trace, recent_traces, trace_of
from app.site.pages import page, see
from app.site.views import stamp_badge
from app.speech.models import Generation
from app.voices.recordings import Recording, send_recording

LEAST_CHANGE = 0.005
"""Smaller changes of speed or pitch are within what the search can tell."""

PLACE = {"query_from", "query_to", "original_from", "original_to"}

router = APIRouter(prefix="/trace")
Parts = Annotated[Services, Depends(services_of)]


@router.get("")
def trace_form(request: Request, caller: SignedInModerator, services: Parts) -> Response:
    """The form and the latest traces."""
    with looking(services, caller) as (session, account):
        return _form_page(request, session, account)


def _form_page(
    request: Request,
    session: Session,
    account: Account,
    *,
    reason: str = "",
    errors: dict[str, str] | None = None,
) -> Response:
    traces = [_row(session, query) for query in recent_traces(session)]
    status = 422 if errors else 200
    return page(request, "trace.html", account, status, errors=errors or {}, reason=reason, traces=traces)


def _row(session: Session, query: TraceQuery) -> dict[str, Any]:
    return {
        "id": query.public_id,
        "file_name": query.file_name,
        "asked_at": query.created_at,
        "asked_by": _who(session, query.asked_by),
        "state": _STATES[query.state],
        "verdict": query.verdict.value if query.verdict else None,
        "peaks": query.peaks or None,
    }


_STATES = {TraceState.WAITING: "running", TraceState.ANSWERED: "done", TraceState.FAILED: "failed"}


def _who(session: Session, asked_by: str) -> str:
    """The e-mail address behind an account id; other askers go by their name."""
    try:
        account = session.get(Account, uuid.UUID(asked_by))
    except ValueError:
        return asked_by
    return account.email if account else asked_by


@router.post("")
def ask(
    request: Request,
    caller: SignedInModerator,
    services: Parts,
    file: Annotated[UploadFile | None, File()] = None,
    reason: Annotated[str, Form(max_length=5000)] = "",
) -> Response:
    """Have a file traced, and show the result's page."""
    try:
        if file is None or not file.filename:
            raise Invalid("upload.missing", "Choose the file to trace.")
        with storing(services.storage, [file]) as stored:
            with acting(services, caller) as (session, _):
                query = ask_for_trace(session, stored.uploads[0], asked_by=caller.actor, reason=reason)
            stored.keep()
    except Invalid as error:
        field = "reason" if error.code == "trace.reason" else "file"
        with looking(services, caller) as (session, account):
            return _form_page(request, session, account, reason=reason, errors={field: error.message})
    return see(f"/console/trace/{query.public_id}")


@router.get("/{trace_id}")
def show(request: Request, trace_id: str, caller: SignedInModerator, services: Parts) -> Response:
    """One trace: its progress, then its verdict. That it names somebody to this moderator is audited."""
    return _result_page(request, trace_id, caller, services, "trace_result.html")


@router.get("/{trace_id}/progress")
def progress(request: Request, trace_id: str, caller: SignedInModerator, services: Parts) -> Response:
    """The changing part of that page."""
    return _result_page(request, trace_id, caller, services, "trace_progress.html")


@router.get("/{trace_id}/audio")
def audio(request: Request, trace_id: str, caller: SignedInModerator, services: Parts) -> Response:
    """What was traced, as the worker decoded it. Listening is audited."""
    with acting(services, caller) as (session, _):
        query = trace_of(session, trace_id)
        if query.audio_key is None:
            raise NotFound("trace_audio", "There is nothing to listen to.")
        audit.record(session, caller.actor, "trace_query.listened", query)
    recording = Recording(query.audio_key, f"trace-{query.public_id}.flac")
    return send_recording(request, services.storage, recording)


def _result_page(
    request: Request, trace_id: str, caller: SignedInModerator, services: Services, template: str
) -> Response:
    with acting(services, caller) as (session, account):
        query = read_trace(session, trace_id, caller.actor)
        live = query.state is TraceState.WAITING
        card = evidence.card(session, query)
        return page(request, template, account, trace=_result(session, query), live=live, evidence=card)


def _result(session: Session, query: TraceQuery) -> dict[str, Any]:
    job = latest(session, query.id, JobKind.TRACE)
    waiting = query.state is TraceState.WAITING and job is not None
    return {
        **_row(session, query),
        "reason": query.reason,
        "note": f"{job.step.capitalize()}." if waiting and job else None,
        "error": query.problem,
        "audio_url": f"/console/trace/{query.public_id}/audio" if query.audio_key else None,
        "seconds": query.seconds,
        "why": [_evidence(each) for each in query.evidence],
        "found": _found(session, generation) if (generation := named_by(query)) else None,
        "aligned": _aligned(session, query, generation) if generation else None,
        "false_match_rate": query.false_match_rate,
    }


def _evidence(each: dict[str, Any]) -> dict[str, Any]:
    """One channel of evidence, with a bar where it has a share to show."""
    shown = {"label": LABELS[each["channel"]], "sentence": each["sentence"], "value": None, "need": None, "of": 1.0}
    if "errors" in each:
        return shown | {
            "label": "Bits of the mark that agree, of 128",
            "value": float(128 - each["errors"]),
            "of": 128.0,
        }
    if "agreement" in each:
        return shown | {"label": "Agreement of the fingerprints, of 100", "value": 100 * each["agreement"], "of": 100.0}
    if "share" in each:
        return shown | {"label": "Words in order, of 100", "value": 100 * each["share"], "of": 100.0}
    return shown


def _aligned(session: Session, query: TraceQuery, generation: Generation) -> dict[str, Any] | None:
    """Both pictures of sound and the part of each in which they agree, where it is known."""
    stamp, place = stamp_of(session, generation.clip), query.matched
    if stamp is None or not query.seconds or not place.keys() >= PLACE:
        return None
    return {**place, "seconds": stamp.seconds, "peaks": stamp.peaks, "changed": _changed(place)}


def _changed(place: dict[str, Any]) -> str:
    """How the copy differs in speed and pitch, in words; nothing where it does not."""
    changes = []
    for name, more, less in (("speed", "faster", "slower"), ("pitch", "higher", "lower")):
        factor = float(place.get(name) or 1.0)
        if abs(factor - 1) >= LEAST_CHANGE:
            changes.append(f"{abs(factor - 1):.1%} {more if factor > 1 else less}")
    return f"The copy is {' and '.join(changes)}." if changes else ""


def _found(session: Session, generation: Generation) -> dict[str, Any]:
    clip = generation.clip
    account = session.get_one(Account, generation.account_id)
    stamp = stamp_of(session, clip)
    return {
        "generation_id": str(generation.id),
        "made_at": generation.created_at,
        "text": clip.text,
        "voice_name": clip.voice.name,
        "voice_id": clip.voice.public_id,
        "account_id": account.public_id,
        "account_email": account.email,
        # The page of the voice is its owner's alone.
        "stamp": {**stamp_badge(clip.voice, stamp), "voice_url": None} if stamp else None,
    }
