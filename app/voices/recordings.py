"""Listening to what people uploaded: samples and readings of consent sentences. These are not clips and have no stamp.

Only the owner of the voice and moderators may listen, and what a moderator listens to is audited. Sent is the clean
copy that the workers made, never the bytes as they came: browsers should not be handed a stranger's file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from app.accounts.models import Account
from app.accounts.rules import Capability
from app.accounts.standing import capabilities_of
from app.core import audit
from app.core.audit import Actor
from app.core.errors import NotFound
from app.core.sending import send_object
from app.core.storage import Storage
from app.voices.consents import accepted_sample
from app.voices.models import Consent, Voice, VoiceState


@dataclass(frozen=True)
class Recording:
    """An upload that somebody may listen to."""

    storage_key: str
    file_name: str


def sample_recording(session: Session, listener: Account, voice_id: str) -> Recording:
    """The accepted sample of a voice, by the voice's public id. Needs a writing session. Raises NotFound."""
    voice = session.scalar(select(Voice).where(Voice.public_id == voice_id, Voice.state != VoiceState.DELETED))
    if voice is None or not _may_listen(listener, voice):
        raise NotFound("voice_not_found", "There is no such voice.")
    sample = accepted_sample(session, voice)
    if sample is None or sample.audio_key is None:
        raise NotFound("sample_not_ready", "This voice has no accepted sample yet.")
    _note(session, listener, voice, "sample.listened", sample)
    return Recording(sample.audio_key, f"sample-{voice.public_id}.flac")


def consent_recording(session: Session, listener: Account, consent_id: str) -> Recording:
    """The reading of a consent sentence, by the consent's public id. Needs a writing session. Raises NotFound."""
    consent = session.scalar(select(Consent).where(Consent.public_id == consent_id))
    voice = session.get(Voice, consent.voice_id) if consent is not None else None
    if consent is None or voice is None or not _may_listen(listener, voice):
        raise NotFound("consent_not_found", "There is no such consent.")
    if consent.audio_key is None:
        raise NotFound("recording_not_ready", "There is no recording of this consent that could be played.")
    _note(session, listener, voice, "consent.listened", consent)
    return Recording(consent.audio_key, f"consent-{consent.public_id}.flac")


def send_recording(request: Request, storage: Storage, recording: Recording) -> Response:
    """The answer that carries an upload. Call it from a thread. Raises NotFound."""
    # The key of an object names its content for good, so its digest is an entity tag.
    tag = hashlib.sha256(recording.storage_key.encode()).hexdigest()[:32]
    return send_object(
        request, storage, recording.storage_key, mime="audio/flac", file_name=recording.file_name, etag=tag
    )


def _may_listen(listener: Account, voice: Voice) -> bool:
    return voice.account_id == listener.id or Capability.MODERATE in capabilities_of(listener)


def _note(session: Session, listener: Account, voice: Voice, action: str, subject: object) -> None:
    if voice.account_id != listener.id:
        audit.record(session, Actor("account", str(listener.id)), action, subject)
