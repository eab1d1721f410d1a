"""The Celery tasks: answer the doorbell of a queue, do errands, and look for what was lost."""

from __future__ import annotations

from datetime import timedelta
from threading import BoundedSemaphore

from app.core import errands, outbox
from app.core.db import now
from app.jobs import service as jobs
from workers.celery_app import ERRANDS_TASK, RING_TASK, SWEEP_TASK, app
from workers.errands import Duties, run_due
from workers.held_keys import register_held
from workers.runtime import work_off
from workers.tools import tools

KEEP_SENT = timedelta(days=1)
ERRANDS_AT_ONCE = 3
"""In one process, which has one thread more: a long errand must not keep the sweeper waiting."""

_free = BoundedSemaphore(ERRANDS_AT_ONCE)
_duties = Duties()


@app.task(name=RING_TASK)
def ring(queue: str) -> None:
    """Work off the jobs that wait in `queue`."""
    register_held(tools())
    work_off(queue, tools())


@app.task(name=ERRANDS_TASK)
def do_errands() -> None:
    """Do the errands that are due. Those who are at it already take over what comes up meanwhile."""
    if _free.acquire(blocking=False):
        try:
            run_due(tools())
        finally:
            _free.release()


@app.task(name=SWEEP_TASK)
def sweep() -> None:
    """Take back expired leases, ring again for what nobody took, forget old doorbells, and do regular duties."""
    settings = tools().settings
    with tools().databases.writing() as session:
        jobs.sweep(
            session,
            max_attempts=settings.jobs.max_attempts,
            ring_again_after=settings.jobs.ring_again_after,
        )
        errands.ring_again(session)
        outbox.forget_sent(session, now() - KEEP_SENT)
    _duties.run_due(tools())
