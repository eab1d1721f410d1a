"""What the workers found, written down: checks of a sample, a consent compared, a voice made; and what follows.

A recording that carries our own mark is turned down, whoever had it made, and moderators hear of it: nobody's consent
comes out of a voice that was cloned here, and no voice is cloned from one.

Each is called inside the transaction that finishes the job.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.accounts.signals import SignalKind, raise_signal
from app.core.audit import Actor
from app.core.db import now
from app.core.states import lock, move
from app.jobs import service as jobs
from app.jobs.models import Job, JobKind
from app.voices import consents, entitlements
from app.voices.models import Consent, ConsentState, Sample, SampleState, Voice, VoiceState
from app.voices.rules import Reading, judge

INTAKE = Actor.system("intake")
CONSENT_CHECK = Actor.system("consent check")
CLONING = Actor.system("cloning")


@dataclass(frozen=True)
class Copied:
    """A recording is a copy of a clip that was made here. `generation_id` is None where several clips could be it: then
    none is named."""

    generation_id: uuid.UUID | None


@dataclass(frozen=True)
class SampleFindings:
    """What intake measured. `reasons` is empty when the sample is accepted."""

    checks: Sequence[dict[str, Any]]
    reasons: Sequence[dict[str, str]]
    measures: dict[str, Any]
    speech_seconds: float
    peaks: Sequence[float]
    audio_key: str | None
    made_here: Copied | None = None


def sample_checking(session: Session, sample: Sample) -> None:
    """Note that a worker has begun with the sample."""
    if sample.state is SampleState.RECEIVED:
        move(session, sample, SampleState.CHECKING, INTAKE)


def sample_judged(session: Session, sample: Sample, findings: SampleFindings) -> None:
    """Accept or reject a sample; a consent that was recorded meanwhile is checked now, or falls with the sample."""
    voice = session.get_one(Voice, sample.voice_id)
    lock(session, voice)
    sample.checks, sample.reasons = list(findings.checks), list(findings.reasons)
    sample.measures, sample.peaks = findings.measures, list(findings.peaks)
    sample.speech_seconds, sample.audio_key = findings.speech_seconds, findings.audio_key
    if findings.made_here is not None:
        _tell_moderators(session, voice, "sample", sample.id, findings.made_here)
    if findings.reasons:
        _reject(session, voice, sample)
        return
    move(session, sample, SampleState.ACCEPTED, INTAKE, facts=findings.measures)
    for consent in consents.waiting_for_sample(session, voice):
        consents.have_checked(session, voice, consent, sample)


def _reject(session: Session, voice: Voice, sample: Sample) -> None:
    move(session, sample, SampleState.REJECTED, INTAKE, facts={"codes": [r["code"] for r in sample.reasons]})
    for consent in consents.waiting_for_sample(session, voice):
        consent.reasons = [
            {"code": "consent.sample_rejected", "message": "The sample that it belongs to was rejected."}
        ]
        move(session, consent, ConsentState.FAILED, INTAKE, reason="sample rejected")


@dataclass(frozen=True)
class ConsentFindings:
    """What the consent check heard. `problem` says why the recording could not be used at all."""

    reading: Reading | None
    scores: dict[str, Any]
    peaks: Sequence[float]
    audio_key: str | None
    problem: dict[str, str] | None = None
    made_here: Copied | None = None


def consent_heard(session: Session, consent: Consent, findings: ConsentFindings, *, speech_queue: str) -> None:
    """Settle a consent from what was heard, and clone the voice when it is in force."""
    voice = session.get_one(Voice, consent.voice_id)
    lock(session, voice)
    if findings.made_here is not None:
        _tell_moderators(session, voice, "consent", consent.id, findings.made_here)
    consent.peaks, consent.audio_key = list(findings.peaks), findings.audio_key
    if findings.reading is None:
        consent.reasons = [
            findings.problem or {"code": "consent.unreadable", "message": "The recording can't be used."}
        ]
        move(session, consent, ConsentState.FAILED, CONSENT_CHECK, reason=consent.reasons[0]["message"])
        return
    judgement = judge(consent.statement, consent.challenge, findings.reading)
    consent.transcript = findings.reading.transcript
    consent.reasons = list(judgement.reasons)
    consent.scores = {
        **findings.scores,
        "similarity": round(findings.reading.similarity, 3),
        "speaker": findings.reading.speaker,
        "word_error_rate": judgement.word_error_rate,
        "challenge_found": judgement.challenge_found,
        "challenge_words": len(consent.challenge),
    }
    if judgement.state is ConsentState.VERIFIED:
        consents.put_in_force(session, consent, CONSENT_CHECK, speech_queue=speech_queue)
    else:
        move(session, consent, judgement.state, CONSENT_CHECK, facts=consent.scores)


def _tell_moderators(session: Session, voice: Voice, what: str, upload_id: uuid.UUID, copied: Copied) -> None:
    assert voice.account_id is not None, "stock voices have no recordings"
    summary = f"The {what} uploaded for a voice is a copy of a clip that was made here."
    facts = {"voice": voice.public_id}
    if copied.generation_id is not None:
        facts["generation"] = str(copied.generation_id)
    reference = f"{what}:{upload_id}"
    raise_signal(session, voice.account_id, SignalKind.MARKED_UPLOAD, reference, summary, actor=INTAKE, facts=facts)


def voice_made(session: Session, voice: Voice, *, engine: str, artefact_key: str) -> None:
    """The voice can speak from now on, unless the plan has no room for it any more."""
    voice.engine, voice.artefact_key, voice.ready_at, voice.problem = engine, artefact_key, now(), None
    move(session, voice, VoiceState.READY, CLONING, facts={"engine": engine})
    entitlements.switch_off_if_over(session, voice, CLONING)


@jobs.on_unfinished(JobKind.INTAKE)
def _intake_unfinished(session: Session, job: Job) -> None:
    sample = session.get_one(Sample, job.subject_id)
    voice = session.get_one(Voice, sample.voice_id)
    lock(session, voice)
    if sample.state not in (SampleState.RECEIVED, SampleState.CHECKING):
        return
    sample.reasons = [
        {"code": job.error_code or "intake.stopped", "message": job.error_message or "The check was stopped."}
    ]
    _reject(session, voice, sample)


@jobs.on_unfinished(JobKind.CONSENT)
def _consent_unfinished(session: Session, job: Job) -> None:
    consent = session.get_one(Consent, job.subject_id)
    if consent.state is ConsentState.CHECKING:
        message = job.error_message or "The check was stopped."
        consent.reasons = [
            {"code": job.error_code or "consent.stopped", "message": f"{message} Please read a new sentence."}
        ]
        move(session, consent, ConsentState.FAILED, CONSENT_CHECK, reason=message)


@jobs.on_unfinished(JobKind.CLONE)
def _clone_unfinished(session: Session, job: Job) -> None:
    voice = session.get_one(Voice, job.subject_id)
    if voice.state is not VoiceState.CLONING:
        return
    voice.problem = job.error_message or "Making the voice was stopped."
    voice.consent_in_force = None
    move(session, voice, VoiceState.FAILED, CLONING, reason=voice.problem)
