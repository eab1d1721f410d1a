"""Routes of the clips that were made, shaped like those of the ElevenLabs API."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from app.accounts.identity import Reader, looking
from app.api.documented import PUBLIC_ID, HistoryItemId, Parts, compatible_errors, ranged_answer
from app.api.schemas_speech import History, HistoryItem, RequestVoiceSettings
from app.api.views_voices import unix
from app.jobs.models import JobState
from app.provenance.delivery import deliver, stamp_of, stamps_of
from app.provenance.models import Stamp
from app.provenance.sending import send
from app.speech import service as speech
from app.speech.formats import FORMATS
from app.speech.models import Clip

router = APIRouter(tags=["History"])

_STATES: dict[JobState, Literal["processing", "created"]] = {
    JobState.QUEUED: "processing",
    JobState.RUNNING: "processing",
    JobState.DONE: "created",
}


@router.get("/v1/history", summary="List clips", responses=compatible_errors(404))
def list_history(
    caller: Reader,
    services: Parts,
    page_size: Annotated[int, Query(ge=1, le=1000, description="Most clips of one page.")] = 100,
    start_after_history_item_id: Annotated[
        str | None, Query(pattern=PUBLIC_ID, description="Go on after this clip: the last of the page before.")
    ] = None,
    voice_id: Annotated[str | None, Query(pattern=PUBLIC_ID, description="Only clips of this voice.")] = None,
) -> History:
    """The account's clips, newest first."""
    with looking(services, caller) as (session, account):
        before = start_after_history_item_id
        clips = speech.clips_of(
            session,
            account,
            limit=page_size + 1,
            before=speech.clip_of(session, account, before) if before else None,
            voice_id=voice_id,
        )
        page, stamps = clips[:page_size], stamps_of(session, clips)
        items = [_item(clip, stamps.get(clip.id), services.settings.speech.engine) for clip in page]
        return History(
            history=items,
            last_history_item_id=items[-1].history_item_id if items else None,
            has_more=len(clips) > page_size,
            scanned_until=items[-1].date_unix if items else None,
        )


@router.get("/v1/history/{history_item_id}", summary="Get a clip", responses=compatible_errors(404))
def get_history_item(history_item_id: HistoryItemId, caller: Reader, services: Parts) -> HistoryItem:
    """One clip: what it says, and whether there is audio of it."""
    with looking(services, caller) as (session, account):
        clip = speech.clip_of(session, account, history_item_id)
        return _item(clip, stamp_of(session, clip), services.settings.speech.engine)


@router.get(
    "/v1/history/{history_item_id}/audio",
    summary="Get a clip's audio",
    response_class=Response,
    responses={**ranged_answer("The clip."), **compatible_errors(404, 416)},
)
def get_history_audio(request: Request, history_item_id: HistoryItemId, caller: Reader, services: Parts) -> Response:
    """The stamped audio of a clip, whole or (with a `Range` header) a part of it."""
    with looking(services, caller) as (session, account):
        clip = speech.clip_of(session, account, history_item_id)
        delivery = deliver(stamp_of(session, clip), account, clip)
    return send(request, services.storage, delivery)


def _item(clip: Clip, stamp: Stamp | None, model_id: str) -> HistoryItem:
    state = _STATES.get(clip.job.state, "failed")
    return HistoryItem(
        history_item_id=clip.public_id,
        request_id=clip.public_id,
        voice_id=clip.voice.public_id,
        voice_name=clip.voice.name,
        voice_category="premade" if clip.voice.account_id is None else "cloned",
        model_id=stamp.generation.engine.partition("/")[0] if stamp else model_id,
        text=clip.text,
        date_unix=unix(clip.created_at),
        character_count_change_to=len(clip.text) if state == "created" else 0,
        content_type=FORMATS[clip.output_format].mime,
        output_format=clip.output_format,
        state=state,
        settings=RequestVoiceSettings(speed=clip.speed),
        problem=clip.job.error_message if state == "failed" else None,
        generation=stamp.generation.public_ref if stamp else None,
        sha256=stamp.sha256 if stamp else None,
    )
