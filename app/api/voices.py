"""Routes of voices, shaped like those of the ElevenLabs API."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, Query, UploadFile
from sqlalchemy.orm import Session

from app.accounts.identity import Reader, VoiceKeeper, acting, looking
from app.accounts.models import Account
from app.api.documented import Parts, VoiceId, compatible_errors
from app.api.schemas_voices import Status, VoiceAdded, VoiceOut, VoicePage, Voices
from app.api.views_voices import voice_out
from app.core.errors import Invalid
from app.core.services import Services
from app.core.text import one_line
from app.core.uploads import Stored, storing
from app.voices import service as voices
from app.voices.entitlements import fit_voices
from app.voices.models import Voice
from app.voices.rules import DEFAULT_VOICE_LANGUAGE, VOICE_LANGUAGES

router = APIRouter(tags=["Voices"])

MAX_LABELS, MAX_LABEL = 20, 100

Name = Annotated[str, Form(description="What to call the voice, up to 80 characters.", examples=["Ada"])]
Description = Annotated[str | None, Form(description="Your words about it, up to 1,000 characters.")]
Labels = Annotated[
    str | None,
    Form(
        description="A JSON object of words. `language` (en-us or en-gb) sets the language of a new voice.",
        examples=['{"language": "en-gb"}'],
    ),
]
Ignored = Annotated[
    bool | None, Form(description="Accepted for compatibility, without effect: the checks say what is wrong instead.")
]
Recordings = list[UploadFile]


@router.get("/v1/voices", summary="List voices", responses=compatible_errors())
def list_voices(
    caller: Reader,
    services: Parts,
    show_legacy: Annotated[
        bool | None, Query(description="Accepted for compatibility; there are no such voices.")
    ] = None,
) -> Voices:
    """Every voice that the account can use: its own, newest first, then the stock voices."""
    del show_legacy
    with looking(services, caller) as (session, account):
        return Voices(voices=_shown(voices.voices_of(session, account, details=True), account, services))


@router.get("/v2/voices", summary="Search voices", responses=compatible_errors())
def search_voices(
    caller: Reader,
    services: Parts,
    page_size: Annotated[int, Query(ge=1, le=100, description="Most voices of one page.")] = 10,
    next_page_token: Annotated[
        str | None, Query(max_length=20, description="From the page before this one.", examples=["10"])
    ] = None,
    search: Annotated[str, Query(max_length=200, description="Words in name, description or labels.")] = "",
    sort: Annotated[Literal["created_at_unix", "name"], Query(description="What to sort by.")] = "created_at_unix",
    sort_direction: Annotated[
        Literal["asc", "desc"] | None, Query(description="Newest or A first if left out.")
    ] = None,
    voice_type: Annotated[
        Literal["personal", "community", "default", "workspace", "non-default", "non-community", "saved"] | None,
        Query(description="personal, workspace, non-default and saved: one's own; default: stock voices."),
    ] = None,
    category: Annotated[
        Literal["premade", "cloned", "generated", "professional"] | None,
        Query(description="premade: stock voices; cloned: one's own."),
    ] = None,
    voice_ids: Annotated[list[str] | None, Query(max_length=100, description="Only these.")] = None,
    include_total_count: Annotated[bool, Query(description="The count always comes.")] = True,
) -> VoicePage:
    """Voices page by page, by words in their names, descriptions and labels."""
    del include_total_count
    start = _page_start(next_page_token)
    with looking(services, caller) as (session, account):
        found = [
            voice
            for voice in voices.voices_of(session, account, details=True)
            if _is_of(voice, voice_type, category)
            and (voice_ids is None or voice.public_id in voice_ids)
            and _says(voice, search)
        ]
        if sort == "name":
            found.sort(key=lambda voice: voice.name.casefold(), reverse=sort_direction == "desc")
        else:
            found.sort(key=lambda voice: voice.created_at, reverse=sort_direction != "asc")
        more = len(found) > start + page_size
        return VoicePage(
            voices=_shown(found[start : start + page_size], account, services),
            has_more=more,
            total_count=len(found),
            next_page_token=str(start + page_size) if more else None,
        )


@router.get("/v1/voices/{voice_id}", summary="Get a voice", responses=compatible_errors(404))
def get_voice(voice_id: VoiceId, caller: Reader, services: Parts) -> VoiceOut:
    """One voice: how its sample was judged, how far the consent is, whether it can speak."""
    with looking(services, caller) as (session, account):
        return voice_out(voices.voice_of(session, account, voice_id, details=True), account, services.settings)


@router.post("/v1/voices/add", summary="Add a voice", responses=compatible_errors(413))
def add_voice(
    caller: VoiceKeeper,
    services: Parts,
    name: Name,
    files: Annotated[
        Recordings,
        File(description="The speaker alone, 30 s to 3 min of speech in all: wav, flac, mp3, m4a, ogg, webm."),
    ],
    description: Description = None,
    labels: Labels = None,
    remove_background_noise: Ignored = None,
) -> VoiceAdded:
    """Start a voice from recordings of its speaker.

    The recordings are checked in the background; `GET /v1/voices/{voice_id}` shows the result. The voice can speak
    once its speaker has read the sentence of the captcha routes. The same files under the same name within an hour
    give the same voice, so a request may be repeated.
    """
    del remove_background_noise
    wanted = _labels(labels) or {}
    _count_files(services, files)
    with looking(services, caller) as (session, account):  # before the disk is touched; counted again below
        voices.enforce(voices.clone_verdict(session, account, extra=0))
    with storing(services.storage, files) as stored:
        with acting(services, caller) as (session, account):
            voice = voices.start_voice(
                session,
                account,
                name=name,
                language=_language(wanted),
                uploads=stored.uploads,
                actor=caller.actor,
                description=description or "",
                labels=wanted,
            )
            is_new = voices.in_use(session, stored.uploads)
        if is_new:
            stored.keep()
        return VoiceAdded(voice_id=voice.public_id)


@router.post("/v1/voices/{voice_id}/edit", summary="Edit a voice", responses=compatible_errors(404, 413))
def edit_voice(
    voice_id: VoiceId,
    caller: VoiceKeeper,
    services: Parts,
    name: Name,
    files: Annotated[Recordings | None, File(description="A better sample, after the first was rejected.")] = None,
    description: Description = None,
    labels: Labels = None,
    remove_background_noise: Ignored = None,
) -> Status:
    """Rename a voice, describe it, or send better recordings after the first were rejected."""
    del remove_background_noise
    wanted = _labels(labels)
    _count_files(services, files or [])
    with looking(services, caller) as (session, account):
        voices.own_voice(session, account, voice_id)
    with storing(services.storage, files or []) as stored:
        with acting(services, caller) as (session, account):
            voice = voices.own_voice(session, account, voice_id, details=True)
            voices.rename(voice, name=name, description=description, labels=wanted)
            _replace_sample(session, voice, stored)
        stored.keep()
    return Status()


def _replace_sample(session: Session, voice: Voice, stored: Stored) -> None:
    if stored.uploads:
        voices.add_sample(session, voice, stored.uploads)


@router.delete("/v1/voices/{voice_id}", summary="Delete a voice", responses=compatible_errors(404))
def delete_voice(voice_id: VoiceId, caller: VoiceKeeper, services: Parts) -> Status:
    """Take a voice away for good, with the recordings that it was made from. Clips that it made can still be traced."""
    with acting(services, caller) as (session, account):
        voice = voices.own_voice(session, account, voice_id)
        voices.delete_voice(session, voice, caller.actor, "deleted by its owner")
        fit_voices(session, account, caller.actor)
    return Status()


def _shown(found: list[Voice], account: Account, services: Services) -> list[VoiceOut]:
    return [voice_out(voice, account, services.settings) for voice in found]


def _page_start(token: str | None) -> int:
    if token is None:
        return 0
    if not token.isascii() or not token.isdecimal():
        raise Invalid("next_page_token", "Send the next_page_token of the page before, as it came.")
    return int(token)


_OWN_TYPES = ("personal", "workspace", "non-default", "saved")


def _is_of(voice: Voice, voice_type: str | None, category: str | None) -> bool:
    own = voice.account_id is not None
    fits_type = voice_type in (None, "non-community") or (voice_type in _OWN_TYPES if own else voice_type == "default")
    return fits_type and (category is None or category == ("cloned" if own else "premade"))


def _says(voice: Voice, search: str) -> bool:
    said = " ".join((voice.name, voice.description, *(str(value) for value in voice.labels.values()))).casefold()
    return all(word in said for word in search.casefold().split())


def _count_files(services: Services, files: Recordings) -> None:
    most = services.settings.voices.max_files
    if len(files) > most:
        raise Invalid("voice.too_many_files", f"Send at most {most} files; you sent {len(files)}.")


def _language(labels: dict[str, str]) -> str:
    """What the label `language` says, if a voice can speak it."""
    wanted = labels.get("language", "").lower()
    return wanted if wanted in VOICE_LANGUAGES else DEFAULT_VOICE_LANGUAGE


def _labels(sent: str | None) -> dict[str, str] | None:
    """The labels of a form; None when there are none, which official clients send as the word null."""
    if sent is None or not sent.strip():
        return None
    try:
        read: Any = json.loads(sent)
    except (ValueError, RecursionError):
        read = sent
    if read is None:
        return None
    if not isinstance(read, dict) or not all(isinstance(value, str | int | float) for value in read.values()):
        raise Invalid("voice.labels", 'Labels are a JSON object of words, such as {"accent": "Scottish"}.')
    if len(read) > MAX_LABELS or any(len(key) > MAX_LABEL or len(str(read[key])) > MAX_LABEL for key in read):
        raise Invalid("voice.labels", f"A voice has at most {MAX_LABELS} labels of up to {MAX_LABEL} characters each.")
    return {one_line(key, MAX_LABEL): one_line(str(value), MAX_LABEL) for key, value in read.items()}
