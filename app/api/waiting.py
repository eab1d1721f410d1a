"""Waiting for a job while a request stays open: no thread and no session is held between two short looks."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta

import anyio
from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from app.core.db import Databases
from app.core.errors import DomainError, Invalid, Refused, Unavailable
from app.jobs.models import OPEN, Job, JobState

LOOK_EVERY = 0.15  # seconds: short beside the work, long beside a look
_OUR_FAULT = ("internal", "worker.died")


async def finished(request: Request, databases: Databases, job_id: uuid.UUID, patience: timedelta) -> Job | None:
    """The job once it has ended, or None when `patience` runs out first.

    Raises ClientDisconnect when the client has gone.
    """
    deadline = time.monotonic() + patience.total_seconds()
    while True:
        job = await run_in_threadpool(_look, databases, job_id)
        if job.state not in OPEN:
            return job
        if await request.is_disconnected():
            raise ClientDisconnect
        if time.monotonic() >= deadline:
            return None
        await anyio.sleep(LOOK_EVERY)


def _look(databases: Databases, job_id: uuid.UUID) -> Job:
    with databases.reading() as session:
        return session.get_one(Job, job_id)


def why_not_done(job: Job) -> DomainError:
    """The error that says how a job ended: 503 only when it was our fault, since clients repeat such requests."""
    code = job.error_code or job.state.value
    message = job.error_message or "It was cancelled."
    if job.state is JobState.REFUSED:
        return Refused(code, message, rule=code, fix="See the standing on your account page.")
    if code in _OUR_FAULT or code.startswith("storage."):
        return Unavailable(code, message, fix="Try again; if it stays so, tell the operator.")
    return Invalid(code, message)
