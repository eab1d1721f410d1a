"""Moderator pages: settle consents, trace audio. They share the look of the site, and nothing else."""

from fastapi import APIRouter

from app.console import consents, traces

router = APIRouter(prefix="/console")
for part in (consents, traces):
    router.include_router(part.router)

__all__ = ["router"]
