"""Routes for moderators: where a piece of audio comes from."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from app.accounts.identity import Caller, ModeratorKey, acting
from app.accounts.models import Account
from app.api.documented import Parts, TraceId, own_errors
from app.api.views_voices import unix
from app.api.waiting import finished, why_not_done
from app.core.services import Services
from app.core.uploads import storing
from app.jobs import service as jobs
from app.jobs.models import JobKind, JobState
from app.provenance import service as provenance
from app.provenance.models import TraceQuery, TraceState, Verdict

router = APIRouter(tags=["Trace"])

PATIENCE = timedelta(minutes=1)
"""How long the request that asks stays open; a short file takes a few seconds."""


class TracedGeneration(BaseModel):
    """The clip that the audio was made as."""

    id: str = Field(description="Its name in the ledger and in its credentials.")
    made_at_unix: int = Field(description="When it was made, seconds since 1970.")
    history_item_id: str = Field(description="Id of the clip in its account's history.")
    characters: int = Field(description="Length of its text.")


class TracedVoice(BaseModel):
    """The voice that speaks."""

    voice_id: str = Field(description="Id of the voice.")
    name: str = Field(description="What its owner calls it.")


class TracedAccount(BaseModel):
    """The account that had it made."""

    account_id: str = Field(description="Id of the account.")
    email: str = Field(description="Its address.")
    standing: str = Field(description="active, restricted, suspended or banned.")


class TracedPlace(BaseModel):
    """Where the file and the clip agree, in seconds, and how the copy was changed."""

    query_from: float = Field(description="Start in the file.")
    query_to: float = Field(description="End in the file.")
    original_from: float = Field(description="Start in the clip as it was made.")
    original_to: float = Field(description="End in it.")
    speed: float = Field(description="1.05: the copy plays five per cent faster.")
    pitch: float = Field(description="1.05: the copy sounds five per cent higher.")


class TraceAnswer(BaseModel):
    """What is known of the audio. Generation, voice and account are named only when the verdict is sure enough."""

    trace_id: str = Field(description="Id of this trace.")
    state: TraceState = Field(description="waiting, answered or failed.")
    verdict: Verdict | None = Field(None, description="Only confirmed and strong name anybody.")
    conclusion: str = Field(description="The verdict in a sentence.")
    generation: TracedGeneration | None = Field(None, description="The clip, if it may be named.")
    voice: TracedVoice | None = Field(None, description="Its voice, if it may be named.")
    account: TracedAccount | None = Field(None, description="Its account, if it may be named.")
    matched: TracedPlace | None = Field(None, description="Where the clip is in the file, if it is named and known.")
    false_match_rate: float | None = Field(
        None, description="Upper bound of the chance that audio of other origin gives such a match."
    )
    evidence: list[dict[str, Any]] = Field(description="Channel by channel: numbers, and a sentence.")
    file_name: str = Field(description="Name of the file that was sent.")
    file_sha256: str = Field(description="SHA-256 of it, hex.")
    seconds: float | None = Field(None, description="Its length.")
    reason: str = Field(description="Why it was traced.")
    asked_at_unix: int = Field(description="When it was sent, seconds since 1970.")
    answered_at_unix: int | None = Field(None, description="When the answer was found.")
    problem: str | None = Field(None, description="Why it could not be traced, if it failed.")


_CONCLUSIONS = {
    Verdict.CONFIRMED: "This audio was made here, as the generation named.",
    Verdict.STRONG: "This audio was very likely made here, as the generation named.",
    Verdict.LEAD: "No evidence that names anybody. Something points here: a longer or better copy may tell more.",
    Verdict.AMBIGUOUS: "No evidence that names anybody: what was found does not point to one generation.",
    Verdict.NO_EVIDENCE: "No evidence that this audio was made here. That says nothing of how it was made.",
}


@router.post(
    "/v1/trace",
    summary="Trace a file",
    response_model=TraceAnswer,
    responses={
        202: {"description": "It takes longer; ask again for the trace with this id.", "model": TraceAnswer},
        **own_errors(413, 503),
    },
)
async def trace_file(
    request: Request,
    caller: ModeratorKey,
    services: Parts,
    file: Annotated[UploadFile, File(description="The audio, up to 10 minutes.")],
    reason: Annotated[str, Form(max_length=2000, description="Why; kept with the result.", examples=["Report 118"])],
) -> Response | TraceAnswer:
    """Look for clips of this server in a file: credentials, marks, sound, words. Asking and naming are recorded."""
    trace_id, job_id = await run_in_threadpool(_ask, services, caller, file, reason)
    job = await finished(request, services.databases, job_id, PATIENCE)
    if job is not None and job.state is not JobState.DONE:
        raise why_not_done(job)
    answer = await run_in_threadpool(_answer, services, caller, trace_id)
    return answer if job is not None else JSONResponse(answer.model_dump(mode="json"), 202)


@router.get("/v1/trace/{trace_id}", summary="Get a trace", responses=own_errors(404))
def get_trace(trace_id: TraceId, caller: ModeratorKey, services: Parts) -> TraceAnswer:
    """The answer of a trace, as far as it is."""
    return _answer(services, caller, trace_id)


def _ask(services: Services, caller: Caller, file: UploadFile, reason: str) -> tuple[str, uuid.UUID]:
    with storing(services.storage, [file]) as stored:
        with acting(services, caller) as (session, _):
            query = provenance.ask_for_trace(session, stored.uploads[0], asked_by=caller.actor, reason=reason)
            job = jobs.latest(session, query.id, JobKind.TRACE)
            assert job is not None  # it was made with the query
        stored.keep()
    return query.public_id, job.id


def _answer(services: Services, caller: Caller, trace_id: str) -> TraceAnswer:
    """The answer as it is now; that it names somebody to this caller goes into the audit."""
    with acting(services, caller) as (session, _):
        query = provenance.read_trace(session, trace_id, caller.actor)
        names = _names(session, query)
    return TraceAnswer(
        trace_id=query.public_id,
        state=query.state,
        verdict=query.verdict,
        conclusion=_conclusion(query),
        **names,
        matched=TracedPlace.model_validate(query.matched) if query.matched else None,
        false_match_rate=query.false_match_rate,
        evidence=query.evidence,
        file_name=query.file_name,
        file_sha256=query.file_digest,
        seconds=query.seconds,
        reason=query.reason,
        asked_at_unix=unix(query.created_at),
        answered_at_unix=unix(query.answered_at) if query.answered_at else None,
        problem=query.problem,
    )


def _conclusion(query: TraceQuery) -> str:
    if query.verdict is not None:
        return _CONCLUSIONS[query.verdict]
    return "It could not be traced." if query.state is TraceState.FAILED else "The search is still under way."


def _names(session: Session, query: TraceQuery) -> dict[str, Any]:
    """Generation, voice and account, when the verdict may name them; else nothing."""
    generation = provenance.named_by(query)
    if generation is None:
        return {}
    clip, account = generation.clip, session.get_one(Account, generation.account_id)
    return {
        "generation": TracedGeneration(
            id=generation.public_ref,
            made_at_unix=unix(generation.created_at),
            history_item_id=clip.public_id,
            characters=generation.characters,
        ),
        "voice": TracedVoice(voice_id=clip.voice.public_id, name=clip.voice.name),
        "account": TracedAccount(account_id=account.public_id, email=account.email, standing=account.state.value),
    }
