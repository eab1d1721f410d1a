"""Consents that the machine could not settle."""

from __future__ import annotations

import difflib
import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.accounts.identity import SignedInModerator, acting, looking
from app.accounts.models import Account
from app.core.errors import Forbidden, Invalid
from app.core.services import Services, services_of
from app.site.pages import page, see
from app.site.views import consent_scores
from app.voices import consents
from app.voices.models import Consent, Voice
from app.voices.recordings import consent_recording, sample_recording, send_recording
from app.voices.rules import words_of

router = APIRouter(prefix="/consents")
Parts = Annotated[Services, Depends(services_of)]


@router.get("")
def queue(request: Request, caller: SignedInModerator, services: Parts) -> Response:
    """The queue, oldest first."""
    with looking(services, caller) as (session, account):
        waiting = consents.in_review(session)
        emails = _emails(session, waiting)
        return page(
            request, "consents.html", account, consents=[_row(consent, emails[consent.id]) for consent in waiting]
        )


def _emails(session: Session, waiting: list[Consent]) -> dict[uuid.UUID, str]:
    query = (
        select(Consent.id, Account.email)
        .join(Voice, Voice.id == Consent.voice_id)
        .join(Account, Account.id == Voice.account_id)
        .where(Consent.id.in_([consent.id for consent in waiting]))
    )
    return {row[0]: row[1] for row in session.execute(query)}


def _row(consent: Consent, email: str) -> dict[str, Any]:
    scores = consent_scores(consent)
    return {
        "id": consent.public_id,
        "voice_name": consent.voice.name,
        "account_email": email,
        "speaker_name": consent.speaker_name,
        "waiting_since": consent.recorded_at,
        "word_match": scores["word_match"],
        "speaker_match": scores["speaker_match"],
        "reason": " ".join(reason["message"] for reason in consent.reasons),
    }


@router.get("/{consent_id}")
def show(request: Request, consent_id: str, caller: SignedInModerator, services: Parts) -> Response:
    """One consent with everything needed to settle it."""
    with looking(services, caller) as (session, account):
        return _consent_page(request, session, account, consent_id)


def _consent_page(
    request: Request,
    session: Session,
    account: Account,
    consent_id: str,
    *,
    typed: str = "",
    errors: dict[str, str] | None = None,
) -> Response:
    consent = consents.consent_for_moderator(session, consent_id)
    sample = consents.accepted_sample(session, consent.voice)
    base = f"/console/consents/{consent.public_id}"
    return page(
        request,
        "consent.html",
        account,
        422 if errors else 200,
        consent=_facts(session, consent),
        sample={
            "audio_url": f"{base}/sample",
            "peaks": sample.peaks if sample else [],
            "seconds": (sample.speech_seconds if sample else None) or 0.0,
        },
        recording={
            "audio_url": f"{base}/recording",
            "peaks": consent.peaks,
            "seconds": consent.scores.get("speech_seconds", 0.0),
        },
        errors=errors or {},
        reason=typed,
    )


def _facts(session: Session, consent: Consent) -> dict[str, Any]:
    attempts = select(func.count(Consent.recorded_at)).where(Consent.voice_id == consent.voice_id)
    decided_by = session.get(Account, consent.decided_by) if consent.decided_by else None
    decision = None
    if decided_by is not None:
        decision = {
            "by": decided_by.email,
            "at": consent.decided_at,
            "approved": consent.state.value != "refused",
            "reason": consent.decision_reason,
        }
    return {
        "id": consent.public_id,
        "voice_name": consent.voice.name,
        "account_email": _emails(session, [consent])[consent.id],
        "speaker_name": consent.speaker_name,
        "asked_at": consent.created_at,
        "state": consent.state.value,
        "attempts": session.scalar(attempts) or 0,
        "diff": _diff(consent.statement, consent.transcript or ""),
        **consent_scores(consent),
        "reasons": [reason["message"] for reason in consent.reasons],
        "decision": decision,
    }


def _diff(sentence: str, heard: str) -> list[dict[str, str]]:
    """The sentence against what was heard: runs of words that are the same, missing, or extra, in order."""
    expected, found = words_of(sentence), words_of(heard)
    runs = []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, expected, found, autojunk=False).get_opcodes():
        if tag == "equal":
            runs.append({"words": " ".join(expected[a:b]), "kind": "same"})
            continue
        if a < b:
            runs.append({"words": " ".join(expected[a:b]), "kind": "missing"})
        if c < d:
            runs.append({"words": " ".join(found[c:d]), "kind": "extra"})
    return runs


@router.get("/{consent_id}/sample")
def sample_audio(request: Request, consent_id: str, caller: SignedInModerator, services: Parts) -> Response:
    """The sample that the recording is compared with. Listening is audited."""
    with acting(services, caller) as (session, account):
        consent = consents.consent_for_moderator(session, consent_id)
        recording = sample_recording(session, account, consent.voice.public_id)
    return send_recording(request, services.storage, recording)


@router.get("/{consent_id}/recording")
def consent_audio(request: Request, consent_id: str, caller: SignedInModerator, services: Parts) -> Response:
    """The recording of the sentence. Listening is audited."""
    with acting(services, caller) as (session, account):
        recording = consent_recording(session, account, consent_id)
    return send_recording(request, services.storage, recording)


@router.post("/{consent_id}")
def decide(
    request: Request,
    consent_id: str,
    caller: SignedInModerator,
    services: Parts,
    decision: Annotated[str, Form(max_length=20)] = "",
    reason: Annotated[str, Form(max_length=5000)] = "",
) -> Response:
    """Approve or refuse."""
    try:
        if decision not in ("approve", "refuse"):
            raise Invalid("consent.decision", "Choose whether to approve or to refuse.")
        with acting(services, caller) as (session, account):
            consents.decide(
                session,
                consents.consent_for_moderator(session, consent_id),
                account,
                approve=decision == "approve",
                reason=reason,
                speech_queue=services.settings.jobs.speech_queue,
            )
    except (Invalid, Forbidden) as error:
        field = "reason" if error.code == "consent.reason" else "decision"
        with looking(services, caller) as (session, account):
            return _consent_page(request, session, account, consent_id, typed=reason, errors={field: error.message})
    return see("/console/consents")
