"""`vouch trace FILE`: where a piece of audio comes from, asked by the operator."""

from __future__ import annotations

import json
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts.models import Account
from app.cli.common import OPERATOR, how_rare, opened_services
from app.core.errors import Invalid, Unavailable
from app.core.services import Services
from app.core.uploads import storing
from app.jobs import service as jobs
from app.jobs.models import Job, JobState
from app.provenance.models import TraceState, Verdict
from app.provenance.service import ask_for_trace, named_by, trace_of
from app.speech.models import Generation

LOOK_EVERY = 0.25  # seconds
NO_WORKER_AFTER = 20.0  # seconds in which no worker took the job and none is busy with another
NOBODY_NAMED = 3
"""Exit code of an answer that names no account."""

_SURE = {
    Verdict.CONFIRMED: "Confirmed: this audio was made here.",
    Verdict.STRONG: "Strong evidence: this audio was made here. It rests on its sound, not on its mark.",
    Verdict.LEAD: "A lead, no more: something points here, and chance could do that too. It names nobody.",
    Verdict.AMBIGUOUS: "Ambiguous: the evidence fits more than one generation. It names nobody.",
    Verdict.NO_EVIDENCE: "No evidence that this audio was made here.",
}


@dataclass
class _Incoming:
    filename: str | None
    file: BinaryIO


def trace(
    file: Annotated[Path, typer.Argument(help="Audio file to trace.")],
    reason: Annotated[str, typer.Option(help="Why you ask; kept with the answer.")] = "Asked at the command line.",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Trace audio to the generation and the account that made it.

    Exit code 0: an account is named. 3: the answer names nobody. 1: the file could not be traced.
    """
    with opened_services() as services:
        query_id = _ask(services, file, reason)
        _wait(services, query_id, show=not as_json and sys.stderr.isatty())
        with services.databases.reading() as session:
            answer = answer_of(session, query_id)
    if answer["state"] == TraceState.FAILED:
        raise Unavailable("trace.failed", f"The file could not be traced. {answer['problem']}")
    typer.echo(json.dumps(answer) if as_json else in_words(answer))
    raise typer.Exit(0 if "account" in answer else NOBODY_NAMED)


def _ask(services: Services, path: Path, reason: str) -> str:
    try:
        with path.open("rb") as file, storing(services.storage, [_Incoming(path.name, file)]) as stored:
            with services.databases.writing() as session:
                query = ask_for_trace(session, stored.uploads[0], asked_by=OPERATOR, reason=reason)
            stored.keep()
    except OSError as error:
        raise Invalid("trace.file", f"{path} can't be read: {(error.strerror or str(error)).lower()}.") from error
    return query.public_id


def _wait(services: Services, query_id: str, *, show: bool) -> None:
    """Until the job has ended. Raises Unavailable, and withdraws the job, when no worker takes it."""
    quiet_since = time.monotonic()
    while True:
        with services.databases.reading() as session:
            job = _job(session, query_id)
            busy = session.scalar(select(Job.id).where(Job.state == JobState.RUNNING).limit(1)) is not None
        if not job.is_open:
            break
        if show:
            sys.stderr.write(f"\r{job.progress:4.0%}  {job.step:40}")
        if busy:
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since > NO_WORKER_AFTER:
            _withdraw(services, job.id)
        time.sleep(LOOK_EVERY)
    if show:
        sys.stderr.write("\r" + " " * 46 + "\r")


def _withdraw(services: Services, job_id: uuid.UUID) -> None:
    with services.databases.writing() as session:
        job = session.get_one(Job, job_id)
        jobs.cancel(session, job, OPERATOR, "No worker was running.")
        if job.is_open:  # a worker took it in this moment
            return
    raise Unavailable(
        "trace.no_worker",
        f"No worker has taken the file within {NO_WORKER_AFTER:.0f} seconds: none is running.",
        fix="Start the service with `vouch up`, then ask again.",
    )


def _job(session: Session, query_id: str) -> Job:
    job = jobs.latest(session, trace_of(session, query_id).id)
    assert job is not None  # made in the same transaction as the query
    return job


def answer_of(session: Session, query_id: str) -> dict[str, Any]:
    """The answer as plain data; `account` and what belongs to it are there only when the verdict may name."""
    query = trace_of(session, query_id)
    answer: dict[str, Any] = {
        "trace_id": query.public_id,
        "state": query.state,
        "verdict": query.verdict,
        "problem": query.problem,
        "false_match_rate": query.false_match_rate,
        "matched": query.matched or None,
        "evidence": query.evidence,
    }
    generation = named_by(query)
    return answer if generation is None else answer | _named(session, generation)


def _named(session: Session, generation: Generation) -> dict[str, Any]:
    account = session.get_one(Account, generation.account_id)
    return {
        "generation": str(generation.id),
        "made_at": generation.created_at.isoformat(),
        "voice": {"id": generation.clip.voice.public_id, "name": generation.clip.voice.name},
        "account": {"id": account.public_id, "email": account.email, "name": account.name},
    }


def in_words(answer: dict[str, Any]) -> str:
    """The answer for a person."""
    lines = [_SURE[Verdict(answer["verdict"])]]
    if "account" in answer:
        lines += [
            f"  account     {answer['account']['email']} ({answer['account']['name']})",
            f"  voice       {answer['voice']['name']}",
            f"  made        {answer['made_at']}",
            f"  generation  {answer['generation']}",
        ]
    if place := answer.get("matched"):
        there = f"{place['query_from']:.1f} to {place['query_to']:.1f} s of the file"
        lines.append(
            f"  {'matched':11} {there}, {place['original_from']:.1f} to {place['original_to']:.1f} s of the clip"
        )
    lines += [f"  {part['channel']:11} {part['sentence']}" for part in answer["evidence"]]
    if "account" in answer and answer["false_match_rate"]:
        lines.append(f"  {'how sure':11} {how_rare(answer['false_match_rate'])}")
    return "\n".join(lines)
