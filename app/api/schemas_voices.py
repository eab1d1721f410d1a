"""What the routes of voices and consents answer with. Names and shapes are those of the ElevenLabs API."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class Status(BaseModel):
    """Done."""

    status: Literal["ok"] = Field("ok", description="Always ok.")


class Reason(BaseModel):
    """One reason, for programs and for people."""

    code: str = Field(description="A stable code.", examples=["consent.words"])
    message: str = Field(description="What is wrong and how to mend it.")


class SampleFileOut(BaseModel):
    """One uploaded file."""

    sample_id: str = Field(description="Id of the file.")
    file_name: str = Field(description="The name that it came with.")
    mime_type: str = Field(description="Guessed from the name.", examples=["audio/flac"])
    size_bytes: int = Field(description="Size as it came, bytes.")
    hash: str = Field(description="SHA-256 of its bytes, hex.")


class ConsentRecordingOut(BaseModel):
    """A recording of a consent sentence."""

    recording_id: str = Field(description="Id of the consent that it belongs to.")
    mime_type: str = Field("audio/flac", description="Of the copy that is kept.")
    size_bytes: int = Field(description="Size as it came, bytes.")
    upload_date_unix: int = Field(description="When it came, seconds since 1970.")
    transcription: str = Field(description="What the machine heard; empty until it was checked.")


class VerificationAttempt(BaseModel):
    """One reading of a consent sentence, and how it was judged."""

    text: str = Field(description="The sentence that was asked for.")
    date_unix: int = Field(description="When the recording came, seconds since 1970.")
    accepted: bool = Field(description="Whether it proved consent.")
    similarity: float = Field(description="Likeness of the voice to the sample's; 0 until it was compared.")
    levenshtein_distance: float = Field(description="Wrong, missing and added words as a share of the sentence's.")
    recording: ConsentRecordingOut | None = Field(None, description="The recording.")
    consent_id: str = Field(description="Id of the consent.")
    state: str = Field(description="checking, verified, failed, in_review, refused or revoked.")
    reasons: list[Reason] = Field(description="Why it was not accepted, and what to do.")


class VoiceVerification(BaseModel):
    """How far the speaker's consent is."""

    requires_verification: bool = Field(description="True for every cloned voice.")
    is_verified: bool = Field(description="Whether a consent is in force.")
    verification_failures: list[str] = Field(description="Codes of what the newest reading failed on.")
    verification_attempts_count: int = Field(description="How many readings were sent.")
    language: str | None = Field(None, description="Language of the newest sentence.")
    verification_attempts: list[VerificationAttempt] = Field(description="The readings, oldest first.")


FineTuningState = Literal["not_started", "queued", "fine_tuning", "fine_tuned", "failed", "delayed"]


class FineTuning(BaseModel):
    """How far the making of the voice is. Keys are model ids."""

    is_allowed_to_fine_tune: bool = Field(description="Whether consent lets the voice be made.")
    state: dict[str, FineTuningState] = Field(description="fine_tuned once the voice can speak.")
    progress: dict[str, float] = Field(description="0 to 1.")
    message: dict[str, str] = Field(description="What stands in the way, if anything.")
    verification_failures: list[str] = Field(description="As in voice_verification.")
    verification_attempts_count: int = Field(description="As in voice_verification.")
    manual_verification_requested: bool = Field(description="Whether a moderator has to listen.")
    language: str | None = Field(None, description="Language of the voice.")
    dataset_duration_seconds: float | None = Field(None, description="Seconds of speech in the sample.")
    max_verification_attempts: int = Field(description="Sentences that a voice may be given within a day.")


class VoiceSettings(BaseModel):
    """How a voice speaks. Speed is the one setting that this server has; the others are always null."""

    speed: float = Field(1.0, description="1 is the pace of the speaker.", examples=[1.0])
    stability: float | None = Field(None, description="Not a setting of this server.")
    similarity_boost: float | None = Field(None, description="Not a setting of this server.")
    style: float | None = Field(None, description="Not a setting of this server.")
    use_speaker_boost: bool | None = Field(None, description="Not a setting of this server.")


class SampleOut(BaseModel):
    """The newest sample of a voice and how it was judged."""

    state: str = Field(description="received, checking, accepted or rejected.")
    speech_seconds: float | None = Field(None, description="Seconds of speech in it.")
    checks: list[dict[str, Any]] = Field(description="Check by check: value, unit, requirement, passed, sentence.")
    reasons: list[Reason] = Field(description="Why it was rejected, and how to mend it.")


