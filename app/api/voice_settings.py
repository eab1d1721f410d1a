"""Settings of voices, as far as this server has them: the speed, which comes with each request and is not kept."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.accounts.identity import Reader, VoiceKeeper, looking
from app.api.documented import Parts, VoiceId, compatible_errors
from app.api.schemas_voices import Status, VoiceSettings
from app.core.errors import DomainError
from app.voices.service import own_voice, voice_of

router = APIRouter(tags=["Voices"])

_NO_EFFECT = "Accepted for compatibility, without effect."


class VoiceSettingsEdit(BaseModel):
    """Settings to keep with a voice."""

    speed: Annotated[float | None, Field(description="Only 1, the speaker's own pace, can be kept.")] = None
    stability: Annotated[float | None, Field(description=_NO_EFFECT)] = None
    similarity_boost: Annotated[float | None, Field(description=_NO_EFFECT)] = None
    style: Annotated[float | None, Field(description=_NO_EFFECT)] = None
    use_speaker_boost: Annotated[bool | None, Field(description=_NO_EFFECT)] = None


@router.get("/v1/voices/settings/default", summary="Get default settings", responses=compatible_errors())
def default_settings(caller: Reader) -> VoiceSettings:
    """How every voice speaks unless a request says otherwise."""
    del caller
    return VoiceSettings()


@router.get("/v1/voices/{voice_id}/settings", summary="Get a voice's settings", responses=compatible_errors(404))
def get_settings(voice_id: VoiceId, caller: Reader, services: Parts) -> VoiceSettings:
    """How a voice speaks unless a request says otherwise: like every other."""
    with looking(services, caller) as (session, account):
        voice_of(session, account, voice_id)
    return VoiceSettings()


@router.post(
    "/v1/voices/{voice_id}/settings/edit", summary="Edit a voice's settings", responses=compatible_errors(400, 404)
)
def edit_settings(voice_id: VoiceId, sent: VoiceSettingsEdit, caller: VoiceKeeper, services: Parts) -> Status:
    """Accepts settings that change nothing. A speed can't be kept with a voice: send it with each text."""
    with looking(services, caller) as (session, account):
        own_voice(session, account, voice_id)
    if sent.speed not in (None, 1.0):
        raise DomainError(
            "voice_settings.not_kept",
            "This server keeps no speed with a voice.",
            fix="Send voice_settings.speed with each text instead.",
        )
    return Status()
