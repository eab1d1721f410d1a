"""What the routes of speech, history, account and models take and answer with: the shapes of the ElevenLabs API."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from app.speech.service import MAX_SPEED, MIN_SPEED

_NO_EFFECT = "Accepted for compatibility, without effect."


class RequestVoiceSettings(BaseModel):
    """How to speak this text."""

    speed: Annotated[float, Field(description=f"{MIN_SPEED} to {MAX_SPEED}; 1 is the speaker's own pace.")] = 1.0
    stability: Annotated[float | None, Field(description=_NO_EFFECT)] = None
    similarity_boost: Annotated[float | None, Field(description=_NO_EFFECT)] = None
    style: Annotated[float | None, Field(description=_NO_EFFECT)] = None
    use_speaker_boost: Annotated[bool | None, Field(description=_NO_EFFECT)] = None


class SpeechRequest(BaseModel):
    """A text to speak. Fields of the ElevenLabs API that are not listed here are ignored."""

    text: str = Field(description="What to say.", examples=["The lighthouse keeper counts the ships at dusk."])
    model_id: Annotated[
        str | None, Field(max_length=100, description="Every model of the list is the same engine.")
    ] = None
    language_code: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z]{2})?$",
            description="Language of the text, if not the voice's.",
            examples=["en-gb"],
        ),
    ] = None
    voice_settings: Annotated[RequestVoiceSettings | None, Field(description="How to speak it.")] = None
    seed: Annotated[
        int | None, Field(ge=0, le=4_294_967_295, description="The same seed speaks the same text the same way.")
    ] = None
    previous_text: Annotated[str | None, Field(description=_NO_EFFECT)] = None
    next_text: Annotated[str | None, Field(description=_NO_EFFECT)] = None
    apply_text_normalization: Annotated[
        Literal["auto", "on", "off"] | None, Field(description=f"{_NO_EFFECT} Numbers are always spoken as words.")
    ] = None


class HistoryItem(BaseModel):
    """A clip."""

    history_item_id: str = Field(description="Id of the clip.")
    request_id: str = Field(description="The same id: one request makes one clip.")
    voice_id: str = Field(description="The voice that speaks; it may have been deleted since.")
    voice_name: str = Field(description="What its owner called it.")
    voice_category: Literal["cloned", "premade"] = Field(description="Somebody's voice, or a stock voice.")
    model_id: str = Field(description="The model that spoke.")
    text: str = Field(description="What is said.")
    date_unix: int = Field(description="When it was asked for, seconds since 1970.")
    character_count_change_from: int = Field(0, description="Always 0: the other field is what the clip cost.")
    character_count_change_to: int = Field(description="What the clip cost, in characters; 0 unless it was made.")
    content_type: str = Field(description="Type of the audio.", examples=["audio/mpeg"])
    output_format: str = Field(description="Format that was asked for.", examples=["mp3_44100_128"])
    state: Literal["processing", "created", "failed"] = Field(description="created means that there is audio.")
    settings: RequestVoiceSettings = Field(description="How it was spoken.")
    source: Literal["TTS"] = Field("TTS", description="Always TTS.")
    problem: str | None = Field(None, description="Why there is no audio, if it failed.")
    generation: str | None = Field(None, description="The name of the clip in the ledger and in its credentials.")
    sha256: str | None = Field(None, description="SHA-256 of the audio file, hex.")


class History(BaseModel):
    """Some of the clips, newest first."""

    history: list[HistoryItem] = Field(description="The clips of this page.")
    last_history_item_id: str | None = Field(
        None, description="Send it as start_after_history_item_id for the next page."
    )
    has_more: bool = Field(description="Whether there are older ones.")
    scanned_until: int | None = Field(None, description="Time of the oldest clip of this page, seconds since 1970.")


class Price(BaseModel):
    """A sum of money."""

    amount: str = Field(description="In the currency's unit.", examples=["0.24"])
    currency: str = Field(description="Three-letter code.", examples=["eur"])


class Subscription(BaseModel):
    """The plan and what is left of it."""

    tier: str = Field(description="Id of the plan.", examples=["creator"])
    status: Literal["free", "active", "past_due"] = Field(
        description="free, active for a paid plan, or past_due while a payment is missing."
    )
    character_count: int = Field(description="Characters spoken or held in this period.")
    character_limit: int = Field(description="Characters of this period's allowance, with what was refunded.")
    next_character_count_reset_unix: int = Field(description="When the next period begins, seconds since 1970.")
    voice_slots_used: int = Field(description="Cloned voices that there are, but for those that the plan switched off.")
    voice_limit: int = Field(description="Cloned voices that the plan allows.")
    can_use_instant_voice_cloning: bool = Field(
        description="Whether this account may clone: plan, person and standing."
    )
    can_use_professional_voice_cloning: bool = Field(False, description="Always false: there is one kind of voice.")
    professional_voice_limit: int = Field(0, description="Always 0.")
    professional_voice_slots_used: int = Field(0, description="Always 0.")
    professional_voice_slots_used_in_workspace: int = Field(0, description="Always 0.")
    can_extend_character_limit: bool = Field(description="Whether the plan sells characters beyond its allowance.")
    allowed_to_extend_character_limit: bool = Field(description="Whether the holder lets such characters be billed.")
    max_credit_limit_extension: int = Field(description="How many at most in a period; 0 unless the holder allows it.")
    can_extend_voice_limit: bool = Field(False, description="Always false.")
    voice_add_edit_counter: int = Field(0, description="Always 0: edits are not counted.")
    character_refresh_period: Literal["monthly_period"] = Field("monthly_period", description="Always monthly.")
    billing_period: Literal["monthly_period"] = Field("monthly_period", description="Always monthly.")
    current_overage: Price = Field(description="What the characters beyond the allowance cost in this period so far.")
    open_invoices: list[str] = Field(default_factory=list, description="Always empty.")
    has_open_invoices: bool = Field(False, description="Always false.")


class User(BaseModel):
    """The account behind the key."""

    user_id: str = Field(description="Id of the account.")
    workspace_id: str = Field(description="The same id: every account is its own workspace.")
    first_name: str = Field(description="Name of the account.")
    subscription: Subscription = Field(description="Plan and usage.")
    created_at: int = Field(description="When the account was made, seconds since 1970.")
    seat_type: Literal["workspace_admin"] = Field("workspace_admin", description="Always workspace_admin.")
    is_new_user: bool = Field(False, description="Always false.")
    can_use_delayed_payment_methods: bool = Field(False, description="Always false.")
    is_onboarding_completed: bool = Field(True, description="Always true.")
    is_onboarding_checklist_completed: bool = Field(True, description="Always true.")
    is_api_key_hashed: bool = Field(True, description="Always true: keys are not stored.")


class Language(BaseModel):
    """A language."""

    language_id: str = Field(description="Its code.", examples=["en-gb"])
    name: str = Field(description="Its name.")


class ModelRates(BaseModel):
    """What a model costs."""

    character_cost_multiplier: float = Field(1.0, description="Every character counts once.")


class Model(BaseModel):
    """A model."""

    model_id: str = Field(description="Id of the model.")
    name: str = Field(description="Name of the model.")
    description: str = Field(description="What it is.")
    can_do_text_to_speech: bool = Field(True, description="Always true.")
    can_do_voice_conversion: bool = Field(False, description="Always false.")
    can_be_finetuned: bool = Field(False, description="Always false.")
    can_use_style: bool = Field(False, description="Always false.")
    can_use_speaker_boost: bool = Field(False, description="Always false.")
    serves_pro_voices: bool = Field(False, description="Always false.")
    requires_alpha_access: bool = Field(False, description="Always false.")
    token_cost_factor: float = Field(1.0, description="Every character counts once.")
    max_characters_request_free_user: int = Field(description="Longest text of one request.")
    max_characters_request_subscribed_user: int = Field(description="Longest text of one request.")
    maximum_text_length_per_request: int = Field(description="Longest text of one request.")
    languages: list[Language] = Field(description="What it speaks.")
    model_rates: ModelRates = Field(default_factory=ModelRates, description="What it costs.")
    concurrency_group: Literal["standard"] = Field("standard", description="Always standard.")
