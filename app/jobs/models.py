"""Table of jobs."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, now, primary_key
from app.core.states import HasState, state_enum


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUSED = "refused"


OPEN = (JobState.QUEUED, JobState.RUNNING)


class JobKind(StrEnum):
    """What kinds of work there are; one handler each in the workers."""

    INTAKE = "intake"
    CONSENT = "consent"
    CLONE = "clone"
    SPEAK = "speak"
    TRACE = "trace"


class Job(HasState, Base):
    """One piece of background work about one subject."""

    __tablename__ = "job"
    __table_args__ = (
        CheckConstraint("state != 'running' OR lease_until IS NOT NULL", name="running_has_lease"),
        CheckConstraint("progress BETWEEN 0 AND 1", name="progress_is_share"),
        Index("ix_job_claim", "queue", "state", "priority", "id"),
        Index(None, "account_id", "state"),
        Index(None, "subject_id"),
    )
    TRANSITIONS = {  # noqa: RUF012
        JobState.QUEUED: {JobState.RUNNING, JobState.CANCELLED, JobState.REFUSED, JobState.FAILED},
        JobState.RUNNING: {
            JobState.DONE,
            JobState.FAILED,
            JobState.CANCELLED,
            JobState.REFUSED,
            JobState.QUEUED,
        },
    }

    id: Mapped[uuid.UUID] = primary_key()
    kind: Mapped[JobKind] = mapped_column(state_enum(JobKind))
    queue: Mapped[str] = mapped_column(String(16))
    state: Mapped[JobState] = mapped_column(state_enum(JobState), default=JobState.QUEUED)
    account_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("account.id"))
    subject_id: Mapped[uuid.UUID]
    request: Mapped[dict[str, Any]] = mapped_column(default=dict)
    verdict: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What the gate said when the job was made: outcome, rules, and the facts that it rested on."""
    priority: Mapped[int] = mapped_column(default=5)
    attempt: Mapped[int] = mapped_column(default=0)
    fence: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None]
    worker: Mapped[str | None] = mapped_column(String(80))
    progress: Mapped[float] = mapped_column(default=0.0)
    step: Mapped[str] = mapped_column(String(80), default="waiting for a worker")
    cancel_requested_at: Mapped[datetime | None]
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now)
    rung_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    @property
    def is_open(self) -> bool:
        """Whether it still waits or runs."""
        return self.state in OPEN
