"""What an export holds: the rows of an account in words that its holder can read, and the files that belong to them.

Left out are signals (they are about suspicions, and would warn those whom they are right about), who of the staff
decided something, and secrets, of which only digests are stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session, joinedload, selectinload

from app.accounts.key_models import ApiKey
from app.accounts.models import Account, LoginEvent, LoginSession
from app.billing.gateway import InvoiceFacts
from app.billing.models import LedgerEntry, Verification
from app.core.audit import AuditEntry
from app.privacy.archive import Writer
from app.provenance.delivery import deliver, stamps_of
from app.speech.formats import FORMATS
from app.speech.models import Clip
from app.voices.models import Consent, Sample, SampleFile, Voice, VoiceState

AT_ONCE = 200
"""Rows in memory at a time."""
_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")


def write_rows(session: Session, account: Account, writer: Writer) -> None:
    """All files of rows but the invoices."""
    writer.one("account.json", _account(session, account))
    writer.rows("voices.json", _voices(session, account))
    writer.rows("clips.json", _clips(session, account))
    writer.rows("usage.json", _usage(session, account))
    writer.rows("sign_ins.json", _sign_ins(session, account))
    writer.rows("keys.json", _keys(session, account))
    writer.rows("decisions.json", _decisions(session, account))


def write_invoices(invoices: Sequence[InvoiceFacts], writer: Writer) -> None:
    """Invoices as the provider gave them."""
    writer.rows("invoices.json", (vars(invoice) for invoice in invoices))


def write_recordings(session: Session, account: Account, writer: Writer) -> None:
    """Samples and readings of consent sentences, as they were uploaded."""
    for voice in _kept_voices(session, account):
        folder = f"voices/{voice.public_id}"
        for number, sample in enumerate(voice.samples, 1):
            for file in sample.files:
                name = _sample_path(voice, number, file)
                writer.recording(name, file.storage_key, f"Recording that you uploaded for the voice {voice.name}.")
        for number, consent in enumerate(voice.consents, 1):
            if consent.recording_key is not None:
                about = f"The sentence of consent, read by {consent.speaker_name}."
                writer.recording(f"{folder}/consent-{number}", consent.recording_key, about)


def write_clips(session: Session, account: Account, writer: Writer) -> None:
    """Finished clips, marked and signed as they are everywhere. Raises Forbidden for an account that is banned."""
    for clips in _clip_pages(session, account):
        stamps = stamps_of(session, clips)
        for clip in clips:
            if clip.id in stamps:
                writer.clip(_clip_path(clip), deliver(stamps[clip.id], account, clip), "A clip that you had made.")


def _account(session: Session, account: Account) -> dict[str, Any]:
    proofs = session.scalars(select(Verification).where(Verification.account_id == account.id))
    return {
        "id": account.public_id,
        "name": account.name,
        "email": account.email,
        "email_verified_at": account.email_verified_at,
        "role": account.role,
        "plan": account.plan,
        "standing": account.state,
        "suspended_until": account.suspended_until,
        "verified_at": account.verified_at,
        "closing_at": account.closing_at,
        "created_at": account.created_at,
        "proofs_of_identity": [
            {"by": row.method, "state": row.state, "begun_at": row.created_at, "finished_at": row.finished_at}
            for row in proofs
        ],
    }


def _kept_voices(session: Session, account: Account) -> list[Voice]:
    query = select(Voice).where(Voice.account_id == account.id, Voice.state != VoiceState.DELETED)
    query = query.options(selectinload(Voice.samples).selectinload(Sample.files), selectinload(Voice.consents))
    return list(session.scalars(query.order_by(Voice.id)))


def _voices(session: Session, account: Account) -> Iterator[dict[str, Any]]:
    for voice in _kept_voices(session, account):
        yield {
            "id": voice.public_id,
            "name": voice.name,
            "description": voice.description,
            "labels": voice.labels,
            "language": voice.language,
            "state": voice.state,
            "created_at": voice.created_at,
            "samples": [_sample(voice, number, sample) for number, sample in enumerate(voice.samples, 1)],
            "consents": [_consent(consent) for consent in voice.consents],
        }


def _sample(voice: Voice, number: int, sample: Sample) -> dict[str, Any]:
    return {
        "state": sample.state,
        "files": [{"name": file.name, "file": _sample_path(voice, number, file)} for file in sample.files],
        "checks": sample.checks,
        "reasons": sample.reasons,
        "measures": sample.measures,
        "speech_seconds": sample.speech_seconds,
        "created_at": sample.created_at,
    }


def _consent(consent: Consent) -> dict[str, Any]:
    return {
        "id": consent.public_id,
        "state": consent.state,
        "speaker_name": consent.speaker_name,
        "statement": consent.statement,
        "transcript": consent.transcript,
        "scores": consent.scores,
        "reasons": consent.reasons,
        "decision_reason": consent.decision_reason,
        "asked_at": consent.created_at,
        "recorded_at": consent.recorded_at,
        "decided_at": consent.decided_at,
        "revoked_at": consent.revoked_at,
    }


def _clip_pages(session: Session, account: Account) -> Iterator[list[Clip]]:
    """All clips of the account, oldest first, a few at a time."""
    query = select(Clip).where(Clip.account_id == account.id).order_by(Clip.id).limit(AT_ONCE)
    query = query.options(joinedload(Clip.voice), joinedload(Clip.job))
    clips = list(session.scalars(query))
    while clips:
        yield clips
        last = clips[-1].id
        session.expunge_all()
        clips = list(session.scalars(query.where(Clip.id > last)))


def _clips(session: Session, account: Account) -> Iterator[dict[str, Any]]:
    for clips in _clip_pages(session, account):
        stamps = stamps_of(session, clips)
        for clip in clips:
            stamp = stamps.get(clip.id)
            yield {
                "id": clip.public_id,
                "text": clip.text,
                "voice": clip.voice.public_id,
                "language": clip.language,
                "format": clip.output_format,
                "speed": clip.speed,
                "seed": clip.seed,
                "state": clip.job.state,
                "created_at": clip.created_at,
                "file": _clip_path(clip) if stamp else None,
                "seconds": stamp.seconds if stamp else None,
                "sha256": stamp.sha256 if stamp else None,
            }


def _usage(session: Session, account: Account) -> Iterator[dict[str, Any]]:
    query = select(LedgerEntry).where(LedgerEntry.account_id == account.id).order_by(LedgerEntry.id)
    for entry in session.scalars(query.execution_options(yield_per=AT_ONCE)):
        yield {"at": entry.at, "period": entry.period, "kind": entry.kind, "characters": entry.characters}


def _sign_ins(session: Session, account: Account) -> Iterator[dict[str, Any]]:
    lines = select(LoginEvent).where(LoginEvent.account_id == account.id).order_by(LoginEvent.id)
    for line in session.scalars(lines.execution_options(yield_per=AT_ONCE)):
        where = {"address": line.address, "browser": line.user_agent}
        yield {"at": line.at, "what": line.outcome, "means": line.means, **where}
    logins = select(LoginSession).where(LoginSession.account_id == account.id).order_by(LoginSession.id)
    for login in session.scalars(logins.execution_options(yield_per=AT_ONCE)):
        where = {"address": login.address, "browser": login.user_agent}
        yield {"at": login.created_at, "what": "session", "seen_at": login.seen_at, "ended_at": login.ended_at, **where}


def _keys(session: Session, account: Account) -> Iterator[dict[str, Any]]:
    for key in session.scalars(select(ApiKey).where(ApiKey.account_id == account.id).order_by(ApiKey.id)):
        yield {
            "name": key.name,
            "begins_with": key.prefix,
            "scopes": key.scopes,
            "character_cap": key.character_cap,
            "allowed_networks": key.allowed_networks,
            "created_at": key.created_at,
            "expires_at": key.expires_at,
            "last_used_at": key.last_used_at,
            "last_address": key.last_address,
            "ended_at": key.revoked_at,
        }


def _decisions(session: Session, account: Account) -> Iterator[dict[str, Any]]:
    """What others did with the account and its things. Who of the staff it was is nobody's business but the staff's."""
    query = select(AuditEntry).where(_about(session, account)).order_by(AuditEntry.id)
    for entry in session.scalars(query.execution_options(yield_per=AT_ONCE)):
        own = entry.actor_kind == "account" and entry.actor_id == str(account.id)
        yield {
            "at": entry.at,
            "what": entry.action,
            "by": "you" if own else "the service" if entry.actor_kind == "system" else "a person of the service",
            "before": entry.before,
            "after": entry.after,
            "reason": entry.reason,
        }


def _about(session: Session, account: Account) -> ColumnElement[bool]:
    voices = session.scalars(select(Voice.id).where(Voice.account_id == account.id)).all()
    consents = session.scalars(select(Consent.id).where(Consent.voice_id.in_(voices))).all()
    return or_(
        and_(AuditEntry.subject_kind == "account", AuditEntry.subject_id == str(account.id)),
        and_(AuditEntry.subject_kind == "voice", AuditEntry.subject_id.in_([str(one) for one in voices])),
        and_(AuditEntry.subject_kind == "consent", AuditEntry.subject_id.in_([str(one) for one in consents])),
    )


def _sample_path(voice: Voice, number: int, file: SampleFile) -> str:
    """Positions keep names apart; only plain characters, so that nothing can be unpacked elsewhere."""
    plain = _PLAIN.sub("_", file.name).strip("._")[-80:] or "recording"
    return f"voices/{voice.public_id}/sample-{number}/{file.position}-{plain}"


def _clip_path(clip: Clip) -> str:
    return f"clips/{clip.public_id}.{FORMATS[clip.output_format].extension}"
