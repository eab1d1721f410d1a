"""The life of a job: create, claim, renew, report, finish, fail, cancel, sweep.

A claim gives a worker a lease and a fence number. Everything that the worker later writes goes through
`holding`, which locks the row and checks the fence: a worker that lost its lease can't write a result.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.accounts.models import Account
from app.accounts.rules import Capability
from app.accounts.standing import capabilities_of
from app.core import audit, outbox
from app.core.audit import Actor
from app.core.db import now
from app.core.states import lock, move
from app.jobs.models import OPEN, Job, JobKind, JobState

RING = "ring"
"""Topic of the doorbell message: there is work in a queue."""

Ending = Callable[[Session, Job], None]
_endings: dict[JobKind, Ending] = {}


def on_unfinished(kind: JobKind) -> Callable[[Ending], Ending]:
    """Register what happens, in the same transaction, when a job of `kind` ends without being done.

    Domain packages use it so that a subject never waits for a job that has failed or was cancelled or refused.
    """

    def register(ending: Ending) -> Ending:
        _endings[kind] = ending
        return ending

    return register


class LostLease(Exception):
    """Another worker has the job, or nobody needs it any more: throw the result away."""


class JobCancelled(LostLease):
    """Somebody asked for the job to stop."""


@dataclass(frozen=True)
class Claim:
    """A job in a worker's hands."""

    job_id: uuid.UUID
    kind: JobKind
    fence: int
    account_id: uuid.UUID | None
    subject_id: uuid.UUID
    request: dict[str, Any]


def create(
    session: Session,
    kind: JobKind,
    *,
    queue: str,
    subject_id: uuid.UUID,
    account_id: uuid.UUID | None,
    request: dict[str, Any] | None = None,
    priority: int = 5,
    verdict: dict[str, Any] | None = None,
) -> Job:
    """Add a job and its doorbell to the caller's transaction; `verdict` is what the gate said of it."""
    job = Job(
        kind=kind,
        queue=queue,
        subject_id=subject_id,
        account_id=account_id,
        request=request or {},
        priority=priority,
        verdict=verdict or {},
    )
    session.add(job)
    outbox.enqueue(session, RING, queue)
    session.flush()
    return job


def claim(session: Session, *, queue: str, worker: str, lease: timedelta, limit: int = 1) -> list[Claim]:
    """Take up to `limit` waiting jobs of one kind, best priority first, oldest first. Empty when none waits.

    Jobs of accounts that may no longer do anything are refused here instead of taken. A job that was tried before is
    taken alone: if it is what killed its worker, it takes no others with it this time.
    """
    query = (
        select(Job)
        .where(Job.queue == queue, Job.state == JobState.QUEUED)
        .order_by(Job.priority, Job.id)
        .limit(max(limit, 1) * 4)
        .with_for_update(skip_locked=True)
    )
    while waiting := list(session.scalars(query)):
        batch = _runnable(session, waiting, limit)
        if batch:
            return [_take(session, job, worker, lease) for job in batch]
    return []


def _runnable(session: Session, waiting: list[Job], limit: int) -> list[Job]:
    """The first of the waiting jobs that may run together; those that may not run at all are refused."""
    batch: list[Job] = []
    for job in waiting:
        if len(batch) == limit or (batch and (job.kind is not batch[0].kind or job.attempt > 0)):
            break
        if not _may_still_run(session, job):
            message = "The account may not do this any more."
            _close(session, job, JobState.REFUSED, Actor.system("claim"), "account.standing", message)
            continue
        batch.append(job)
        if job.attempt > 0:
            break
    session.flush()
    return batch


def _take(session: Session, job: Job, worker: str, lease: timedelta) -> Claim:
    job.lease_until = now() + lease
    job.worker, job.attempt, job.fence = worker, job.attempt + 1, job.fence + 1
    job.started_at = job.started_at or now()
    move(session, job, JobState.RUNNING, Actor.system(worker), facts={"attempt": job.attempt})
    return Claim(job.id, job.kind, job.fence, job.account_id, job.subject_id, job.request)


_NEEDS = {JobKind.SPEAK: Capability.SPEAK, JobKind.CLONE: Capability.CLONE}


def _may_still_run(session: Session, job: Job) -> bool:
    if job.account_id is None:
        return True
    account = session.get_one(Account, job.account_id)
    return _NEEDS.get(job.kind, Capability.SIGN_IN) in capabilities_of(account)


def renew(session: Session, claims: list[Claim], lease: timedelta) -> set[uuid.UUID]:
    """Extend the leases; gives the ids of jobs that are lost or cancelled and should stop."""
    gone = set()
    for held in claims:
        result = session.execute(
            update(Job)
            .where(
                Job.id == held.job_id,
                Job.fence == held.fence,
                Job.state == JobState.RUNNING,
                Job.cancel_requested_at.is_(None),
            )
            .values(lease_until=now() + lease)
        )
        if result.rowcount == 0:  # type: ignore[attr-defined]  # an UPDATE always has a row count
            gone.add(held.job_id)
    return gone


def report(session: Session, held: Claim, progress: float, step: str) -> None:
    """Show how far a job is. Raises LostLease or JobCancelled when it should stop."""
    job = holding(session, held)
    job.progress, job.step = min(max(progress, 0.0), 1.0), step[:80]


