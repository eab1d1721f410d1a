"""Routes of consent: the captcha routes of the ElevenLabs API, and our own list and revocation."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, File, Query, UploadFile
from pydantic import BaseModel, Field

from app.accounts.identity import Reader, VoiceKeeper, acting, looking
from app.api.documented import ConsentId, Parts, VoiceId, compatible_errors
from app.api.schemas_voices import Captcha, ConsentOut, Consents, Status
from app.api.views_voices import captcha_out, consent_out
from app.core.db import now
from app.core.errors import NotFound
from app.core.uploads import storing
from app.voices import consents
from app.voices.models import Consent, Voice
from app.voices.service import own_voice

router = APIRouter(tags=["Consent"])


@router.get("/v1/voices/pvc/{voice_id}/captcha", summary="Get the sentence to read", responses=compatible_errors(404))
def get_captcha(
    voice_id: VoiceId,
    caller: VoiceKeeper,
    services: Parts,
    speaker_name: Annotated[
        str | None, Query(max_length=300, description="First and last name of the speaker; else the account's name.")
    ] = None,
    language: Annotated[str | None, Query(max_length=12, description="Language of the sentence.")] = None,
) -> Captcha:
    """A sentence that names the speaker and ends in random words. It is good for one reading, until `expires_at_unix`.

    Asking again gives the same sentence until it is used or has expired, or another name or language is asked for.
    """
    with acting(services, caller) as (session, account):
        voice = own_voice(session, account, voice_id)
        for pending in consents.pending_of(session, voice):
            if _still_good(pending, speaker_name, language):
                return captcha_out(pending)
        consent = consents.ask(
            session,
            voice,
            speaker_name=account.name if speaker_name is None else speaker_name,
            language=language or "en",
            settings=services.settings,
            actor=caller.actor,
        )
        return captcha_out(consent)


def _still_good(pending: Consent, speaker_name: str | None, language: str | None) -> bool:
    return (
        pending.expires_at > now()
        and speaker_name in (None, pending.speaker_name)
        and language in (None, pending.language)
    )


@router.post("/v1/voices/pvc/{voice_id}/captcha", summary="Send the reading", responses=compatible_errors(404, 413))
def verify_captcha(
    voice_id: VoiceId,
    caller: VoiceKeeper,
    services: Parts,
    recording: Annotated[UploadFile, File(description="The speaker reading the sentence aloud.")],
) -> Status:
    """Send the recording of the sentence. `GET /v1/voices/{voice_id}` shows the outcome in `voice_verification`."""
    with looking(services, caller) as (session, account):
        own_voice(session, account, voice_id)
    with storing(services.storage, [recording]) as stored:
        with acting(services, caller) as (session, account):
            consents.submit(session, own_voice(session, account, voice_id), stored.uploads[0], caller.actor)
        stored.keep()
    return Status()


@router.get("/v1/voices/{voice_id}/consents", summary="List a voice's consents", responses=compatible_errors(404))
def list_consents(voice_id: VoiceId, caller: Reader, services: Parts) -> Consents:
    """Every sentence that was issued for the voice, what was heard, and what followed."""
    with looking(services, caller) as (session, account):
        voice = own_voice(session, account, voice_id, details=True)
        return Consents(consents=[consent_out(consent) for consent in voice.consents])


class Revocation(BaseModel):
    """Why a consent is taken back."""

    reason: Annotated[str, Field(max_length=2000, description="Kept with the consent's history.")] = ""


@router.post(
    "/v1/voices/{voice_id}/consents/{consent_id}/revoke", summary="Revoke a consent", responses=compatible_errors(404)
)
def revoke_consent(
    voice_id: VoiceId,
    consent_id: ConsentId,
    caller: VoiceKeeper,
    services: Parts,
    sent: Annotated[Revocation | None, Body()] = None,
) -> ConsentOut:
    """Take a consent back. The voice stops at once, and what it was about to say is cancelled."""
    with acting(services, caller) as (session, account):
        voice = own_voice(session, account, voice_id, details=True)
        consent = _consent_of(voice, consent_id)
        consents.revoke(session, consent, caller.actor, (sent.reason if sent else "") or "revoked by the owner")
        return consent_out(consent)


def _consent_of(voice: Voice, consent_id: str) -> Consent:
    for consent in voice.consents:
        if consent.public_id == consent_id:
            return consent
    raise NotFound("consent_not_found", "This voice has no such consent.")
