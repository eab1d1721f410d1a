"""Routes for anybody: was this made here? No key, no account, and an answer that names nobody."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from app.api.documented import PUBLIC_ID, Parts, open_errors
from app.api.waiting import finished
from app.core.services import Services
from app.jobs import service as jobs
from app.jobs.models import JobKind
from app.provenance.detection import service
from app.provenance.detection.asking import ask_by_form, take_pace
from app.provenance.detection.models import Answer, Detection
from app.provenance.detection.words import MEANINGS, problem_of, state_of

router = APIRouter(tags=["Detection"])

PATIENCE = timedelta(seconds=20)
"""How long the request that asks stays open; a short file takes a few seconds."""
DetectionId = Annotated[str, Path(description="Id of a detection.", pattern=PUBLIC_ID)]


class DetectionAnswer(BaseModel):
    """Whether a file was made here, as far as that can be told. It never says whose it is, nor that a person spoke."""

    detection_id: str = Field(description="Id of this detection. Whoever has it can read the answer.")
    state: Literal["waiting", "answered", "failed"] = Field(description="Whether there is an answer yet.")
    answer: Answer | None = Field(None, description="made_here, not_found or cant_tell.")
    meaning: str | None = Field(None, description="What the answer says, and what it does not say.")
    file_sha256: str = Field(description="SHA-256 of the file that was sent, hex.")
    receipt: dict[str, Any] | None = Field(
        None,
        description="Signed proof of the answer, with the error rates it rests on. Keep it; `vouch verify-receipt` and "
        "the page /verify-receipt check it.",
    )
    problem: str | None = Field(None, description="Why the file could not be searched, and what to do, if it failed.")


_FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {
            "type": "string",
            "contentMediaType": "application/octet-stream",
            "description": "The recording: WAV, FLAC, MP3, M4A, AAC, OGG, Opus or WebM, up to 5 minutes and 20 MB "
            "(servers may take less).",
        }
    },
}
_BODY = {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}


@router.post(
    "/v1/detect",
    summary="Was this made here?",
    response_model=DetectionAnswer,
    responses={
        202: {"description": "It takes longer; ask again for the detection with this id.", "model": DetectionAnswer},
        **open_errors(404, 413, 429, 503),
    },
    openapi_extra={"requestBody": _BODY},
)
async def detect_file(request: Request, services: Parts) -> Response:
    """Ask whether a recording was made by this server. Free; needs no key and no account.

    The file is deleted as soon as there is an answer. The same file gets the same answer for 30 days. Each network has
    a daily number of files, and 404 with the code `detection.off` says that this server answers no such questions.
    “not_found” never means that a person spoke: a copy can be too short or too damaged, or be made elsewhere.
    """
    asked = await ask_by_form(request, services)
    if asked.detection.answered_at is None:
        job = await run_in_threadpool(_job_of, services, asked.detection)
        await finished(request, services.databases, job, PATIENCE)
    answer = await run_in_threadpool(_look, services, asked.detection.public_id)
    return JSONResponse(answer.model_dump(mode="json"), 202 if answer.state == "waiting" else 200)


@router.get("/v1/detect/{detection_id}", summary="Get a detection", responses=open_errors(404, 429))
def get_detection(request: Request, detection_id: DetectionId, services: Parts) -> DetectionAnswer:
    """The answer about a file that was sent, as far as it is."""
    take_pace(request, "look")
    return _look(services, detection_id)


def _job_of(services: Services, detection: Detection) -> Any:
    with services.databases.reading() as session:
        job = jobs.latest(session, detection.trace_query_id, JobKind.TRACE)
        assert job is not None  # it was made with the detection
        return job.id


def _look(services: Services, detection_id: str) -> DetectionAnswer:
    with services.databases.reading() as session:
        found = service.detection_of(session, detection_id)
    return DetectionAnswer(
        detection_id=found.public_id,
        state=state_of(found),
        answer=found.answer,
        meaning=MEANINGS[found.answer] if found.answer else None,
        file_sha256=found.file_digest,
        receipt=json.loads(found.receipt) if found.receipt else None,
        problem=problem_of(found),
    )