def holding(session: Session, held: Claim) -> Job:
    """The job's row, locked, if the claim still holds. Raises LostLease or JobCancelled."""
    job = session.scalars(
        select(Job).where(Job.id == held.job_id).with_for_update().execution_options(populate_existing=True)
    ).one()
    if job.state is not JobState.RUNNING or job.fence != held.fence:
        raise LostLease(f"job {held.job_id} is not ours any more")
    if job.cancel_requested_at is not None:
        raise JobCancelled(f"job {held.job_id} was cancelled")
    return job


def finish(session: Session, held: Claim) -> Job:
    """Move the job to done in the transaction that writes its result. Raises LostLease or JobCancelled."""
    job = holding(session, held)
    job.progress, job.step = 1.0, "done"
    _close(session, job, JobState.DONE, _its_worker(job))
    return job


def fail(session: Session, held: Claim, code: str, message: str, *, retry: bool, max_attempts: int) -> Job | None:
    """Put the job back into the queue, or end it as failed when `retry` is false or the attempts are used up.

    Gives the job, or None when the claim no longer holds; a cancelled job ends as cancelled.
    """
    try:
        job = holding(session, held)
    except JobCancelled:
        job = session.get_one(Job, held.job_id)
        _close(session, job, JobState.CANCELLED, _its_worker(job))
        return job
    except LostLease:
        return None
    if retry and job.attempt < max_attempts:
        _requeue(session, job, _its_worker(job), reason=message)
    else:
        _close(session, job, JobState.FAILED, _its_worker(job), code, message)
    return job


def refuse(session: Session, held: Claim, rule: str, message: str) -> Job:
    """End the job because a rule forbids it now."""
    job = holding(session, held)
    _close(session, job, JobState.REFUSED, _its_worker(job), rule, message)
    return job


def cancel(session: Session, job: Job, actor: Actor, reason: str | None = None) -> None:
    """Stop a job: at once while it waits; soon, at its next report, while it runs. Finished ones stay."""
    lock(session, job)
    if job.state is JobState.QUEUED:
        _close(session, job, JobState.CANCELLED, actor, "cancelled", reason or "Cancelled.")
    elif job.state is JobState.RUNNING and job.cancel_requested_at is None:
        job.cancel_requested_at = now()
        state = str(job.state)
        audit.record(session, actor, "job.cancel_asked", job, before=state, after=state, reason=reason)


def open_jobs(
    session: Session, *, subject_id: uuid.UUID | None = None, account_id: uuid.UUID | None = None
) -> list[Job]:
    """Waiting and running jobs of a subject or an account."""
    query = select(Job).where(Job.state.in_(OPEN)).order_by(Job.id)
    if subject_id is not None:
        query = query.where(Job.subject_id == subject_id)
    if account_id is not None:
        query = query.where(Job.account_id == account_id)
    return list(session.scalars(query))


def hold_open_jobs(session: Session, subject_ids: Sequence[uuid.UUID]) -> list[Job]:
    """Waiting and running jobs of some subjects, locked, so that none of them ends or begins before the commit."""
    query = select(Job).where(Job.state.in_(OPEN), Job.subject_id.in_(subject_ids)).order_by(Job.id)
    return list(session.scalars(query.with_for_update(key_share=True).execution_options(populate_existing=True)))


def latest(session: Session, subject_id: uuid.UUID, kind: JobKind | None = None) -> Job | None:
    """The newest job about a subject."""
    query = select(Job).where(Job.subject_id == subject_id).order_by(Job.id.desc()).limit(1)
    if kind is not None:
        query = query.where(Job.kind == kind)
    return session.scalar(query)


def sweep(session: Session, *, max_attempts: int, ring_again_after: timedelta) -> None:
    """Find what was lost: take expired leases back, and ring again for rows that nobody took."""
    moment = now()
    expired = session.scalars(
        select(Job).where(Job.state == JobState.RUNNING, Job.lease_until < moment).with_for_update(skip_locked=True)
    )
    for job in expired:
        if job.cancel_requested_at is not None:
            _close(session, job, JobState.CANCELLED, Actor.system("sweeper"))
        elif job.attempt < max_attempts:
            _requeue(session, job, Actor.system("sweeper"), reason="its worker stopped answering")
        else:
            message = f"The work was tried {job.attempt} times and the worker died each time."
            _close(session, job, JobState.FAILED, Actor.system("sweeper"), "worker.died", message)
    _ring_again(session, moment - ring_again_after)


def _ring_again(session: Session, before: datetime) -> None:
    waiting = session.scalars(
        select(Job).where(Job.state == JobState.QUEUED, Job.rung_at < before).with_for_update(skip_locked=True)
    )
    queues = set()
    for job in waiting:
        job.rung_at = now()
        queues.add(job.queue)
    for queue in sorted(queues):
        outbox.enqueue(session, RING, queue)


def _its_worker(job: Job) -> Actor:
    return Actor.system(job.worker or "worker")


def _requeue(session: Session, job: Job, actor: Actor, *, reason: str) -> None:
    job.lease_until, job.worker, job.rung_at = None, None, now()
    job.progress, job.step = 0.0, "waiting for a worker"
    move(session, job, JobState.QUEUED, actor, reason=reason, facts={"attempt": job.attempt})
    outbox.enqueue(session, RING, job.queue)


def _close(
    session: Session,
    job: Job,
    state: JobState,
    actor: Actor,
    code: str | None = None,
    message: str | None = None,
) -> None:
    job.lease_until, job.finished_at = None, now()
    job.error_code, job.error_message = code, message
    move(session, job, state, actor, reason=message)
    if state is not JobState.DONE and job.kind in _endings:
        _endings[job.kind](session, job)
