"""The public JSON API: routers only.

The routes under /v1 and /v2 have the shapes of the ElevenLabs API, so that its official clients work with only the
base URL changed; /v1/moderation and /v1/trace are our own, for moderators, /v1/detect for
everybody, and /v1/keys for whoever finds a key.
`/docs` is the reference, drawn on the server from the OpenAPI document. `app.main` includes `routers` and gives `TAGS`
to the document.
"""

from fastapi import APIRouter

from app.api import (
    consent,
    detect,
    history,
    keys,
    ledger,
    models_list,
    moderation,
    reference,
    text_to_speech,
    trace,
    user,
    voice_settings,
    voices,
    webhooks,
)
from app.api.documented import TAGS, say_scopes

routers: tuple[APIRouter, ...] = (
    voices.router,
    voice_settings.router,
    consent.router,
    text_to_speech.router,
    history.router,
    user.router,
    models_list.router,
    moderation.router,
    trace.router,
    detect.router,
    keys.router,
    ledger.router,
    reference.router,
    webhooks.router,
)
for _router in routers:
    say_scopes(_router)

__all__ = ["TAGS", "routers"]
