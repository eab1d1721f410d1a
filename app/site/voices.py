"""Pages of voices: home, a new voice, one voice with its sample and consent."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from fastapi.responses import Response
from sqlalchemy.orm import Session

from app.accounts.identity import SignedIn, acting, caller_by_cookie, looking
from app.accounts.models import Account
from app.core.errors import DomainError, Invalid, NotFound, Refused, Unauthenticated
from app.core.services import Services, services_of
from app.core.uploads import storing
from app.settings import Settings
from app.site.first_clip import way_of
from app.site.pages import page, refusal_of, see
from app.site.views import clip_card, clip_views, voice_card, voice_view
from app.speech.service import clips_of
from app.voices import consents
from app.voices import service as voices
from app.voices.entitlements import fit_voices
from app.voices.models import ConsentState, Voice, VoiceState
from app.voices.recordings import consent_recording, sample_recording, send_recording
from app.voices.rules import DEFAULT_VOICE_LANGUAGE, VOICE_LANGUAGES

router = APIRouter()
Parts = Annotated[Services, Depends(services_of)]
Files = Annotated[list[UploadFile] | None, File()]


@router.get("/")
def home(request: Request, services: Parts) -> Response:
    """The landing page, or the voices and latest clips of whoever is signed in."""
    try:
        caller = caller_by_cookie(request, services)
    except Unauthenticated:
        return page(request, "landing.html", None)
    with looking(services, caller) as (session, account):
        own = voices.voices_of(session, account, stock=False, details=True)
        way = way_of(session, account, own)
        ready = [v for v in voices.voices_of(session, account) if v.state is VoiceState.READY]
        return page(
            request,
            "home.html",
            account,
            way=way,
            voices=[voice_card(session, voice) for voice in own],
            ready=[{"id": v.public_id, "name": v.name} for v in ready],
            clips=[clip_card(clip, stamp) for clip, stamp in clip_views(session, clips_of(session, account, limit=5))],
            max_characters=services.settings.speech.max_characters,
        )


@router.get("/voices/new")
def new_voice_form(request: Request, caller: SignedIn, services: Parts) -> Response:
    """The form, or at once the refusal of the gate."""
    with looking(services, caller) as (session, account):
        refusal = None
        try:
            voices.enforce(voices.clone_verdict(session, account))
        except Refused as error:
            refusal = refusal_of(error, "You can’t make a new voice yet")
        return _new_voice_page(request, account, services.settings, refusal=refusal)


def _new_voice_page(
    request: Request,
    account: Account,
    settings: Settings,
    *,
    name: str = "",
    language: str = DEFAULT_VOICE_LANGUAGE,
    errors: dict[str, str] | None = None,
    refusal: dict[str, object] | None = None,
) -> Response:
    limits = settings.voices
    return page(
        request,
        "voice_new.html",
        account,
        422 if errors else 403 if refusal else 200,
        name=name,
        language=language,
        languages=[{"code": code, "label": label} for code, label in VOICE_LANGUAGES.items()],
        errors=errors or {},
        refusal=refusal,
        min_seconds=int(limits.min_speech.total_seconds()),
        max_seconds=int(limits.max_speech.total_seconds()),
        max_files=limits.max_files,
        max_bytes=settings.web.max_upload_bytes,
    )


_FIELDS = {"voice.name": "name", "voice.language": "language"}


@router.post("/voices")
def make_voice(
    request: Request,
    caller: SignedIn,
    services: Parts,
    files: Files = None,
    name: Annotated[str, Form(max_length=500)] = "",
    language: Annotated[str, Form(max_length=12)] = DEFAULT_VOICE_LANGUAGE,
) -> Response:
    """Store the files, start the voice, and show its page."""
    try:
        _check_language(language)
        chosen = _chosen(services, files)
        with looking(services, caller) as (session, account):  # before the disk is touched; counted again below
            voices.enforce(voices.clone_verdict(session, account, extra=0))
        with storing(services.storage, chosen) as stored:
            with acting(services, caller) as (session, account):
                voice = voices.start_voice(
                    session, account, name=name, language=language, uploads=stored.uploads, actor=caller.actor
                )
                is_new = voices.in_use(session, stored.uploads)
            if is_new:
                stored.keep()
    except (Invalid, Refused) as error:
        with looking(services, caller) as (_, account):
            refused = isinstance(error, Refused)
            return _new_voice_page(
                request,
                account,
                services.settings,
                name=name[:80],
                language=language,
                errors=None if refused else {_FIELDS.get(error.code, "files"): error.message},
                refusal=refusal_of(error, "You can’t make this voice") if refused else None,
            )
    return see(f"/voices/{voice.public_id}")


def _check_language(language: str) -> None:
    if language not in VOICE_LANGUAGES:
        raise Invalid("voice.language", "Choose one of the languages of the list.")


def _chosen(services: Services, files: list[UploadFile] | None) -> list[UploadFile]:
    """The files of a form; a browser sends one without a name when nothing was chosen."""
    chosen = [file for file in files or [] if file.filename]
    if not chosen:
        raise Invalid("voice.no_files", "Choose a recording, or record one here.")
    if len(chosen) > services.settings.voices.max_files:
        raise Invalid("voice.too_many_files", f"Choose at most {services.settings.voices.max_files} files.")
    return chosen


@router.get("/voices/{voice_id}")
def show_voice(request: Request, voice_id: str, caller: SignedIn, services: Parts) -> Response:
    """One voice, with everything that is known of it."""
    with looking(services, caller) as (session, account):
        voice = voices.own_voice(session, account, voice_id, details=True)
        return _voice_page(request, session, account, services.settings, voice)


@router.get("/voices/{voice_id}/progress")
def voice_progress(request: Request, voice_id: str, caller: SignedIn, services: Parts) -> Response:
    """The changing part of that page."""
    with looking(services, caller) as (session, account):
        voice = voices.own_voice(session, account, voice_id, details=True)
        return _voice_page(request, session, account, services.settings, voice, template="partials/voice.html")


def _voice_page(
    request: Request,
    session: Session,
    account: Account,
    settings: Settings,
    voice: Voice,
    *,
    template: str = "voice.html",
    errors: dict[str, str] | None = None,
    refusal: dict[str, object] | None = None,
) -> Response:
    view = voice_view(session, voice, account, settings)
    status = 422 if errors else 403 if refusal else 200
    return page(
        request, template, account, status, **{**view, "errors": errors or {}, "refusal": refusal or view["refusal"]}
    )


def _again(
    request: Request, services: Services, caller: SignedIn, voice_id: str, error: DomainError, field: str
) -> Response:
    """The voice's page with what was wrong with a form."""
    with looking(services, caller) as (session, account):
        voice = voices.own_voice(session, account, voice_id, details=True)
        if isinstance(error, Refused):
            card = refusal_of(error, "This was refused")
            return _voice_page(request, session, account, services.settings, voice, refusal=card)
        return _voice_page(request, session, account, services.settings, voice, errors={field: error.message})


