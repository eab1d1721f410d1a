"""From rows to what the templates show. Each function's result is described at the top of its template."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.accounts.models import Account
from app.core.db import now
from app.jobs import service as jobs
from app.jobs.models import Job, JobKind, JobState
from app.provenance.delivery import stamps_of
from app.provenance.models import Stamp
from app.settings import Settings
from app.site.leads import lead_of
from app.speech.formats import FORMATS
from app.speech.models import Clip
from app.voices.consents import waits_for_consent
from app.voices.models import Consent, ConsentState, DisabledFor, Sample, SampleState, Voice, VoiceState
from app.voices.rules import ACCEPT_WORD_ERRORS, LANGUAGES

Card = dict[str, Any]
ENGINE_NOTE = (
    "Voice matching finds and shapes a voice that sounds alike. It comes close in pitch and colour; "
    "it is not a copy of every trait."
)
STEPS = ("Received", "Checking", "Consent", "Voice matching", "Ready")
CLIP_STEPS = ("Received", "Speaking", "Marking", "Ready")


def clip_views(session: Session, clips: list[Clip]) -> list[tuple[Clip, Stamp | None]]:
    """Clips with their stamps, in one query."""
    stamps = stamps_of(session, clips)
    return [(clip, stamps.get(clip.id)) for clip in clips]


def clip_card(clip: Clip, stamp: Stamp | None) -> Card:
    """A clip (loaded with voice and job) for partials/clip.html."""
    job = clip.job
    refused = job.state is JobState.REFUSED
    return {
        "id": clip.public_id,
        "voice_id": clip.voice.public_id,
        "voice_name": clip.voice.name,
        "text": clip.text,
        "state": job.state.value,
        "progress": job.progress,
        "note": f"{job.step.capitalize()}." if job.is_open else None,
        "created_at": clip.created_at,
        "seconds": stamp.seconds if stamp else None,
        "characters": len(clip.text),
        "format": FORMATS[clip.output_format].label,
        "size": stamp.size if stamp else None,
        "peaks": stamp.peaks if stamp else None,
        "stamp": stamp_badge(clip.voice, stamp) if stamp else None,
        "refusal": _job_refusal(job, clip.voice.public_id) if refused else None,
        "error": job.error_message if job.state is JobState.FAILED else None,
        "steps": _steps(CLIP_STEPS, *_clip_at(job)),
    }


def _clip_at(job: Job) -> tuple[int, bool]:
    if job.state is JobState.DONE:
        return len(CLIP_STEPS), False
    step = 0 if job.state is JobState.QUEUED else 2 if job.step.startswith("marking") else 1
    return step, job.state in (JobState.FAILED, JobState.REFUSED, JobState.CANCELLED)


def _job_refusal(job: Job, voice_id: str | None) -> Card:
    return {
        "what": "This was refused",
        "why": job.error_message or "The rules do not allow it.",
        "rule": job.error_code or "refused",
        "fix": [],
        "lead": lead_of(job.error_code or "", voice_id),
    }


def stamp_badge(voice: Voice, stamp: Stamp) -> Card:
    """What is known of a finished clip in `voice`, for the stamp macro."""
    generation = stamp.generation
    has_page = voice.account_id is not None and voice.state is not VoiceState.DELETED
    mark = f"An inaudible mark, found again in the finished file (strength {stamp.mark_strength_db:.1f} dB)."
    if not stamp.traceable:
        mark += " The clip is too short for the mark alone to name it in a damaged copy."
    return {
        "id": generation.public_ref,
        "made_at": generation.created_at,
        "voice": voice.name,
        "voice_url": f"/voices/{voice.public_id}" if has_page else None,
        "consent": "In force when it was made." if generation.consent_id else None,
        "mark": mark,
        "credentials": "Signed content credentials (C2PA) in the file." if stamp.credentials else None,
        "sha256": stamp.sha256,
    }


def _steps(labels: Iterable[str], at: int, failed: bool) -> list[Card]:
    def state(index: int) -> str:
        if index < at:
            return "done"
        return "waiting" if index > at else "failed" if failed else "now"

    return [{"label": label, "state": state(index), "note": None} for index, label in enumerate(labels)]


def voice_card(session: Session, voice: Voice) -> Card:
    """A voice (loaded with details) in a list."""
    sample = voice.samples[-1] if voice.samples else None
    clips = session.scalar(select(func.count(Clip.id)).where(Clip.voice_id == voice.id)) or 0
    return {
        "id": voice.public_id,
        "name": voice.name,
        "state": _state_in_list(voice, sample),
        "note": None if voice.state is VoiceState.READY else voice.problem or _what_now(voice)[0],
        "peaks": sample.peaks if sample else None,
        "created_at": voice.created_at,
        "clips": clips,
    }


def _state_in_list(voice: Voice, sample: Sample | None) -> str:
    """The state of a voice as a list shows it: a draft that waits for us says so, and does not ask for the person."""
    if voice.state is not VoiceState.DRAFT or sample is None:
        return voice.state.value
    consent = voice.consents[-1] if voice.consents else None
    if sample.state in (SampleState.RECEIVED, SampleState.CHECKING):
        return sample.state.value
    if consent is not None and consent.state in (ConsentState.CHECKING, ConsentState.IN_REVIEW):
        return consent.state.value
    return voice.state.value


def voice_view(session: Session, voice: Voice, account: Account, settings: Settings) -> Card:
    """Everything that the page of a voice (loaded with details) shows."""
    sample = voice.samples[-1]
    consent = voice.consents[-1] if voice.consents else None
    now_words, at, failed = _what_now(voice)
    checking = sample.state in (SampleState.RECEIVED, SampleState.CHECKING)
    listening = consent is not None and consent.state is ConsentState.CHECKING
    live = checking or listening or voice.state is VoiceState.CLONING
    limits = settings.voices
    return {
        "voice": _voice_facts(voice),
        "steps": _steps(STEPS, at, failed),
        "live": live,
        "slow": consent is not None and consent.state is ConsentState.IN_REVIEW,
        "now": now_words,
        "job": _open_job(session, voice, sample, consent) if live else None,
        "sample": _sample_card(voice, sample),
        "consent": _consent_card(voice, consent),
        "speaker_name": consent.speaker_name if consent else account.name,
        "language": consent.language if consent else "en",
        "languages": [{"code": code, "label": label} for code, label in LANGUAGES.items()],
        "errors": {},
        "refusal": None,
        "hello": _first_clip(session, voice),
        "service_name": limits.service_name,
        "min_seconds": int(limits.min_speech.total_seconds()),
        "max_seconds": int(limits.max_speech.total_seconds()),
    }


def _voice_facts(voice: Voice) -> Card:
    return {
        "id": voice.public_id,
        "name": voice.name,
        "language": voice.language,
        "state": voice.state.value,
        "disabled_reason": voice.problem,
        "waits_for_consent": waits_for_consent(voice),
        "created_at": voice.created_at,
        "engine_note": ENGINE_NOTE,
    }


def _what_now(voice: Voice) -> tuple[str, int, bool]:
    """What happens now and what comes next, in a sentence; the step it is at; whether it needs the person."""
    sample = voice.samples[-1]
    consent = voice.consents[-1] if voice.consents else None
    if voice.state is VoiceState.READY:
        return "The voice is ready.", len(STEPS), False
    if voice.state is VoiceState.CLONING:
        return "Matching the voice. Then you can hear it.", 3, False
    if voice.state is VoiceState.FAILED:
        return voice.problem or "The voice could not be made.", 3, True
    if voice.state is VoiceState.DISABLED and not waits_for_consent(voice):
        return _OFF.get(voice.disabled_for, "This voice is switched off."), 4, True
    if sample.state is SampleState.RECEIVED:
        return "Your sample is waiting for its check.", 0, False
    if sample.state is SampleState.CHECKING:
        return "Listening to your sample: length, level, noise, one speaker. It takes a few seconds.", 1, False
    if sample.state is SampleState.REJECTED:
        return "This sample can’t be used yet. Here is what would make it work.", 1, True
    return _consent_now(voice, consent)


_OFF: dict[DisabledFor | None, str] = {
    DisabledFor.PLAN: "This voice is switched off, because the plan has no room for it.",
    DisabledFor.DECISION: "A moderator has switched this voice off.",
}
_CONSENT_NOW = {
    ConsentState.PENDING: ("One sentence to read, then the voice is made.", False),
    ConsentState.CHECKING: ("Listening to the sentence, and comparing the two voices.", False),
    ConsentState.FAILED: ("That recording did not settle it. Ask for a new sentence and read that one.", True),
    ConsentState.IN_REVIEW: ("A person is listening to the consent. This page tells you when it is settled.", False),
    ConsentState.REFUSED: ("A moderator has refused the consent, and wrote why.", True),
    ConsentState.REVOKED: ("Consent was withdrawn. The voice needs a new one to speak again.", True),
}


def _consent_now(voice: Voice, consent: Consent | None) -> tuple[str, int, bool]:
    if voice.problem and consent is not None and consent.state is ConsentState.VERIFIED:
        return voice.problem, 3, True
    if consent is None:
        return "The sample is good. Next, the speaker says that they agree.", 2, False
    if consent.state is ConsentState.PENDING and consent.expires_at <= now():
        return "The sentence was not read in time. Ask for a new one.", 2, True
    words, failed = _CONSENT_NOW.get(consent.state, ("The consent is settled.", False))
    return words, 2, failed


def _open_job(session: Session, voice: Voice, sample: Sample, consent: Consent | None) -> Card | None:
    subjects = [sample.id, voice.id] + ([consent.id] if consent else [])
    found = [job for subject in subjects for job in jobs.open_jobs(session, subject_id=subject)]
    waiting = [job for job in found if job.kind is not JobKind.SPEAK]
    return {"progress": waiting[0].progress, "note": waiting[0].step} if waiting else None


def _sample_card(voice: Voice, sample: Sample) -> Card:
    return {
        "state": sample.state.value,
        "peaks": sample.peaks,
        "seconds": sample.speech_seconds,
        "audio_url": f"/voices/{voice.public_id}/sample/audio" if sample.audio_key else None,
        "checks": [_check_row(check) for check in sample.checks],
        "reasons": [reason["message"] for reason in sample.reasons],
    }


def _check_row(check: Card) -> Card:
    return {
        "name": check["label"],
        "passed": check["passed"],
        "measured": _measured(float(check["value"]), check["unit"]),
        "requirement": check["requirement"],
        "sentence": check["sentence"],
    }


_UNITS = {
    "s": "{0:.0f} s",
    "share": "{0:.1%}",
    "dBFS": "{0:.0f} dBFS",
    "of 5": "{0:.1f} of 5",
    "likeness": "{0:.2f}",
}


def _measured(value: float, unit: str) -> str:
    """A measure as people read it."""
    if unit == "Hz":
        return f"{value / 1000:.1f} kHz"
    return _UNITS.get(unit, "{0:g} " + unit).format(value)


def _consent_card(voice: Voice, consent: Consent | None) -> Card | None:
    if consent is None:
        return None
    pending = consent.state is ConsentState.PENDING
    expired = pending and consent.expires_at <= now()
    reasons = [reason["message"] for reason in consent.reasons]
    if consent.state is ConsentState.REFUSED and consent.decision_reason:
        reasons.append(consent.decision_reason)
    return {
        "state": "expired" if expired else consent.state.value,
        "speaker_name": consent.speaker_name,
        "sentence": consent.statement,
        "expires_at": consent.expires_at if pending else None,
        **consent_scores(consent),
        "reasons": reasons,
        "peaks": consent.peaks,
        "seconds": consent.scores.get("speech_seconds"),
        "audio_url": f"/voices/{voice.public_id}/consent/audio" if consent.audio_key else None,
        "decided_at": consent.revoked_at or consent.decided_at,
    }


def consent_scores(consent: Consent) -> Card:
    """How well a recording fits its sentence and its sample, each with what it needs."""
    errors = consent.scores.get("word_error_rate")
    return {
        "heard": consent.transcript,
        "word_match": max(0.0, 1 - errors) if errors is not None else None,
        "word_need": 1 - ACCEPT_WORD_ERRORS,
        "speaker_match": consent.scores.get("similarity"),
        "speaker_need": consent.scores.get("similarity_needed", 0.0),
    }


def _first_clip(session: Session, voice: Voice) -> Card | None:
    """The newest finished clip in the voice, to hear it by."""
    query = (
        select(Clip)
        .join(Job, Clip.job_id == Job.id)
        .where(Clip.voice_id == voice.id, Clip.account_id == voice.account_id, Job.state == JobState.DONE)
        .order_by(Clip.id.desc())
    )
    clip = session.scalars(query.limit(1)).first()
    if clip is None:
        return None
    stamp = stamps_of(session, [clip]).get(clip.id)
    if stamp is None:
        return None
    return {
        "id": clip.public_id,
        "text": clip.text,
        "peaks": stamp.peaks,
        "seconds": stamp.seconds,
        "stamp": stamp_badge(voice, stamp),
    }