class VouchPart(BaseModel):
    """What Vouch knows beyond the ElevenLabs fields."""

    state: str = Field(description="draft, cloning, ready, failed or disabled.")
    problem: str | None = Field(None, description="Why the voice can't speak, if something went wrong.")
    sample: SampleOut | None = Field(None, description="The newest sample; stock voices have none.")


class VoiceOut(BaseModel):
    """A voice."""

    voice_id: str = Field(description="Id of the voice.")
    name: str = Field(description="What its owner calls it.")
    category: Literal["cloned", "premade"] = Field(description="Somebody's voice, or a stock voice.")
    description: str = Field(description="The owner's words about it.")
    labels: dict[str, str] = Field(description="The owner's labels.")
    samples: list[SampleFileOut] = Field(description="The uploaded files.")
    settings: VoiceSettings = Field(description="How it speaks unless a request says otherwise.")
    fine_tuning: FineTuning = Field(description="How far the making of the voice is.")
    voice_verification: VoiceVerification = Field(description="How far the speaker's consent is.")
    safety_control: Literal["NONE", "CAPTCHA"] = Field(description="CAPTCHA until the speaker's consent is in force.")
    preview_url: str | None = Field(None, description="Always null: no audio leaves without a stamp.")
    available_for_tiers: list[str] = Field(default_factory=list, description="Always empty.")
    high_quality_base_model_ids: list[str] = Field(description="The models that speak with it.")
    verified_languages: list[dict[str, str]] = Field(default_factory=list, description="Always empty.")
    collection_ids: list[str] = Field(default_factory=list, description="Always empty.")
    sharing: None = Field(None, description="Always null: voices are not shared.")
    permission_on_resource: Literal["admin", "viewer"] = Field(description="admin for one's own voices.")
    is_owner: bool = Field(description="Whether it belongs to this account.")
    is_legacy: bool = Field(False, description="Always false.")
    is_mixed: bool = Field(False, description="Always false.")
    created_at_unix: int = Field(description="When it was started, seconds since 1970.")
    vouch: VouchPart = Field(description="What Vouch knows beyond the ElevenLabs fields.")


class Voices(BaseModel):
    """All voices."""

    voices: list[VoiceOut] = Field(description="One's own, newest first, then the stock voices.")


class VoicePage(BaseModel):
    """Some of the voices."""

    voices: list[VoiceOut] = Field(description="The voices of this page.")
    has_more: bool = Field(description="Whether there is another page.")
    total_count: int = Field(description="How many voices fit the search.")
    next_page_token: str | None = Field(None, description="Send it to get the next page.")


class VoiceAdded(BaseModel):
    """A voice was started."""

    voice_id: str = Field(description="Id of the new voice.")
    requires_verification: Literal[True] = Field(
        True, description="Always true: the speaker has to read a sentence, see the captcha routes."
    )


class Captcha(BaseModel):
    """The sentence that the speaker has to read aloud."""

    consent_id: str = Field(description="Id of the consent that it asks for.")
    statement: str = Field(description="Read exactly this, aloud.")
    challenge: list[str] = Field(description="The random words that it ends in.")
    language: str = Field(description="Its language.", examples=["en"])
    expires_at_unix: int = Field(description="Until when the recording must be sent, seconds since 1970.")


class ConsentOut(BaseModel):
    """A consent: what was asked for, what was heard, and what followed."""

    consent_id: str = Field(description="Id of the consent.")
    state: str = Field(description="pending, checking, verified, failed, in_review, refused or revoked.")
    speaker_name: str = Field(description="Who gives it.")
    language: str = Field(description="Language of the sentence.")
    statement: str = Field(description="The sentence.")
    transcript: str | None = Field(None, description="What the machine heard.")
    scores: dict[str, Any] = Field(description="How words and voice compare.")
    reasons: list[Reason] = Field(description="Why it was not accepted, and what to do.")
    decision_reason: str | None = Field(None, description="The moderator's reason, if one decided.")
    created_at_unix: int = Field(description="When the sentence was issued, seconds since 1970.")
    recorded_at_unix: int | None = Field(None, description="When the recording came.")
    decided_at_unix: int | None = Field(None, description="When a moderator decided.")
    revoked_at_unix: int | None = Field(None, description="When it was taken back.")


class Consents(BaseModel):
    """The consents of a voice."""

    consents: list[ConsentOut] = Field(description="Oldest first.")
