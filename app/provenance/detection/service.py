"""Asking whether a file was made here, within limits, and forgetting who asked and what was sent.

A detection is worked on as a trace query of the purpose PUBLIC. Its file goes as soon as there is an answer or none
can be given; nothing that the search found is kept but the answer and its receipt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select, text, update
from sqlalchemy.orm import Session, contains_eager

from app.core import crypto
from app.core.audit import Actor
from app.core.db import now
from app.core.erasing import forget_objects
from app.core.errors import Invalid, NotFound, RateLimited
from app.core.uploads import Upload
from app.jobs import service as jobs
from app.jobs.models import Job, JobKind, JobState
from app.provenance.detection.models import Detection
from app.provenance.models import Purpose, TraceQuery
from app.settings import Settings

LONGEST_SECONDS = 300.0
"""Longest recording that is searched for the public."""
SAME_ANSWER_FOR = timedelta(days=30)
"""How long the same file gets the same answer, without another search."""
ASKER_KEPT = timedelta(days=1)
"""How long the digest of the asker's network is kept; limits are counted over this time."""
WAITS_AT_MOST = timedelta(days=1)
"""What no worker has looked at by then is given up, so that the file goes."""
MOST_AN_HOUR = 500
"""Searches for all askers together: trying out many slightly changed files from many networks is slow, too."""
MOST_WAITING = 50
"""Detections that may wait for a worker at once: bounds the disk that strangers can fill."""
PRIORITY = 9
"""The lowest: nobody who has an account waits for the public."""
TRACING = Actor.system("detection")
_LOCK = 0x646574656374  # "detect": one asker at a time is counted on PostgreSQL


@dataclass(frozen=True)
class Asked:
    """A detection that was asked for. `fresh` is False when the same file had been asked about before."""

    detection: Detection
    fresh: bool


def asker(settings: Settings, network: str) -> str:
    """What a network is counted under: a digest that only this server can compute."""
    return crypto.keyed_digest(crypto.web_secret(settings), "detection", network)


def refuse(session: Session, asked_from: str, settings: Settings) -> None:
    """Raise unless this asker may have another file searched: NotFound where detection is off, RateLimited."""
    most = settings.provenance.detections_per_day
    refuse_if_off(settings)
    wait = _wait(session, most, ASKER_KEPT, Detection.asked_from == asked_from)
    if wait:
        raise RateLimited(
            "detection.too_many",
            f"From one network, {most} {'file' if most == 1 else 'files'} a day can be checked. "
            f"Try again in {_in_words(wait)}.",
            retry_after=wait,
        )
    wait = _wait(session, MOST_AN_HOUR, timedelta(hours=1))
    if wait == 0 and _waiting(session) >= MOST_WAITING:
        wait = 60
    if wait:
        raise RateLimited(
            "detection.busy",
            f"Too many people are having files checked at the moment. Try again in {_in_words(wait)}.",
            retry_after=wait,
        )


def refuse_if_off(settings: Settings) -> None:
    """Raise NotFound where the operator has switched public detection off."""
    if settings.provenance.detections_per_day == 0:
        raise NotFound(
            "detection.off",
            "Checking files is switched off on this server.",
            fix=f"Ask {settings.contact} where a file comes from.",
        )


def ask(session: Session, upload: Upload, *, asked_from: str, settings: Settings) -> Asked:
    """Have a file searched, or give the detection of the same file that there is already.

    Needs a writing session. The caller keeps the stored file only if the result is fresh. Raises what `refuse` raises.
    """
    refuse_if_off(settings)
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    known = earlier(session, upload.digest)
    if known is not None:
        return Asked(known, fresh=False)
    refuse(session, asked_from, settings)
    query = TraceQuery(
        asked_by="public",
        purpose=Purpose.PUBLIC,
        reason="public detection",
        file_name="",
        file_digest=upload.digest,
        storage_key=upload.storage_key,
    )
    session.add(query)
    session.flush()
    detection = Detection(trace_query_id=query.id, file_digest=upload.digest, asked_from=asked_from)
    session.add(detection)
    jobs.create(session, JobKind.TRACE, queue="cpu", subject_id=query.id, account_id=None, priority=PRIORITY)
    session.flush()
    return Asked(detection, fresh=True)


def earlier(session: Session, digest: str) -> Detection | None:
    """The newest detection of a file (SHA-256, hex) that waits or was answered lately; None where none is."""
    current = Detection.answered_at.is_(None) | (
        Detection.receipt.is_not(None) & (Detection.answered_at > now() - SAME_ANSWER_FOR)
    )
    return session.scalar(
        select(Detection).where(Detection.file_digest == digest, current).order_by(Detection.id.desc()).limit(1)
    )


def detection_of(session: Session, public_id: str) -> Detection:
    """A detection with its trace query loaded. Raises NotFound."""
    found = session.scalar(
        select(Detection)
        .join(Detection.trace_query)
        .options(contains_eager(Detection.trace_query))
        .where(Detection.public_id == public_id)
    )
    if found is None:
        raise NotFound("detection_not_found", "There is no such check of a file.")
    return found


def settle(session: Session, query: TraceQuery) -> Detection:
    """What ends a detection, whatever its end: the file goes, and what is known of it but its hash."""
    if query.storage_key:
        forget_objects(session, f"detection:{query.id}", [query.storage_key])
    query.storage_key, query.audio_key, query.peaks, query.evidence, query.matched = "", None, [], [], {}
    query.seconds, query.generation_id, query.false_match_rate, query.verdict = None, None, None, None
    detection = session.scalars(select(Detection).where(Detection.trace_query_id == query.id)).one()
    detection.answered_at = now()
    return detection


def give_up_waiting(session: Session, before: datetime, most: int) -> int:
    """Stop detections that were asked for before a moment and that no worker has looked at; gives how many."""
    found = session.scalars(
        select(Job).where(*_WAITS, Job.created_at < before).order_by(Job.id).limit(most).with_for_update()
    ).all()
    for job in found:
        jobs.cancel(session, job, TRACING, "Nobody had time to look at the file, so it was deleted. Send it again.")
    return len(found)


def forget_askers(session: Session, before: datetime, most: int) -> int:
    """Empty the digests of networks that asked before a moment; gives how many."""
    old = select(Detection.id).where(Detection.asked_from.is_not(None), Detection.created_at < before)
    found = session.scalars(old.limit(most)).all()
    session.execute(update(Detection).where(Detection.id.in_(found)).values(asked_from=None))
    return len(found)


_WAITS = (Job.queue == "cpu", Job.state == JobState.QUEUED, Job.priority == PRIORITY, Job.kind == JobKind.TRACE)


def _waiting(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(Job).where(*_WAITS)) or 0


def _wait(session: Session, most: int, within: timedelta, *whose: ColumnElement[bool]) -> int:
    """Seconds until one more may pass; 0 when it may now."""
    moment = now()
    newest = select(Detection.created_at).where(*whose).order_by(Detection.id.desc())
    deciding = session.scalar(newest.offset(most - 1).limit(1))
    if deciding is None or deciding <= moment - within:
        return 0
    return max(1, math.ceil((deciding + within - moment).total_seconds()))


def _in_words(seconds: int) -> str:
    minutes = math.ceil(seconds / 60)
    if minutes <= 1:
        return "a minute"
    return f"{minutes} minutes" if minutes < 120 else f"{math.ceil(minutes / 60)} hours"


def no_file() -> Invalid:
    """What is raised for a request without a file."""
    return Invalid("upload.missing", "Choose the recording to check.", fix="Send it as the form field “file”.")
