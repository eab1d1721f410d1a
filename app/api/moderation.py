"""Routes for moderators: consents that the machine could not settle."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from app.accounts.identity import ModeratorKey, acting, looking
from app.accounts.models import Account
from app.api.documented import ConsentId, Parts, own_errors, ranged_answer
from app.api.schemas_voices import ConsentOut
from app.api.views_voices import consent_fields
from app.voices import consents
from app.voices.models import Consent, ConsentState, Voice
from app.voices.recordings import consent_recording, sample_recording, send_recording

router = APIRouter(tags=["Moderation"])

_FLAC = {"audio/flac"}


class ReviewVoice(BaseModel):
    """The voice that a consent is for."""

    voice_id: str = Field(description="Id of the voice.")
    name: str = Field(description="What its owner calls it.")
    state: str = Field(description="draft, cloning, ready, failed, disabled or deleted.")
    account_id: str = Field(description="Id of the account that it belongs to.")


class ConsentReview(ConsentOut):
    """A consent as a moderator sees it."""

    voice: ReviewVoice = Field(description="The voice that it is for.")
    challenge: list[str] = Field(description="The random words that the sentence ends in.")
    recording_url: str | None = Field(None, description="The reading, to listen to. Listening is recorded.")
    sample_url: str | None = Field(None, description="The voice's sample, to compare with. Listening is recorded.")


class ConsentQueue(BaseModel):
    """Consents that wait."""

    consents: list[ConsentReview] = Field(description="Oldest first.")


class Decision(BaseModel):
    """What a moderator decides about a consent."""

    decision: Literal["approve", "refuse"] = Field(description="approve puts the consent in force and makes the voice.")
    reason: str = Field(max_length=2000, description="Why; the customer reads it.", examples=["Same voice, one slip."])


@router.get("/v1/moderation/consents", summary="List consents to decide", responses=own_errors())
def list_consents_in_review(
    caller: ModeratorKey,
    services: Parts,
    state: Annotated[Literal["in_review"], Query(description="The state to list.")] = "in_review",
) -> ConsentQueue:
    """Consents that the machine could not settle, oldest first."""
    del state
    with looking(services, caller) as (session, _):
        return ConsentQueue(consents=[_review(session, consent) for consent in consents.in_review(session)])


@router.get("/v1/moderation/consents/{consent_id}", summary="Get a consent", responses=own_errors(404))
def get_consent_in_review(consent_id: ConsentId, caller: ModeratorKey, services: Parts) -> ConsentReview:
    """One consent, in whatever state."""
    with looking(services, caller) as (session, _):
        return _review(session, consents.consent_for_moderator(session, consent_id))


@router.post("/v1/moderation/consents/{consent_id}/decision", summary="Decide a consent", responses=own_errors(404))
def decide_consent(consent_id: ConsentId, sent: Decision, caller: ModeratorKey, services: Parts) -> ConsentReview:
    """Approve or refuse a consent that is in review. Nobody decides about a voice of the own account."""
    with acting(services, caller) as (session, account):
        consent = consents.consent_for_moderator(session, consent_id)
        consents.decide(
            session,
            consent,
            account,
            approve=sent.decision == "approve",
            reason=sent.reason,
            speech_queue=services.settings.jobs.speech_queue,
        )
        return _review(session, consent)


@router.get(
    "/v1/moderation/consents/{consent_id}/recording",
    summary="Listen to a reading",
    response_class=Response,
    responses={**ranged_answer("The reading, as it was sent in.", _FLAC), **own_errors(404, 416)},
)
def get_consent_recording(request: Request, consent_id: ConsentId, caller: ModeratorKey, services: Parts) -> Response:
    """The recording of the sentence. Who listens is recorded."""
    with acting(services, caller) as (session, account):
        recording = consent_recording(session, account, consent_id)
    return send_recording(request, services.storage, recording)


@router.get(
    "/v1/moderation/consents/{consent_id}/sample",
    summary="Listen to the sample",
    response_class=Response,
    responses={**ranged_answer("The sample of the voice, as it was uploaded.", _FLAC), **own_errors(404, 416)},
)
def get_consent_sample(request: Request, consent_id: ConsentId, caller: ModeratorKey, services: Parts) -> Response:
    """The sample of the voice that the consent is for. Who listens is recorded."""
    with acting(services, caller) as (session, account):
        consent = consents.consent_for_moderator(session, consent_id)
        recording = sample_recording(session, account, consent.voice.public_id)
    return send_recording(request, services.storage, recording)


def _review(session: Session, consent: Consent) -> ConsentReview:
    here = f"/v1/moderation/consents/{consent.public_id}"
    fields: dict[str, Any] = consent_fields(consent)
    compared = consent.state is not ConsentState.PENDING
    return ConsentReview(
        **fields,
        voice=_voice(session, consent.voice),
        challenge=consent.challenge,
        recording_url=f"{here}/recording" if consent.audio_key else None,
        sample_url=f"{here}/sample" if compared else None,
    )


def _voice(session: Session, voice: Voice) -> ReviewVoice:
    owner = session.get_one(Account, voice.account_id)
    return ReviewVoice(voice_id=voice.public_id, name=voice.name, state=voice.state.value, account_id=owner.public_id)
