"""Writing stamps, asking for traces, and writing their answers."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from app.core import audit
from app.core.audit import Actor
from app.core.db import now
from app.core.errors import Invalid, NotFound
from app.core.states import move
from app.core.text import printable
from app.core.uploads import Upload
from app.jobs import service as jobs
from app.jobs.models import Job, JobKind
from app.provenance import fingerprints
from app.provenance.detection.service import settle
from app.provenance.findings import Matched
from app.provenance.models import Purpose, Stamp, TraceQuery, TraceState, Verdict
from app.speech.models import Clip, Generation

TRACING = Actor.system("trace")
NAMING = (Verdict.CONFIRMED, Verdict.STRONG)


@dataclass(frozen=True)
class Stamped:
    """A file as the worker made it: marked, signed where the format can be, stored."""

    output_format: str
    storage_key: str
    size: int
    sha256: str
    seconds: float
    peaks: Sequence[float]
    mark_score: float
    mark_strength_db: float
    traceable: bool
    credentials: bool
    fingerprint: bytes | None = None


def write_stamp(session: Session, generation_id: uuid.UUID, stamped: Stamped) -> Stamp:
    """Record a finished file; from now on it can be delivered."""
    stamp = Stamp(
        generation_id=generation_id,
        output_format=stamped.output_format,
        storage_key=stamped.storage_key,
        size=stamped.size,
        sha256=stamped.sha256,
        seconds=stamped.seconds,
        peaks=list(stamped.peaks),
        mark_score=stamped.mark_score,
        mark_strength_db=stamped.mark_strength_db,
        traceable=stamped.traceable,
        credentials=stamped.credentials,
    )
    session.add(stamp)
    if stamped.fingerprint is not None:
        fingerprints.write(session, generation_id, stamped.fingerprint)
    session.flush()
    return stamp


def ask_for_trace(session: Session, upload: Upload, *, asked_by: Actor, reason: str) -> TraceQuery:
    """Have a file traced. Raises Invalid without a reason: whoever names people says why."""
    reason = printable(reason)[:2000]
    if not reason:
        raise Invalid("trace.reason", "Write why you trace this file; the reason is kept with the result.")
    query = TraceQuery(
        asked_by=asked_by.id,
        reason=reason,
        file_name=upload.name[:200],
        file_digest=upload.digest,
        storage_key=upload.storage_key,
    )
    session.add(query)
    session.flush()
    audit.record(session, asked_by, "trace_query.asked", query, reason=reason, facts={"sha256": upload.digest})
    jobs.create(session, JobKind.TRACE, queue="cpu", subject_id=query.id, account_id=None, priority=1)
    return query


@dataclass(frozen=True)
class TraceFindings:
    """What the worker found. `generation_id` is set only by a verdict that may name."""

    verdict: Verdict
    generation_id: uuid.UUID | None
    evidence: Sequence[Mapping[str, Any]]
    """See app.provenance.findings."""
    false_match_rate: float
    seconds: float
    peaks: Sequence[float]
    audio_key: str
    matched: Matched | None = None
    """Where the named clip lies in the query."""


def answer_trace(session: Session, query: TraceQuery, findings: TraceFindings) -> None:
    """Write the answer. A verdict that may not name an account keeps no generation, whatever was found."""
    query.verdict = findings.verdict
    query.generation_id = findings.generation_id if findings.verdict in NAMING else None
    query.evidence, query.false_match_rate = [dict(each) for each in findings.evidence], findings.false_match_rate
    query.matched = dict(findings.matched) if findings.matched is not None and query.generation_id is not None else {}
    query.seconds, query.peaks, query.answered_at = findings.seconds, list(findings.peaks), now()
    query.audio_key = findings.audio_key
    facts = {"verdict": findings.verdict.value, "false_match_rate": findings.false_match_rate}
    if query.generation_id is not None:
        generation = session.get_one(Generation, query.generation_id)
        facts |= {"generation": str(generation.id), "account": str(generation.account_id)}
    move(session, query, TraceState.ANSWERED, TRACING, reason=query.reason, facts=facts)


def named_by(query: TraceQuery) -> Generation | None:
    """The generation that an answer may name, with clip and voice as loaded; None unless its verdict is sure enough."""
    return query.generation if query.verdict in NAMING else None


def fail_trace(session: Session, query: TraceQuery, problem: str) -> None:
    """The file could not be read or traced; `problem` says why."""
    query.problem, query.answered_at = problem, now()
    move(session, query, TraceState.FAILED, TRACING, reason=problem)


def trace_of(session: Session, public_id: str) -> TraceQuery:
    """A trace query with the generation, clip and voice that it names. Raises NotFound."""
    found = session.scalar(
        select(TraceQuery)
        .where(TraceQuery.public_id == public_id, TraceQuery.purpose == Purpose.MODERATION)
        .options(joinedload(TraceQuery.generation).joinedload(Generation.clip).joinedload(Clip.voice))
    )
    if found is None:
        raise NotFound("trace_not_found", "There is no such trace.")
    return found


def read_trace(session: Session, public_id: str, reader: Actor) -> TraceQuery:
    """As `trace_of`, for showing it to `reader`: that it names an account to them goes into the audit.

    Needs a writing session. Raises NotFound.
    """
    query = trace_of(session, public_id)
    if query.generation is not None:
        audit.record(session, reader, "trace_query.read", query, reason=query.reason)
    return query


def recent_traces(session: Session, limit: int = 50) -> list[TraceQuery]:
    """The newest trace queries of moderators; those of the public are nobody's to look at."""
    asked = select(TraceQuery).where(TraceQuery.purpose == Purpose.MODERATION)
    return list(session.scalars(asked.order_by(TraceQuery.id.desc()).limit(limit)))


@jobs.on_unfinished(JobKind.TRACE)
def _trace_unfinished(session: Session, job: Job) -> None:
    query = session.get_one(TraceQuery, job.subject_id)
    if query.state is TraceState.WAITING:
        if query.purpose is Purpose.PUBLIC:
            settle(session, query)
        fail_trace(session, query, job.error_message or "The trace was stopped.")
