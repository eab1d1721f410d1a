"""Pages of clips: speak, one clip, history."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import Response
from sqlalchemy.orm import Session

from app.accounts.identity import SignedIn, acting, looking
from app.accounts.models import Account
from app.billing.ledger import balance_of
from app.billing.plans import plan_of
from app.core.errors import DomainError, Invalid, NotFound, Refused
from app.core.services import Services, services_of
from app.provenance.delivery import deliver, stamp_of
from app.provenance.sending import send
from app.site.pages import page, refusal_of, see
from app.site.views import clip_card, clip_views
from app.speech import service as speech
from app.speech.formats import DEFAULT_FORMAT, FORMATS, ON_PAGES
from app.voices.models import VoiceState
from app.voices.service import voices_of

router = APIRouter()
Parts = Annotated[Services, Depends(services_of)]
PAGE_SIZE = 20
LATEST = 8


@router.get("/speak")
def speak_form(request: Request, caller: SignedIn, services: Parts, voice_id: str | None = None) -> Response:
    """The form, with the latest clips."""
    with looking(services, caller) as (session, account):
        return _speak_page(request, session, account, services, {"voice_id": voice_id})


def _speak_page(
    request: Request,
    session: Session,
    account: Account,
    services: Services,
    typed: dict[str, Any],
    error: DomainError | None = None,
) -> Response:
    ready = [voice for voice in voices_of(session, account) if voice.state is VoiceState.READY]
    left, plan = balance_of(session, account).spendable, plan_of(account)
    refused = isinstance(error, Refused)
    return page(
        request,
        "speak.html",
        account,
        error.status if error else 200,
        voices=[{"id": voice.public_id, "name": voice.name} for voice in ready],
        voice_id=typed.get("voice_id") or (ready[0].public_id if ready else None),
        text=typed.get("text", ""),
        output_format=typed.get("output_format", DEFAULT_FORMAT),
        speed=typed.get("speed", 1.0),
        formats=[{"code": code, "label": FORMATS[code].label} for code in ON_PAGES if plan.has_format(code)],
        max_characters=services.settings.speech.max_characters,
        characters_left=left,
        errors={_field(error): error.message} if error and not refused else {},
        refusal=refusal_of(error, "This can’t be spoken", typed.get("voice_id")) if error and refused else None,
        clips=[clip_card(c, s) for c, s in clip_views(session, speech.clips_of(session, account, limit=LATEST))],
    )


def _field(error: DomainError) -> str:
    return {"output_format": "output_format", "speed": "speed", "voice_not_found": "voice_id"}.get(error.code, "text")


@router.post("/speak")
def speak(
    request: Request,
    caller: SignedIn,
    services: Parts,
    text: Annotated[str, Form()] = "",
    voice_id: Annotated[str, Form(max_length=40)] = "",
    output_format: Annotated[str, Form(max_length=24)] = DEFAULT_FORMAT,
    speed: Annotated[float, Form()] = 1.0,
) -> Response:
    """Have the text spoken, and show the clip's page."""
    text = text.replace("\r\n", "\n")  # forms send line ends of two characters; the counter on the page counts one
    try:
        with acting(services, caller) as (session, account):
            clip = speech.ask_for_speech(
                session,
                account,
                voice_id=voice_id,
                text=text,
                output_format=output_format,
                speed=speed,
                settings=services.settings,
            )
    except (Invalid, Refused, NotFound) as error:
        typed = {"text": text, "voice_id": voice_id, "output_format": output_format, "speed": speed}
        with looking(services, caller) as (session, account):
            return _speak_page(request, session, account, services, typed, error)
    return see(f"/clips/{clip.public_id}")


@router.get("/clips/{clip_id}")
def show_clip(request: Request, clip_id: str, caller: SignedIn, services: Parts) -> Response:
    """One clip: its progress, then its player."""
    return _clip_page(request, clip_id, caller, services, "clip.html")


@router.get("/clips/{clip_id}/progress")
def clip_progress(request: Request, clip_id: str, caller: SignedIn, services: Parts) -> Response:
    """The changing part of that page."""
    return _clip_page(request, clip_id, caller, services, "partials/clip.html")


def _clip_page(request: Request, clip_id: str, caller: SignedIn, services: Services, template: str) -> Response:
    with looking(services, caller) as (session, account):
        clip = speech.clip_of(session, account, clip_id)
        card = clip_card(clip, stamp_of(session, clip))
        return page(request, template, account, clip=card, live=clip.job.is_open)


@router.get("/clips/{clip_id}/audio")
def clip_audio(request: Request, clip_id: str, caller: SignedIn, services: Parts, download: bool = False) -> Response:
    """The stamped audio."""
    with looking(services, caller) as (session, account):
        clip = speech.clip_of(session, account, clip_id)
        delivery = deliver(stamp_of(session, clip), account, clip)
    return send(request, services.storage, delivery, download=download)


@router.post("/clips/{clip_id}/cancel")
def cancel_clip(clip_id: str, caller: SignedIn, services: Parts) -> Response:
    """Stop a clip that is not finished."""
    with acting(services, caller) as (session, account):
        speech.cancel_clip(session, speech.clip_of(session, account, clip_id), caller.actor)
    return see(f"/clips/{clip_id}")


@router.get("/history")
def history(
    request: Request, caller: SignedIn, services: Parts, number: Annotated[int, Query(alias="page")] = 1
) -> Response:
    """Every clip of the account, newest first."""
    with looking(services, caller) as (session, account):
        total = speech.count_clips(session, account)
        pages = max(1, -(-total // PAGE_SIZE))
        shown = min(max(number, 1), pages)
        clips = speech.clips_of(session, account, limit=PAGE_SIZE, skip=(shown - 1) * PAGE_SIZE)
        cards = [clip_card(clip, stamp) for clip, stamp in clip_views(session, clips)]
        return page(request, "history.html", account, clips=cards, page=shown, pages=pages, total=total)
