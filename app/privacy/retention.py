"""The ends of what is kept for a time only. A legal hold stops each of them for the account that it is on.

What has other timers elsewhere: errands that are done (workers.errands), one-time links, browsers, unfinished sign-ups
(app.accounts.housekeeping), failed log-ins (app.accounts.throttle).
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session, aliased

from app.accounts.holds import held, held_accounts
from app.accounts.models import LoginEvent, LoginSession
from app.core.audit import Actor
from app.core.db import now
from app.core.erasing import forget_objects
from app.core.states import move
from app.privacy import wiping
from app.privacy.models import DataExport, ExportState
from app.provenance.detection import service as detection
from app.provenance.evidence.models import BundleState, EvidenceBundle
from app.provenance.models import TraceQuery, TraceState
from app.settings import Settings
from app.speech.models import Generation
from app.voices.models import Consent, ConsentState, Sample, SampleFile, SampleState, Voice

RETENTION = Actor.system("retention")
AT_ONCE = 200
"""Rows of each kind that one transaction ends: the next round takes the rest."""
UNUSED = (ConsentState.FAILED, ConsentState.REFUSED)


def end_retention(session: Session, settings: Settings) -> dict[str, int]:
    """End what is over; gives how many of each. Call it again while any number is AT_ONCE or more."""
    times, moment = settings.retention, now()
    return {
        "sign-ins": _end_sign_ins(session, moment - times.login_history),
        "exports": _end_exports(session, moment),
        "samples": _end_samples(session, moment - times.rejected_samples),
        "readings": _end_readings(session, moment - times.rejected_samples),
        "sentences": _end_sentences(session, moment - times.rejected_samples),
        "traces": _end_traces(session, moment - times.trace_files),
        "evidence": _end_evidence(session, moment - times.trace_files),
        "askers": detection.forget_askers(session, moment - detection.ASKER_KEPT, AT_ONCE),
        "detections": detection.give_up_waiting(session, moment - detection.WAITS_AT_MOST, AT_ONCE),
    }


def _end_sign_ins(session: Session, before: datetime) -> int:
    """The log-in history, and sessions that ended or ran out as long ago.

    The newest session of an account stays, without what it says of the place: it shows that the account was used, so
    that the next sign-in from a strange browser is told to the holder.
    """
    newer = aliased(LoginSession)
    has_newer = select(newer.id).where(newer.account_id == LoginSession.account_id, newer.id > LoginSession.id).exists()
    over = or_(LoginSession.ended_at < before, LoginSession.expires_at < before), ~held(LoginSession.account_id)
    says_where = or_(LoginSession.address != "", LoginSession.user_agent != "")
    lines = select(LoginEvent.id).where(LoginEvent.at < before, ~held(LoginEvent.account_id))
    old_lines = session.scalars(lines.limit(AT_ONCE)).all()
    old_logins = session.scalars(select(LoginSession.id).where(*over, has_newer).limit(AT_ONCE)).all()
    newest = session.scalars(select(LoginSession.id).where(*over, ~has_newer, says_where).limit(AT_ONCE)).all()
    session.execute(delete(LoginEvent).where(LoginEvent.id.in_(old_lines)))
    session.execute(delete(LoginSession).where(LoginSession.id.in_(old_logins)))
    session.execute(update(LoginSession).where(LoginSession.id.in_(newest)).values(address="", user_agent=""))
    return max(len(old_lines), len(old_logins), len(newest))


def _end_exports(session: Session, moment: datetime) -> int:
    query = select(DataExport).where(DataExport.state == ExportState.READY, DataExport.expires_at <= moment)
    found = session.scalars(query.where(~held(DataExport.account_id)).limit(AT_ONCE)).all()
    for export in found:
        assert export.storage_key is not None, "the schema says so of ready ones"
        forget_objects(session, f"export:{export.id}", [export.storage_key])
        move(session, export, ExportState.EXPIRED, RETENTION)
        export.storage_key = None
    return len(found)


def _end_samples(session: Session, before: datetime) -> int:
    """Recordings of samples that were rejected. Why they were stays with the voice."""
    query = (
        select(Sample, Voice.account_id)
        .join(Voice, Voice.id == Sample.voice_id)
        .where(Sample.state == SampleState.REJECTED, Sample.created_at < before, ~held(Voice.account_id))
        .where(select(SampleFile.id).where(SampleFile.sample_id == Sample.id).exists())
    )
    found = session.execute(query.limit(AT_ONCE)).all()
    for sample, account_id in found:
        keys = wiping.wipe_sample(session, sample, whole=False)
        forget_objects(session, f"sample:{sample.id}", keys, account_id=account_id)
    return len(found)


def _end_readings(session: Session, before: datetime) -> int:
    """Recordings of consent sentences that came to nothing, with the name and the words in them."""
    query = (
        select(Consent, Voice.account_id)
        .join(Voice, Voice.id == Consent.voice_id)
        .where(Consent.state.in_(UNUSED), Consent.recording_key.is_not(None), Consent.recorded_at < before)
        .where(~held(Voice.account_id))
    )
    found = session.execute(query.limit(AT_ONCE)).all()
    for consent, account_id in found:
        forget_objects(session, f"consent:{consent.id}", wiping.wipe_consent(consent), account_id=account_id)
    return len(found)


def _end_sentences(session: Session, before: datetime) -> int:
    """Sentences that nobody read: they hold a name."""
    unread = (ConsentState.PENDING, *UNUSED)
    query = (
        select(Consent.id)
        .join(Voice, Voice.id == Consent.voice_id)
        .where(Consent.state.in_(unread), Consent.recorded_at.is_(None), Consent.expires_at < before)
        .where(~held(Voice.account_id))
    )
    found = session.scalars(query.limit(AT_ONCE)).all()
    session.execute(delete(Consent).where(Consent.id.in_(found)))
    return len(found)


def _end_traces(session: Session, before: datetime) -> int:
    """Files that moderators had traced, unless made or asked about by an account on hold. Question and verdict stay."""
    named = select(Generation.id).where(Generation.id == TraceQuery.generation_id, held(Generation.account_id))
    query = select(TraceQuery).where(
        TraceQuery.state != TraceState.WAITING,
        TraceQuery.created_at < before,
        TraceQuery.storage_key != "",
        TraceQuery.asked_by.not_in([str(account_id) for account_id in held_accounts(session)]),
        ~named.exists(),
    )
    found = session.scalars(query.limit(AT_ONCE)).all()
    for trace in found:
        forget_objects(session, f"trace:{trace.id}", wiping.wipe_trace(trace))
    return len(found)


def _end_evidence(session: Session, before: datetime) -> int:
    """Evidence bundles, under the rules of the files that they are about. That they were made stays in the audit."""
    named = select(TraceQuery.id).join(Generation, Generation.id == TraceQuery.generation_id)
    query = select(EvidenceBundle).where(
        EvidenceBundle.state != BundleState.WAITING,
        EvidenceBundle.created_at < before,
        EvidenceBundle.asked_by.not_in([str(account_id) for account_id in held_accounts(session)]),
        ~named.where(TraceQuery.id == EvidenceBundle.trace_query_id, held(Generation.account_id)).exists(),
    )
    found = session.scalars(query.limit(AT_ONCE)).all()
    for bundle in found:
        forget_objects(session, f"evidence:{bundle.id}", [bundle.storage_key] if bundle.storage_key else [])
        session.delete(bundle)
    return len(found)
