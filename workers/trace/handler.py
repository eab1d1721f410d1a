"""The job of a trace: read a stranger's file, search everything that is known, write the answer."""

from __future__ import annotations

import uuid

from sqlalchemy import select

from app.jobs import service as jobs
from app.provenance.detection.service import LONGEST_SECONDS as LONGEST_PUBLIC
from app.provenance.findings import CredentialsEvidence
from app.provenance.models import Purpose, TraceQuery
from app.provenance.service import TraceFindings, answer_trace
from app.speech.models import Generation
from workers.audio.decode import AudioRejected, Decoded, Limits, decode
from workers.audio.peaks import peaks
from workers.audio.resample import resample
from workers.credentials import read_confined
from workers.marks.credentials import CredentialReading
from workers.recordings import cleaned, fetched, keep
from workers.runtime import Held, JobFailure, each
from workers.tools import Tools
from workers.trace import public, told
from workers.trace.search import COARSE, RATE, THOROUGH, find

LONGEST_SECONDS = 600.0
"""Longest recording that is searched; a longer one must be cut to the part in question."""
_SEARCH_FROM, _SEARCH_TO = 0.15, 0.9
"""The part of the job's progress that is the search."""


def work(held: Held, tools: Tools) -> None:
    """Answer one trace query."""
    held.report(0.05, "reading the file")
    query, audio, reading = _read(held, tools)
    signed = _generation_of(reading, tools)
    heard = resample(audio.pcm, audio.sample_rate, RATE)
    effort = COARSE if query.purpose is Purpose.PUBLIC else THOROUGH
    found = find(heard, tools.ledger, signed, lambda share, step: _report(held, share, step), effort=effort)
    credentials: CredentialsEvidence = told.of_credentials(reading, signed is not None)
    findings = TraceFindings(
        verdict=found.verdict,
        generation_id=found.generation_id,
        evidence=[credentials, *found.evidence],
        false_match_rate=found.false_match_rate,
        seconds=len(audio.pcm) / audio.sample_rate,
        peaks=peaks(audio.pcm),
        audio_key="" if query.purpose is Purpose.PUBLIC else _keep(query, audio, tools),
        matched=found.matched,
    )
    speech = public.speech_seconds(audio) if query.purpose is Purpose.PUBLIC else 0.0
    with tools.databases.writing() as session:
        jobs.finish(session, held.claim)
        fresh = session.get_one(TraceQuery, query.id)
        if fresh.purpose is Purpose.PUBLIC:
            public.answer(session, fresh, findings, speech, tools)
        else:
            answer_trace(session, fresh, findings)


handle = each(work)


def _report(held: Held, share: float, step: str) -> None:
    held.report(_SEARCH_FROM + share * (_SEARCH_TO - _SEARCH_FROM), step)


def _read(held: Held, tools: Tools) -> tuple[TraceQuery, Decoded, CredentialReading]:
    """The query, its sound, and what its credentials say."""
    with tools.databases.reading() as session:
        query = session.get_one(TraceQuery, held.claim.subject_id)
    longest = LONGEST_PUBLIC if query.purpose is Purpose.PUBLIC else LONGEST_SECONDS
    with fetched(query.storage_key, tools) as file:
        try:
            audio = decode(file, Limits(max_seconds=longest))
        except AudioRejected as rejected:
            raise JobFailure(rejected.code, rejected.message) from rejected
        held.report(0.1, "reading its credentials")
        file.seek(0)
        return query, audio, read_confined(file, None, tools.keys.anchors_pem, tools.keys.own_chains)


def _keep(query: TraceQuery, audio: Decoded, tools: Tools) -> str:
    """Store what was decoded, for listening; gives its key."""
    key = f"traces/{query.id}/clean.flac"
    keep(key, cleaned([audio]), tools)
    return key


def _generation_of(reading: CredentialReading, tools: Tools) -> uuid.UUID | None:
    """The generation that intact credentials of ours name, when it is in the ledger."""
    if reading.state != "valid" or not reading.own:
        return None
    with tools.databases.reading() as session:
        return session.scalar(select(Generation.id).where(Generation.public_ref == reading.generation_ref))