@router.get("/voices/{voice_id}/sample/audio")
def sample_audio(request: Request, voice_id: str, caller: SignedIn, services: Parts) -> Response:
    """The sample, to listen to."""
    with acting(services, caller) as (session, account):
        recording = sample_recording(session, account, voice_id)
    return send_recording(request, services.storage, recording)


@router.get("/voices/{voice_id}/consent/audio")
def consent_audio(request: Request, voice_id: str, caller: SignedIn, services: Parts) -> Response:
    """The latest reading of a sentence, to listen to."""
    with acting(services, caller) as (session, account):
        voice = voices.own_voice(session, account, voice_id, details=True)
        if not voice.consents:
            raise NotFound("consent_not_found", "There is no consent yet.")
        recording = consent_recording(session, account, voice.consents[-1].public_id)
    return send_recording(request, services.storage, recording)


@router.post("/voices/{voice_id}/sample")
def replace_sample(request: Request, voice_id: str, caller: SignedIn, services: Parts, files: Files = None) -> Response:
    """Another sample, after one was rejected."""
    try:
        with looking(services, caller) as (session, account):  # before the disk is touched
            voices.own_voice(session, account, voice_id)
        with storing(services.storage, _chosen(services, files)) as stored:
            with acting(services, caller) as (session, account):
                voices.add_sample(session, voices.own_voice(session, account, voice_id), stored.uploads)
            stored.keep()
    except (Invalid, Refused) as error:
        return _again(request, services, caller, voice_id, error, "files")
    return see(f"/voices/{voice_id}")


