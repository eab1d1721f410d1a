"""Making an evidence bundle."""

from __future__ import annotations

import tempfile
import uuid
from typing import Any

from app.core.errands import CannotBeDone, ErrandFacts
from app.core.errors import NotFound
from app.provenance.delivery import stamp_of
from app.provenance.evidence import bundle, report, service
from app.provenance.evidence.models import BundleState, EvidenceBundle
from app.provenance.evidence.picture import alignment
from app.provenance.ledger import keys, proofs
from app.provenance.ledger.models import Checkpoint, LeafKind
from app.provenance.models import Stamp, TraceQuery
from app.provenance.service import trace_of
from app.speech.formats import FORMATS
from workers import checkpoints
from workers.held_keys import register_signing
from workers.tools import Tools

MOST_TRIES = 8
"""Tries before the moderator is told that it did not work: together they take half an hour."""
FAILED = "The bundle could not be made. Please ask the operator to look at the log, then ask for it again."


def make(errand: ErrandFacts, tools: Tools) -> None:
    """Make and store one bundle. A repeated try writes over what an earlier one has stored."""
    bundle_id = uuid.UUID(errand.payload["bundle"])
    with tools.databases.reading() as session:
        row = session.get(EvidenceBundle, bundle_id)
    if row is None or row.state is not BundleState.WAITING:
        return
    try:
        _make(row, tools)
    except Exception as error:
        if errand.attempt >= MOST_TRIES:
            with tools.databases.writing() as session:
                service.give_up(session, bundle_id, FAILED)
            raise CannotBeDone(str(error)) from error
        raise


def _make(row: EvidenceBundle, tools: Tools) -> None:
    register_signing(tools)
    checkpoint = _checkpoint(row, tools)
    files = _files(row, checkpoint, tools)
    with tools.databases.reading() as session:
        known = keys.signing_keys(session)
    storage_key = f"evidence/{row.id}.zip"
    with tempfile.TemporaryFile() as file:  # has no name, so nothing stays behind, even when this process is killed
        digest = bundle.write(file, files, tools.signing, known, row.public_id)
        file.seek(0)
        tools.storage.put(storage_key, file)
    with tools.databases.writing() as session:
        service.ready(session, row.id, storage_key, digest)


def _checkpoint(row: EvidenceBundle, tools: Tools) -> Checkpoint:
    """The newest checkpoint, after signing one if the newest does not cover what the bundle is about."""
    with tools.databases.reading() as session:
        _, stamp, generation_id = _about(session, row)
        needed = max(
            bundle.leaf_of(session, LeafKind.GENERATION, generation_id).position,
            bundle.leaf_of(session, LeafKind.STAMP, stamp.id).position,
        )
        newest = proofs.latest_checkpoint(session)
    if newest is None or newest.size <= needed:
        checkpoints.sign_now(tools)
        with tools.databases.reading() as session:
            newest = proofs.latest_checkpoint(session)
    if newest is None:
        raise NotFound("ledger.no_checkpoint", "No checkpoint could be signed.")
    return newest


def _files(row: EvidenceBundle, checkpoint: Checkpoint, tools: Tools) -> dict[str, bytes]:
    with tools.databases.reading() as session:
        query, stamp, generation_id = _about(session, row)
        said = report.compose(session, row, query, stamp, tools.settings)
        files = {
            f"proofs/{name}.json": bundle.json_of(
                bundle.proof_of(session, bundle.leaf_of(session, kind, subject_id), checkpoint)
            )
            for name, kind, subject_id in (
                ("generation", LeafKind.GENERATION, generation_id),
                ("stamp", LeafKind.STAMP, stamp.id),
            )
        }
    files["proofs/checkpoint.note"] = checkpoint.note.encode()
    if checkpoint.timestamp_token is not None:
        files["proofs/checkpoint.tsr"] = checkpoint.timestamp_token
    original = f"original/clip.{FORMATS[stamp.output_format].extension}"
    kept = {"query": ("query/clean.flac", query.audio_key), "original": (original, stamp.storage_key)}
    said["files"] = {"time_stamp": "proofs/checkpoint.tsr" if checkpoint.timestamp_token is not None else None}
    for part, (name, key) in kept.items():
        data = _stored(key, tools)
        said["files"][part] = name if data is not None else None
        if data is not None:
            files[name] = data
    picture = alignment(query.peaks, query.seconds or 0.0, stamp.peaks, stamp.seconds, query.matched)
    return files | bundle.pages_of(said, picture)


def _about(session: Any, row: EvidenceBundle) -> tuple[TraceQuery, Stamp, uuid.UUID]:
    """What a bundle is about: the query with all that it names, the stamp, the generation."""
    query = trace_of(session, session.get_one(TraceQuery, row.trace_query_id).public_id)
    assert query.generation is not None, "the service asks only for such queries"
    stamp = stamp_of(session, query.generation.clip)
    if stamp is None:
        raise NotFound("stamp.not_found", "The clip has no stamp.")
    return query, stamp, query.generation.id


def _stored(key: str | None, tools: Tools) -> bytes | None:
    """An object; None when retention or an erasure took it."""
    if not key:
        return None
    try:
        return tools.storage.get(key)
    except NotFound:
        return None
