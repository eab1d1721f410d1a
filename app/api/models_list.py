"""The list of models: one, the engine that this server speaks with."""

from __future__ import annotations

from fastapi import APIRouter

from app.accounts.identity import Reader
from app.api.documented import Parts, compatible_errors
from app.api.schemas_speech import Language, Model
from app.voices.rules import VOICE_LANGUAGES

router = APIRouter(tags=["Account"])


@router.get("/v1/models", summary="List models", responses=compatible_errors())
def list_models(caller: Reader, services: Parts) -> list[Model]:
    """The engine that this server speaks with. A `model_id` in a request may be any word: there is one engine."""
    del caller
    speech = services.settings.speech
    return [
        Model(
            model_id=speech.engine,
            name=speech.engine.capitalize(),
            description="The voice engine of this server. New voices are matched to their speaker.",
            max_characters_request_free_user=speech.max_characters,
            max_characters_request_subscribed_user=speech.max_characters,
            maximum_text_length_per_request=speech.max_characters,
            languages=[Language(language_id=code, name=name) for code, name in VOICE_LANGUAGES.items()],
        )
    ]