@router.post("/voices/{voice_id}/consent/start")
def start_consent(
    request: Request,
    voice_id: str,
    caller: SignedIn,
    services: Parts,
    speaker_name: Annotated[str, Form(max_length=300)] = "",
    language: Annotated[str, Form(max_length=12)] = "en",
) -> Response:
    """A new sentence to read."""
    try:
        with acting(services, caller) as (session, account):
            voice = voices.own_voice(session, account, voice_id)
            consents.ask(
                session,
                voice,
                speaker_name=speaker_name,
                language=language,
                settings=services.settings,
                actor=caller.actor,
            )
    except (Invalid, Refused) as error:
        field = "language" if error.code == "consent.language" else "speaker_name"
        return _again(request, services, caller, voice_id, error, field)
    return see(f"/voices/{voice_id}")


@router.post("/voices/{voice_id}/consent")
def submit_consent(
    request: Request,
    voice_id: str,
    caller: SignedIn,
    services: Parts,
    recording: Annotated[UploadFile | None, File()] = None,
) -> Response:
    """The recording of the sentence."""
    try:
        if recording is None or not recording.filename:
            raise Invalid("consent.no_recording", "Record the sentence or choose a recording of it.")
        with looking(services, caller) as (session, account):  # before the disk is touched
            voices.own_voice(session, account, voice_id)
        with storing(services.storage, [recording]) as stored:
            with acting(services, caller) as (session, account):
                voice = voices.own_voice(session, account, voice_id)
                consents.submit(session, voice, stored.uploads[0], caller.actor)
            stored.keep()
    except Invalid as error:
        return _again(request, services, caller, voice_id, error, "recording")
    return see(f"/voices/{voice_id}")


Confirmation = Annotated[str, Form(max_length=10)]


def _insist(confirm: str) -> None:
    """What can't be taken back needs its box ticked, also without JavaScript."""
    if confirm != "yes":
        raise Invalid("form.not_confirmed", "Tick the box to confirm. Nothing was changed.")


@router.post("/voices/{voice_id}/consent/revoke")
def revoke_consent(voice_id: str, caller: SignedIn, services: Parts, confirm: Confirmation = "") -> Response:
    """The speaker takes the consent back."""
    _insist(confirm)
    with acting(services, caller) as (session, account):
        voice = voices.own_voice(session, account, voice_id, details=True)
        in_force = [consent for consent in voice.consents if consent.state is ConsentState.VERIFIED]
        if not in_force:
            raise NotFound("consent.none_in_force", "There is no consent in force to withdraw.")
        consents.revoke(session, in_force[-1], caller.actor, "withdrawn on the voice's page")
    return see(f"/voices/{voice_id}")


@router.post("/voices/{voice_id}/delete")
def delete_voice(voice_id: str, caller: SignedIn, services: Parts, confirm: Confirmation = "") -> Response:
    """The voice goes, with the recordings of its sample."""
    _insist(confirm)
    with acting(services, caller) as (session, account):
        voice = voices.own_voice(session, account, voice_id)
        voices.delete_voice(session, voice, caller.actor, "deleted by its owner")
        fit_voices(session, account, caller.actor)
    return see("/")
