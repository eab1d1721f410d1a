"""The life of jobs against a small model: whatever order workers, sweepers and people act in, the promises hold."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from app.accounts.models import Account
from app.billing import ledger
from app.billing.models import EntryKind, LedgerEntry
from app.core.audit import AuditEntry
from app.core.db import Databases
from app.core.outbox import OutboxMessage
from app.jobs import service as jobs
from app.jobs.models import Job, JobKind, JobState
from app.jobs.service import Claim, JobCancelled, LostLease
from tests.conftest import make_settings
from tests.world import LEASE, OPERATOR, World

TEMPLATE: list[Path] = []
ENDS = LedgerEntry.kind.in_([EntryKind.SETTLE, EntryKind.RELEASE])
ENDING = {
    JobState.DONE: EntryKind.SETTLE,
    JobState.FAILED: EntryKind.RELEASE,
    JobState.CANCELLED: EntryKind.RELEASE,
}


@dataclass
class Expected:
    """What the model knows of a job."""

    state: JobState = JobState.QUEUED
    attempt: int = 0
    holder: int | None = None
    """Fence of the claim that holds it."""
    expired: bool = False
    cancelling: bool = False

    def requeue_or(self, end: JobState, most: int) -> None:
        self.holder, self.expired = None, False
        self.state = JobState.QUEUED if self.attempt < most else end


class JobLife(RuleBasedStateMachine):
    """Every rule is one transaction of one actor."""

    claims = Bundle("claims")

    @initialize(target=claims)
    def fresh_database(self) -> Any:
        self.folder = Path(tempfile.mkdtemp())
        shutil.copy(TEMPLATE[0], self.folder / "vouch.db")
        chosen = make_settings(self.folder)
        self.world = World(chosen, Databases(chosen))
        self.account = self.world.account()
        self.most = chosen.jobs.max_attempts
        self.model: dict[uuid.UUID, Expected] = {}
        for _ in range(3):
            self.create()
        return self.claim(limit=2)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.databases.close()
            shutil.rmtree(self.folder)

    @rule()
    def create(self) -> None:
        with self.world.databases.writing() as session:
            account = session.get_one(Account, self.account.id)
            job = jobs.create(session, JobKind.SPEAK, queue="gpu", subject_id=uuid.uuid4(), account_id=account.id)
            ledger.reserve(session, account, job_id=job.id, characters=1)
        self.model[job.id] = Expected()

    @rule(target=claims, limit=st.integers(1, 3))
    def claim(self, limit: int) -> Any:
        queued = [key for key, job in self.model.items() if job.state is JobState.QUEUED]
        taken = self.world.claim("gpu", limit=limit)
        fresh = next((n for n, key in enumerate(queued) if self.model[key].attempt > 0), len(queued))
        expected = queued[:1] if fresh == 0 else queued[: min(limit, fresh)]
        assert [claim.job_id for claim in taken] == expected
        for claim in taken:
            job = self.model[claim.job_id]
            job.state, job.attempt, job.holder = JobState.RUNNING, job.attempt + 1, claim.fence
        return multiple(*taken)

    def holds(self, claim: Claim) -> bool:
        job = self.model[claim.job_id]
        return job.state is JobState.RUNNING and job.holder == claim.fence

    @rule(claim=claims)
    def renew(self, claim: Claim) -> None:
        with self.world.databases.writing() as session:
            gone = jobs.renew(session, [claim], LEASE)
        job = self.model[claim.job_id]
        keeps = self.holds(claim) and not job.cancelling
        assert gone == (set() if keeps else {claim.job_id})
        if keeps:
            job.expired = False

    @rule(claim=claims)
    def finish(self, claim: Claim) -> None:
        job = self.model[claim.job_id]
        try:
            with self.world.databases.writing() as session:
                jobs.finish(session, claim)
                ledger.settle(session, claim.job_id)
        except JobCancelled:
            assert self.holds(claim)
            assert job.cancelling
        except LostLease:
            assert not self.holds(claim)
        else:
            assert self.holds(claim)
            assert not job.cancelling
            job.state = JobState.DONE

    @rule(claim=consumes(claims), retry=st.booleans())
    def fail(self, claim: Claim, retry: bool) -> None:
        self.world.fail(claim, retry=retry)
        if not self.holds(claim):
            return
        job = self.model[claim.job_id]
        if job.cancelling:
            job.state = JobState.CANCELLED
        elif retry:
            job.requeue_or(JobState.FAILED, self.most)
        else:
            job.state = JobState.FAILED

    @rule(claim=claims, sweeps=st.booleans())
    def time_passes(self, claim: Claim, sweeps: bool) -> None:
        if self.holds(claim):
            self.world.expire(claim)
            self.model[claim.job_id].expired = True
            if sweeps:
                self.sweep()

    @rule()
    def sweep(self) -> None:
        self.world.sweep(ring_again_after=timedelta(seconds=-1))
        for job in self.model.values():
            if job.state is JobState.RUNNING and job.expired:
                if job.cancelling:
                    job.state = JobState.CANCELLED
                else:
                    job.requeue_or(JobState.FAILED, self.most)

    @rule(pick=st.integers(0, 30))
    def cancel(self, pick: int) -> None:
        if not self.model:
            return
        key = list(self.model)[pick % len(self.model)]
        with self.world.databases.writing() as session:
            jobs.cancel(session, session.get_one(Job, key), OPERATOR)
        job = self.model[key]
        if job.state is JobState.QUEUED:
            job.state = JobState.CANCELLED
        elif job.state is JobState.RUNNING:
            job.cancelling = True

    @invariant()
    def rows_are_as_the_model_says(self) -> None:
        if not hasattr(self, "world"):
            return
        rows = {job.id: job for job in self.world.rows(select(Job))}
        assert {key: (job.state, job.attempt) for key, job in rows.items()} == {
            key: (job.state, job.attempt) for key, job in self.model.items()
        }
        assert all(job.attempt <= self.most for job in rows.values())
        ended = {entry.job_id: entry.kind for entry in self.world.rows(select(LedgerEntry).where(ENDS))}
        assert ended == {key: ENDING[job.state] for key, job in self.model.items() if job.state in ENDING}
        assert self.world.count(LedgerEntry, ENDS) == len(ended), "once each"

    @invariant()
    def every_waiting_job_has_been_rung_for(self) -> None:
        if hasattr(self, "world") and any(job.state is JobState.QUEUED for job in self.model.values()):
            assert self.world.count(OutboxMessage) > 0

    @invariant()
    def the_audit_ends_where_the_rows_are(self) -> None:
        if not hasattr(self, "world"):
            return
        last = {entry.subject_id: entry.after for entry in self.world.rows(select(AuditEntry).order_by(AuditEntry.id))}
        for key, job in self.model.items():
            assert last.get(str(key), JobState.QUEUED) == job.state


def test_the_life_of_jobs(sqlite_template: Path) -> None:
    TEMPLATE[:] = [sqlite_template]
    chosen = settings(
        max_examples=40,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        phases=[Phase.explicit, Phase.reuse, Phase.generate],  # making a failure smaller takes minutes here
    )
    run_state_machine_as_test(JobLife, settings=chosen)
