"""The two Celery tasks: answer the doorbell of a queue, and look for what was lost."""

from __future__ import annotations

from datetime import timedelta

from app.core import outbox
from app.core.db import now
from app.jobs import service as jobs
from workers.celery_app import RING_TASK, SWEEP_TASK, app
from workers.runtime import work_off
from workers.tools import tools

KEEP_SENT = timedelta(days=1)


@app.task(name=RING_TASK)
def ring(queue: str) -> None:
    """Work off the jobs that wait in `queue`."""
    work_off(queue, tools())


@app.task(name=SWEEP_TASK)
def sweep() -> None:
    """Take back expired leases, ring again for jobs that nobody took, and forget doorbells of yesterday."""
    settings = tools().settings
    with tools().databases.writing() as session:
        jobs.sweep(
            session,
            max_attempts=settings.jobs.max_attempts,
            ring_again_after=settings.jobs.ring_again_after,
        )
        outbox.forget_sent(session, now() - KEEP_SENT)
