"""The web application: the only place that wires routers, middleware and error rendering together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app.api import TAGS
from app.api import routers as api_routers
from app.console import router as console_router
from app.core.crypto import web_secret
from app.core.health import health_router
from app.core.limits import BodyLimit, SameOrigin, SecurityHeaders
from app.core.rendering import install_error_rendering
from app.core.services import Services
from app.core.telemetry import RequestContext, configure_logging, metrics
from app.policy.packs import text_rules
from app.settings import Settings, get_settings
from app.site import mount_static, render_error
from app.site import router as site_router

STRIPE_PAGES = ("https://checkout.stripe.com", "https://billing.stripe.com", "https://verify.stripe.com")


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application for some settings (those of the process by default).

    Raises what says how to mend it when the secret of the web side or a pack of text rules can't be read.
    """
    settings = settings or get_settings()
    web_secret(settings)  # one that is missing or unusable stops the start, not the first person who needs it
    services = Services.open(settings)
    text_rules(settings)  # a pack that can't be read is told now, not to whoever speaks first

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        configure_logging(settings, process="web")
        yield
        services.close()

    web = FastAPI(
        title="Vouch",
        version="0.1.0",
        summary="Voices that answer for what they say: clone with consent, speak, trace.",
        lifespan=lifespan,
        openapi_tags=TAGS,
        generate_unique_id_function=lambda route: route.name,
        docs_url=None,
        redoc_url=None,
    )
    web.state.services = services
    install_error_rendering(web, page_renderer=render_error)
    web.include_router(health_router({"database": services.check_database, "storage": services.storage.check}))
    web.add_api_route("/metrics", metrics, include_in_schema=False)
    for router in api_routers:
        web.include_router(router)
    web.include_router(site_router, include_in_schema=False)
    web.include_router(console_router, include_in_schema=False)
    mount_static(web)
    # The last added runs first: every answer gets a request id and headers, refusals too.
    web.add_middleware(SameOrigin, public_url=settings.public_url)
    web.add_middleware(BodyLimit, max_bytes=settings.web.max_upload_bytes)
    forms_to = STRIPE_PAGES if settings.billing_provider == "stripe" else ()
    web.add_middleware(SecurityHeaders, tls_only=settings.web.secure_cookies, forms_to=forms_to)
    web.add_middleware(RequestContext)
    return web
