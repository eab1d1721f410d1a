"""Text to speech, shaped like the route of the ElevenLabs API: the answer is the stamped audio itself."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from app.accounts.identity import Caller, Speaker, acting, looking
from app.api.documented import Parts, VoiceId, audio_answer, compatible_errors
from app.api.schemas_speech import RequestVoiceSettings, SpeechRequest
from app.api.waiting import finished, why_not_done
from app.core.errors import DomainError, NotFound, StillWorking
from app.core.rendering import error_response
from app.core.services import Services
from app.jobs.models import JobState
from app.provenance.delivery import deliver, stamp_of
from app.provenance.sending import send
from app.speech import service as speech
from app.speech.formats import DEFAULT_FORMAT, FORMATS

router = APIRouter(tags=["Text to speech"])

_HEADERS = {
    "history-item-id": "Id of the clip in the history.",
    "character-cost": "What the clip cost, in characters.",
    "x-vouch-generation": "The name of the clip in the ledger and in its credentials.",
    "request-id": "Names this request in the server's logs.",
}


@dataclass(frozen=True)
class Asked:
    """A clip that was asked for."""

    clip_id: str
    job_id: uuid.UUID


@router.post(
    "/v1/text-to-speech/{voice_id}",
    summary="Speak a text",
    response_class=Response,
    responses={**audio_answer("The clip.", _HEADERS), **compatible_errors(400, 404, 503, 504)},
)
async def convert(
    request: Request,
    voice_id: VoiceId,
    sent: SpeechRequest,
    caller: Speaker,
    services: Parts,
    output_format: Annotated[
        str, Query(description="codec_samplerate[_bitrate].", json_schema_extra={"enum": list(FORMATS)})
    ] = DEFAULT_FORMAT,
    enable_logging: Annotated[
        bool, Query(description="Only true: every clip must stay traceable, so its record is always kept.")
    ] = True,
    optimize_streaming_latency: Annotated[
        int | None, Query(description="Accepted for compatibility, without effect.")
    ] = None,
) -> Response:
    """Speak a text and answer with the audio, marked and, where the format can, signed.

    The request stays open while the clip is made. If the client goes away, the clip is cancelled and costs nothing. If
    it takes too long, the answer is 504, the clip is still made, and `history-item-id` says where it will be.
    """
    del optimize_streaming_latency
    if not enable_logging:
        raise DomainError(
            "enable_logging",
            "Logging can't be turned off: every clip must stay traceable to the account that made it.",
            fix="Leave enable_logging out.",
        )
    asked = await run_in_threadpool(_ask, services, caller, voice_id, sent, output_format)
    try:
        job = await finished(request, services.databases, asked.job_id, services.settings.web.wait_for_speech)
    except ClientDisconnect:
        await run_in_threadpool(_cancel, services, caller, asked)
        raise
    if job is None:
        return _still_working(request, asked)
    if job.state is not JobState.DONE:
        raise why_not_done(job)
    return await run_in_threadpool(_audio, request, services, caller, asked)


def _ask(services: Services, caller: Caller, voice_id: str, sent: SpeechRequest, output_format: str) -> Asked:
    speed = (sent.voice_settings or RequestVoiceSettings()).speed
    with acting(services, caller) as (session, account):
        clip = speech.asked_before(
            session,
            account,
            voice_id=voice_id,
            text=speech.clean_text(sent.text, services.settings.speech.max_characters),
            output_format=output_format,
            speed=speed,
            seed=sent.seed,
            language=sent.language_code,
            waited=services.settings.web.wait_for_speech,
        ) or speech.ask_for_speech(
            session,
            account,
            voice_id=voice_id,
            text=sent.text,
            output_format=output_format,
            settings=services.settings,
            speed=speed,
            seed=sent.seed,
            language=sent.language_code,
            api_key_id=caller.key_id,
        )
        return Asked(clip.public_id, clip.job_id)


def _cancel(services: Services, caller: Caller, asked: Asked) -> None:
    with acting(services, caller) as (session, account):
        speech.cancel_clip(session, speech.clip_of(session, account, asked.clip_id), caller.actor)


def _still_working(request: Request, asked: Asked) -> Response:
    error = StillWorking(
        "still_working",
        f"The clip {asked.clip_id} is still being made.",
        fix=f"Fetch it in a while: GET /v1/history/{asked.clip_id}/audio",
    )
    response = error_response(request, error)
    response.headers["history-item-id"] = asked.clip_id
    return response


def _audio(request: Request, services: Services, caller: Caller, asked: Asked) -> Response:
    with looking(services, caller) as (session, account):
        clip = speech.clip_of(session, account, asked.clip_id)
        stamp = stamp_of(session, clip)
        if stamp is None:
            raise NotFound("audio_not_ready", "This clip has no audio.")
        headers = {
            "history-item-id": clip.public_id,
            "character-cost": str(len(clip.text)),
            "x-vouch-generation": stamp.generation.public_ref,
        }
        delivery = deliver(stamp, account, clip)
    return send(request, services.storage, delivery, headers=headers)
