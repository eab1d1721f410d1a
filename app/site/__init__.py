"""Customer and public pages: server-rendered templates, static files and htmx partials.

Everything but recording in the browser works without JavaScript. Only app.main and the console (which shares the look)
import this package.
"""

from fastapi import APIRouter

from app.site import (
    account,
    clips,
    confirm,
    data,
    detect,
    identity,
    invoices,
    keys,
    plan,
    profile,
    recover,
    sandbox,
    second_step,
    security,
    sign_in,
    sign_up,
    usage,
    voices,
)
from app.site.pages import mount_static, render_error

router = APIRouter()
for part in (
    sign_in,
    sign_up,
    recover,
    second_step,
    confirm,
    voices,
    clips,
    account,
    profile,
    data,
    security,
    keys,
    plan,
    usage,
    invoices,
    identity,
    sandbox,
    detect,
):
    router.include_router(part.router)

__all__ = ["mount_static", "render_error", "router"]
