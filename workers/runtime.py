"""From a ring of the doorbell to finished jobs: claim, keep the lease, run the handler, settle what went wrong."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType

import structlog

from app.core.db import Databases
from app.core.errors import DomainError
from app.core.telemetry import bound
from app.jobs import service as jobs
from app.jobs.service import Claim, JobCancelled, LostLease
from workers.tools import Tools

log = structlog.get_logger(__name__)

OUR_FAULT = "Something went wrong on our side."


class JobFailure(Exception):
    """The job can't succeed, however often it is tried; the message is for the person."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class JobRefused(JobFailure):
    """A rule forbids the job now; `code` is the rule's id."""


Handler = Callable[[Sequence["Held"], Tools], None]


def work_off(queue: str, tools: Tools) -> None:
    """Claim and run the jobs of a queue until none waits."""
    from workers.handlers import HANDLERS

    settings = tools.settings.jobs
    while True:
        with tools.databases.writing() as session:
            claims = jobs.claim(session, queue=queue, worker=tools.worker, lease=settings.lease, limit=settings.batch)
        if not claims:
            return
        with Keeper(claims, tools) as held:
            HANDLERS[claims[0].kind](held, tools)


@dataclass
class Held:
    """A claimed job while a handler works on it."""

    claim: Claim
    databases: Databases
    _gone: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raise LostLease if the job was lost or cancelled. Cheap: call it often."""
        if self._gone.is_set():
            raise LostLease(f"job {self.claim.job_id} is not ours any more")

    def report(self, progress: float, step: str) -> None:
        """Show progress (0 to 1) and what is being done. Raises LostLease or JobCancelled."""
        self.check()
        with self.databases.writing() as session:
            jobs.report(session, self.claim, progress, step)

    def lose(self) -> None:
        """Note that the job is no longer ours."""
        self._gone.set()


STUCK = 70
"""Exit status of a worker process that ended itself (EX_SOFTWARE of sysexits.h)."""


class Keeper:
    """Renews the leases of some jobs from a thread while a handler works on them.

    After `jobs.time_limit` the process ends itself: native code that hangs can't be stopped in any other way. Its
    supervisor starts a new one, the leases run out, and the jobs are tried again until their attempts are used up.
    """

    def __init__(self, claims: Sequence[Claim], tools: Tools) -> None:
        self._held = {claim.job_id: Held(claim, tools.databases) for claim in claims}
        self._tools = tools
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew_until_stopped, name="lease keeper", daemon=True)

    def __enter__(self) -> Sequence[Held]:
        self._thread.start()
        return list(self._held.values())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _renew_until_stopped(self) -> None:
        settings = self._tools.settings.jobs
        lease, deadline = settings.lease, time.monotonic() + settings.time_limit.total_seconds()
        while not self._stop.wait(lease.total_seconds() / 3):
            if time.monotonic() > deadline:
                log.error("worker.stuck", jobs=[str(job_id) for job_id in self._held])
                os._exit(STUCK)
            try:
                with self._tools.databases.writing() as session:
                    gone = jobs.renew(session, [held.claim for held in self._held.values()], lease)
            except Exception as error:  # the database is away: the fence decides once it is back
                log.warning("lease.not_renewed", error=str(error))
                continue
            for job_id in gone:
                self._held[job_id].lose()


@contextmanager
def settling(held: Held, tools: Tools) -> Iterator[None]:
    """Around the work on one job: whatever is raised inside ends or requeues it, and goes no further.

    JobFailure and refusals end the job with their message; storage or database trouble and defects put it back into
    the queue until its attempts are used up; a lost or cancelled job's result is thrown away.
    """
    claim = held.claim
    with bound(job_id=str(claim.job_id), kind=claim.kind.value):
        try:
            yield
        except (LostLease, JobCancelled):
            log.info("job.abandoned")
            _settle(claim, tools, "cancelled", "Cancelled.", retry=False)
        except JobRefused as refusal:
            log.info("job.refused", rule=refusal.code)
            with suppress(LostLease), tools.databases.writing() as session:
                jobs.refuse(session, claim, refusal.code, refusal.message)
        except JobFailure as failure:
            log.info("job.failed", code=failure.code)
            _settle(claim, tools, failure.code, failure.message, retry=False)
        except DomainError as error:
            log.warning("job.failed", code=error.code, error=error.message)
            _settle(claim, tools, error.code, error.message, retry=error.status >= 500)
        except Exception:
            log.exception("job.broke")
            _settle(claim, tools, "internal", OUR_FAULT, retry=True)


def _settle(claim: Claim, tools: Tools, code: str, message: str, *, retry: bool) -> None:
    with tools.databases.writing() as session:
        jobs.fail(session, claim, code, message, retry=retry, max_attempts=tools.settings.jobs.max_attempts)


def each(work: Callable[[Held, Tools], None]) -> Handler:
    """A handler that takes its jobs one by one."""

    def handle(batch: Sequence[Held], tools: Tools) -> None:
        for held in batch:
            with settling(held, tools):
                held.check()
                work(held, tools)

    return handle
