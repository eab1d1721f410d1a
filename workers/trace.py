"""Where a piece of audio comes from: its credentials, if they survived, and its mark."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import select

from app.jobs import service as jobs
from app.provenance.models import TraceQuery
from app.provenance.rules import CONFIRM_RATE, MarkFound, combine
from app.provenance.service import TraceFindings, answer_trace, issued_tags
from app.speech.models import Generation
from workers.audio.decode import AudioRejected, Decoded, Limits, decode
from workers.audio.peaks import peaks
from workers.audio.resample import resample
from workers.marks import credentials
from workers.marks.credentials import CredentialReading
from workers.marks.detect import Search
from workers.marks.matching import Match, nearest
from workers.recordings import cleaned, fetched, keep
from workers.runtime import Held, JobFailure, each
from workers.tools import Tools

LONGEST_SECONDS = 600.0
"""Longest recording that is searched; a longer one must be cut to the part in question."""
_SEARCHES: tuple[Search, ...] = ("plain", "full")
_READ_RATE = 16_000  # Hz of what the mark is read from, whatever the rate of the file
_MIME_BY_MAGIC = ((b"RIFF", "audio/wav"), (b"fLaC", "audio/flac"), (b"ID3", "audio/mpeg"), (b"\xff", "audio/mpeg"))


@dataclass(frozen=True)
class Tags:
    """Every issued tag: generation ids beside rows of 16 bytes."""

    ids: list[uuid.UUID]
    rows: np.ndarray[Any, np.dtype[np.uint8]]


def work(held: Held, tools: Tools) -> None:
    """Answer one trace query."""
    held.report(0.05, "reading the file")
    query, data, audio = _read(held, tools)
    signed, told = _by_credentials(data, tools)
    tags = _issued(tools)
    held.report(0.2, "looking for the mark")
    found, mark_told = _by_mark(held, audio, tags, tools)
    verdict, generation_id = combine(found, signed)
    findings = TraceFindings(
        verdict=verdict,
        generation_id=generation_id,
        evidence=[told, mark_told],
        false_match_rate=_chance(found, signed),
        seconds=len(audio.pcm) / audio.sample_rate,
        peaks=peaks(audio.pcm),
        audio_key=_keep(query, audio, tools),
    )
    with tools.databases.writing() as session:
        jobs.finish(session, held.claim)
        answer_trace(session, session.get_one(TraceQuery, query.id), findings)


handle = each(work)


def _read(held: Held, tools: Tools) -> tuple[TraceQuery, bytes, Decoded]:
    with tools.databases.reading() as session:
        query = session.get_one(TraceQuery, held.claim.subject_id)
    with fetched(query.storage_key, tools) as file:
        try:
            return query, file.read(), decode(file, Limits(max_seconds=LONGEST_SECONDS))
        except AudioRejected as rejected:
            raise JobFailure(rejected.code, rejected.message) from rejected


def _chance(found: MarkFound | None, signed: uuid.UUID | None) -> float:
    """Upper bound of the chance of a wrong match: the mark's, or none where a signature speaks and no mark does."""
    if signed is not None and (found is None or found.bound > CONFIRM_RATE):
        return 0.0
    return min(found.bound, 1.0) if found is not None else 1.0


def _keep(query: TraceQuery, audio: Decoded, tools: Tools) -> str:
    """Store what was decoded, for listening; gives its key."""
    key = f"traces/{query.id}/clean.flac"
    keep(key, cleaned([audio]), tools)
    return key


def _by_credentials(data: bytes, tools: Tools) -> tuple[uuid.UUID | None, dict[str, Any]]:
    """The generation that intact credentials of ours name, and what to say about them."""
    mime = next((mime for magic, mime in _MIME_BY_MAGIC if data.startswith(magic)), "")
    reading = credentials.read(data, mime, tools.keys.anchors_pem)
    generation_id = _generation_of(reading, tools) if reading.state == "valid" else None
    sentences = {
        "valid": "Intact content credentials, signed here, name the generation."
        if generation_id
        else "Intact content credentials, signed here, name a generation that is not in the ledger.",
        "invalid": "The file has content credentials, but it was changed after they were signed.",
        "unknown_signer": "The file has content credentials by somebody else.",
        "none": "The file has no content credentials. They are lost whenever a file is converted.",
    }
    told = {"channel": "credentials", "state": reading.state, "sentence": sentences[reading.state]}
    return generation_id, told


def _generation_of(reading: CredentialReading, tools: Tools) -> uuid.UUID | None:
    with tools.databases.reading() as session:
        return session.scalar(select(Generation.id).where(Generation.public_ref == reading.generation_ref))


def _issued(tools: Tools) -> Tags:
    with tools.databases.reading() as session:
        issued = issued_tags(session)
    rows = np.frombuffer(b"".join(tag for _, _, tag in issued), np.uint8).reshape(-1, 16)
    return Tags([generation_id for generation_id, _, _ in issued], rows)


def _by_mark(held: Held, audio: Decoded, tags: Tags, tools: Tools) -> tuple[MarkFound | None, dict[str, Any]]:
    """The issued tag that fits best: a plain search first, then one over changes of speed, tempo and pitch."""
    if not tags.ids:
        return None, {"channel": "mark", "sentence": "No generation has been made here yet."}
    heard = resample(audio.pcm, audio.sample_rate, _READ_RATE)
    match = None
    for search in _SEARCHES:
        held.check()
        match = nearest(tools.keys.ring.read(heard, _READ_RATE, search), tags.rows, len(_SEARCHES))
        if match is not None and match.accepted:
            break
        held.report(0.5, "looking for a changed copy")
    if match is None:
        return None, {"channel": "mark", "sentence": "The file is too short to hold a mark."}
    found = MarkFound(
        generation_id=tags.ids[match.index],
        z=match.z,
        z_generation=match.z_generation,
        runner_up_z=match.runner_up_z,
        bound=match.bound,
    )
    return found, _told(match, found, len(tags.ids))


def _told(match: Match, found: MarkFound, tags: int) -> dict[str, Any]:
    """The mark's evidence in numbers and a sentence."""
    reading = match.reading
    agreeing = 128 - match.errors
    sentence = (
        f"{agreeing} of the 128 bits of the best mark agree between {reading.start:.1f} s and {reading.end:.1f} s."
        if match.accepted
        else f"No mark was found: the best of {tags:,} issued marks agrees in {agreeing} of 128 bits, as chance would."
    )
    return {
        "channel": "mark",
        "accepted": match.accepted,
        "z": round(found.z, 2),
        "z_generation": round(found.z_generation, 2),
        "runner_up_z": round(found.runner_up_z, 2) if match.runner_up is not None else None,
        "errors": match.errors,
        "tags": tags,
        "hypotheses": match.hypotheses,
        "from_seconds": round(reading.start, 2),
        "to_seconds": round(reading.end, 2),
        "pitch_scale": reading.pitch_scale,
        "time_scale": reading.time_scale,
        "sentence": sentence,
    }
