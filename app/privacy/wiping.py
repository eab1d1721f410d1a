"""Emptying rows that must stay, because others name them. Each gives the storage keys whose objects must go, too."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.provenance.models import TraceQuery
from app.voices.models import Consent, Sample, SampleFile
from app.voices.service import sample_keys


def wipe_sample(session: Session, sample: Sample, *, whole: bool) -> list[str]:
    """The recordings of a sample; with `whole` also everything that was measured in them and said about them."""
    of_sample = SampleFile.sample_id == sample.id
    keys = [*session.scalars(select(SampleFile.storage_key).where(of_sample)), *sample_keys(sample.id)]
    session.execute(delete(SampleFile).where(of_sample).execution_options(synchronize_session=False))
    sample.audio_key, sample.peaks, sample.digest = None, [], ""
    if whole:
        sample.checks, sample.reasons, sample.measures, sample.speech_seconds = [], [], {}, None
    return keys


def wipe_consent(consent: Consent) -> list[str]:
    """Name, words and recording of a consent. That it was in force, and when, stays: its clips were allowed by it."""
    keys = [key for key in (consent.recording_key, consent.audio_key, consent_audio(consent)) if key]
    consent.speaker_name, consent.statement, consent.challenge = "", "", []
    consent.recording_key, consent.recording_size, consent.audio_key = None, None, None
    consent.peaks, consent.transcript, consent.scores, consent.reasons = [], None, {}, []
    consent.decision_reason = None
    return keys


def consent_audio(consent: Consent) -> str:
    """Where the consent check keeps the clean copy of a recording."""
    return f"consents/{consent.id}/clean.flac"


def wipe_trace(query: TraceQuery) -> list[str]:
    """The file that somebody had traced. Question, reason and verdict stay."""
    keys = [key for key in (query.storage_key, query.audio_key) if key]
    query.storage_key, query.audio_key, query.file_name, query.peaks = "", None, "", []
    return keys
