"""Evidence bundles: asking for one, and what has become of it."""

from __future__ import annotations

import uuid

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core import audit, errands
from app.core.audit import Actor
from app.core.db import now
from app.core.errors import Conflict, Invalid, NotFound
from app.core.states import lock, move
from app.core.text import printable
from app.provenance.evidence.models import BundleState, EvidenceBundle
from app.provenance.models import TraceQuery, TraceState
from app.provenance.service import NAMING

EVIDENCE = "evidence"
"""Kind of the errand that makes a bundle."""
MAKER = Actor.system("evidence")


def ask(session: Session, query: TraceQuery, actor: Actor, reason: str) -> EvidenceBundle:
    """Have a bundle made for a trace that names a generation.

    Raises Invalid without a reason or without such a verdict, Conflict while one is being made.
    """
    reason = printable(reason)[:2000]
    if not reason:
        raise Invalid("evidence.reason", "Write what the bundle is for; the reason is kept, and is in the bundle.")
    lock(session, query)
    if query.state is not TraceState.ANSWERED or query.verdict not in NAMING or query.generation_id is None:
        raise Invalid("evidence.names_nobody", "There is nothing to prove: this trace names no clip.")
    if any(bundle.state is BundleState.WAITING for bundle in bundles_of(session, query)):
        raise Conflict("evidence.waiting", "A bundle of this trace is being made already.")
    bundle = EvidenceBundle(trace_query_id=query.id, asked_by=actor.id, reason=reason)
    session.add(bundle)
    session.flush()
    audit.record(session, actor, "evidence_bundle.asked", bundle, reason=reason, facts={"trace_query": str(query.id)})
    errands.add(session, EVIDENCE, f"evidence:{bundle.id}", {"bundle": str(bundle.id)})
    return bundle


def bundles_of(session: Session, query: TraceQuery) -> list[EvidenceBundle]:
    """The bundles of a trace, newest first."""
    mine = select(EvidenceBundle).where(EvidenceBundle.trace_query_id == query.id)
    return list(session.scalars(mine.order_by(EvidenceBundle.id.desc())))


def fetchable(session: Session, query: TraceQuery, public_id: str, reader: Actor) -> EvidenceBundle:
    """A bundle of a trace, to be fetched now; that goes into the audit. Needs a writing session. Raises NotFound."""
    wanted = (EvidenceBundle.public_id == public_id, EvidenceBundle.trace_query_id == query.id)
    bundle = session.scalar(select(EvidenceBundle).where(*wanted))
    if bundle is None or bundle.state is not BundleState.READY:
        raise NotFound("evidence.not_found", "There is no such bundle. Make a new one on the page of the trace.")
    audit.record(session, reader, "evidence_bundle.fetched", bundle, facts={"sha256": bundle.sha256})
    return bundle


def ready(session: Session, bundle_id: uuid.UUID, storage_key: str, sha256: str) -> None:
    """The bundle is stored. Does nothing for one that is gone or done."""
    bundle = session.get(EvidenceBundle, bundle_id)
    if bundle is not None and bundle.state is BundleState.WAITING:
        bundle.storage_key, bundle.sha256, bundle.ready_at = storage_key, sha256, now()
        move(session, bundle, BundleState.READY, MAKER, facts={"sha256": sha256})


def give_up(session: Session, bundle_id: uuid.UUID, problem: str) -> None:
    """It can't be made; `problem` is a sentence for the moderator."""
    bundle = session.get(EvidenceBundle, bundle_id)
    if bundle is not None and bundle.state is BundleState.WAITING:
        bundle.problem = problem
        move(session, bundle, BundleState.FAILED, MAKER, reason=problem)
