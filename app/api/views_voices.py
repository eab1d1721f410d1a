"""From rows of voices and consents to what the API answers with."""

from __future__ import annotations

import mimetypes
from datetime import datetime
from typing import Any

from app.accounts.models import Account
from app.api.schemas_voices import (
    Captcha,
    ConsentOut,
    ConsentRecordingOut,
    FineTuning,
    FineTuningState,
    Reason,
    SampleFileOut,
    SampleOut,
    VerificationAttempt,
    VoiceOut,
    VoiceSettings,
    VoiceVerification,
    VouchPart,
)
from app.settings import Settings
from app.voices.models import Consent, ConsentState, Sample, SampleFile, Voice, VoiceState

_TUNING: dict[VoiceState, FineTuningState] = {
    VoiceState.DRAFT: "not_started",
    VoiceState.CLONING: "fine_tuning",
    VoiceState.READY: "fine_tuned",
    VoiceState.FAILED: "failed",
    VoiceState.DISABLED: "failed",
}


def voice_out(voice: Voice, viewer: Account, settings: Settings) -> VoiceOut:
    """A voice, which must be loaded with details."""
    own = voice.account_id == viewer.id
    verification = _verification(voice)
    model = settings.speech.engine
    return VoiceOut(
        voice_id=voice.public_id,
        name=voice.name,
        category="premade" if voice.account_id is None else "cloned",
        description=voice.description,
        labels={key: str(value) for key, value in voice.labels.items()},
        samples=[_file_out(file) for sample in voice.samples for file in sample.files],
        settings=VoiceSettings(speed=1.0),
        fine_tuning=_fine_tuning(voice, verification, model, settings),
        voice_verification=verification,
        safety_control="CAPTCHA" if verification.requires_verification and not verification.is_verified else "NONE",
        high_quality_base_model_ids=[model],
        permission_on_resource="admin" if own else "viewer",
        is_owner=own,
        created_at_unix=unix(voice.created_at),
        vouch=VouchPart(
            state=voice.state.value,
            problem=voice.problem,
            sample=_sample_out(voice.samples[-1]) if voice.samples else None,
        ),
    )


def captcha_out(consent: Consent) -> Captcha:
    """The sentence of a pending consent."""
    return Captcha(
        consent_id=consent.public_id,
        statement=consent.statement,
        challenge=consent.challenge,
        language=consent.language,
        expires_at_unix=unix(consent.expires_at),
    )


def consent_out(consent: Consent) -> ConsentOut:
    """A consent, for the owner of its voice."""
    return ConsentOut(**consent_fields(consent))


def consent_fields(consent: Consent) -> dict[str, Any]:
    """What owner and moderator are both shown of a consent."""
    return {
        "consent_id": consent.public_id,
        "state": consent.state.value,
        "speaker_name": consent.speaker_name,
        "language": consent.language,
        "statement": consent.statement,
        "transcript": consent.transcript,
        "scores": consent.scores,
        "reasons": _reasons(consent.reasons),
        "decision_reason": consent.decision_reason,
        "created_at_unix": unix(consent.created_at),
        "recorded_at_unix": _unix_or_none(consent.recorded_at),
        "decided_at_unix": _unix_or_none(consent.decided_at),
        "revoked_at_unix": _unix_or_none(consent.revoked_at),
    }


def unix(moment: datetime) -> int:
    """Whole seconds since 1970."""
    return int(moment.timestamp())


def _unix_or_none(moment: datetime | None) -> int | None:
    return unix(moment) if moment is not None else None


def _file_out(file: SampleFile) -> SampleFileOut:
    return SampleFileOut(
        sample_id=file.public_id,
        file_name=file.name,
        mime_type=mimetypes.guess_type(file.name)[0] or "application/octet-stream",
        size_bytes=file.size,
        hash=file.digest,
    )


def _sample_out(sample: Sample) -> SampleOut:
    return SampleOut(
        state=sample.state.value,
        speech_seconds=sample.speech_seconds,
        checks=sample.checks,
        reasons=_reasons(sample.reasons),
    )


def _reasons(stored: list[Any]) -> list[Reason]:
    return [Reason(**reason) for reason in stored]


def _verification(voice: Voice) -> VoiceVerification:
    read = [consent for consent in voice.consents if consent.recorded_at is not None]
    newest = read[-1] if read else None
    return VoiceVerification(
        requires_verification=voice.account_id is not None,
        is_verified=any(consent.in_force for consent in voice.consents),
        verification_failures=[reason["code"] for reason in newest.reasons] if newest else [],
        verification_attempts_count=len(read),
        language=voice.consents[-1].language if voice.consents else None,
        verification_attempts=[_attempt(consent) for consent in read],
    )


def _attempt(consent: Consent) -> VerificationAttempt:
    recorded = unix(consent.recorded_at or consent.created_at)
    return VerificationAttempt(
        text=consent.statement,
        date_unix=recorded,
        accepted=consent.in_force,
        similarity=consent.scores.get("similarity", 0.0),
        levenshtein_distance=consent.scores.get("word_error_rate", 0.0),
        recording=ConsentRecordingOut(
            recording_id=consent.public_id,
            size_bytes=consent.recording_size or 0,
            upload_date_unix=recorded,
            transcription=consent.transcript or "",
        ),
        consent_id=consent.public_id,
        state=consent.state.value,
        reasons=_reasons(consent.reasons),
    )


def _fine_tuning(voice: Voice, verification: VoiceVerification, model: str, settings: Settings) -> FineTuning:
    ready = voice.state is VoiceState.READY
    spoken = [sample.speech_seconds for sample in voice.samples if sample.speech_seconds is not None]
    return FineTuning(
        is_allowed_to_fine_tune=verification.is_verified,
        state={model: _TUNING[voice.state]},
        progress={model: 1.0 if ready else 0.0},
        message={model: _obstacle(voice)},
        verification_failures=verification.verification_failures,
        verification_attempts_count=verification.verification_attempts_count,
        manual_verification_requested=any(c.state is ConsentState.IN_REVIEW for c in voice.consents),
        language=voice.language,
        dataset_duration_seconds=spoken[-1] if spoken else None,
        max_verification_attempts=settings.voices.consent_attempts,
    )


def _obstacle(voice: Voice) -> str:
    """What stands between the voice and speaking, in sentences; empty when nothing does."""
    if voice.problem:
        return voice.problem
    rejected = voice.samples[-1].reasons if voice.samples else []
    return " ".join(reason["message"] for reason in rejected)
