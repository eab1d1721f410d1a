"""Moderator pages: settle consents, trace audio, look into signals and accounts. They share the look
of the site, and nothing else."""

from fastapi import APIRouter

from app.console import accounts, consents, evidence, signals, traces

router = APIRouter(prefix="/console")
for part in (consents, evidence, traces, signals, accounts):
    router.include_router(part.router)

__all__ = ["router"]
