"""What can be done with voices: start one from a sample, look it up, disable, delete."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from app.accounts.models import Account
from app.accounts.rules import Capability, is_verified
from app.accounts.standing import capabilities_of
from app.billing.plans import plan_of
from app.core import audit
from app.core.audit import Actor
from app.core.db import now
from app.core.erasing import forget_objects
from app.core.errors import Invalid, NotFound, Refused
from app.core.states import lock, move
from app.core.text import one_line, printable
from app.core.uploads import Upload
from app.jobs import service as jobs
from app.jobs.models import Job, JobKind
from app.policy.rules import CloneFacts, Verdict, may_clone
from app.voices.models import (
    Consent,
    ConsentState,
    DisabledFor,
    Sample,
    SampleFile,
    SampleState,
    Voice,
    VoiceState,
)

SAME_UPLOAD_WITHIN = timedelta(hours=1)
"""The same files under the same name within this time are a repeated request, not a second voice."""

MAX_SAMPLES = 10
"""Samples that one voice may try."""

NEEDS_CONSENT = "The speaker took the consent back. When they read a new sentence, the voice is made again."
"""The problem of a voice that is switched off for its consent."""


def count_voices(session: Session, account: Account) -> int:
    """How many voice slots the account has in use: every voice of its own, but for deleted ones and for those that are
    off because the plan has no room for them: these come back only where there is room."""
    query = select(func.count()).where(
        Voice.account_id == account.id,
        Voice.state != VoiceState.DELETED,
        Voice.disabled_for.is_distinct_from(DisabledFor.PLAN),
    )
    return session.scalar(query) or 0


def clone_verdict(session: Session, account: Account, *, extra: int = 1) -> Verdict:
    """Whether the account may have `extra` more voices; the facts come from this transaction."""
    plan = plan_of(account)
    return may_clone(
        CloneFacts(
            may_clone=Capability.CLONE in capabilities_of(account),
            standing=account.state.value,
            closing=account.closing_at is not None,
            plan_name=plan.name,
            plan_paid=plan.paid,
            verified=is_verified(account.verified_at, account.recheck_by, now()),
            recheck_due=account.verified_at is not None,
            voices=count_voices(session, account) + extra - 1,
            voice_slots=plan.voice_slots,
        )
    )


def enforce(verdict: Verdict) -> None:
    """Raise Refused with the verdict's rule unless it allows."""
    if not verdict.allowed:
        raise Refused(verdict.rule, verdict.message, rule=verdict.rule, fix=verdict.fix, facts=verdict.as_facts())


def start_voice(
    session: Session,
    account: Account,
    *,
    name: str,
    language: str,
    uploads: Sequence[Upload],
    actor: Actor,
    description: str = "",
    labels: dict[str, Any] | None = None,
) -> Voice:
    """Make a draft voice from uploaded files and have them checked. The same upload twice gives the same voice.

    Raises Refused when the account may not clone, Invalid for a bad name or no files.
    """
    name = one_line(name, 80)
    if not name:
        raise Invalid("voice.name", "Give the voice a name.")
    if not uploads:
        raise Invalid("voice.no_files", "Add at least one recording of the speaker.")
    digest = _digest_of(uploads)
    lock_account(session, account)
    again = _same_upload(session, account, name, digest)
    if again is not None:
        return again
    verdict = clone_verdict(session, account)
    enforce(verdict)
    voice = Voice(
        account_id=account.id,
        name=name,
        language=language,
        description=printable(description)[:1000],
        labels=labels or {},
    )
    session.add(voice)
    session.flush()
    audit.record(session, actor, "voice.started", voice, facts={"files": len(uploads)})
    _put_sample(session, voice, uploads, digest, verdict)
    return voice


def lock_account(session: Session, account: Account) -> None:
    """Read the account again and make its other requests wait: standing and counts read now hold at the commit."""
    lock(session, account)


def _same_upload(session: Session, account: Account, name: str, digest: str) -> Voice | None:
    query = (
        select(Voice)
        .join(Sample, Sample.voice_id == Voice.id)
        .where(
            Voice.account_id == account.id,
            Voice.name == name,
            Voice.state != VoiceState.DELETED,
            Sample.digest == digest,
            Sample.created_at > now() - SAME_UPLOAD_WITHIN,
        )
    )
    return session.scalars(query).first()


def _limit_samples(session: Session, voice: Voice) -> None:
    """Checking a sample costs seconds of a worker: nobody gets to keep one busy with rejected uploads."""
    tried = session.scalar(select(func.count(Sample.id)).where(Sample.voice_id == voice.id)) or 0
    if tried >= MAX_SAMPLES:
        raise Refused(
            "voice.sample_attempts",
            f"{MAX_SAMPLES} samples of this voice were rejected.",
            rule="voice.sample_attempts",
            fix="Delete this voice and make a new one, with a recording that meets the checks.",
        )


def add_sample(session: Session, voice: Voice, uploads: Sequence[Upload]) -> Sample:
    """Add another sample to a draft voice whose first was rejected, and have it checked.

    Raises Invalid while there is one that is being checked or accepted (consent is given for that one), and Refused
    when the account may not clone.
    """
    account = session.get_one(Account, voice.account_id)
    lock_account(session, account)
    lock(session, voice)
    kept = select(Sample.id).where(Sample.voice_id == voice.id, Sample.state != SampleState.REJECTED)
    if voice.state is not VoiceState.DRAFT or session.scalar(kept.limit(1)) is not None:
        raise Invalid("voice.not_draft", "This voice already has its sample. Make a new voice for another recording.")
    verdict = clone_verdict(session, account, extra=0)
    enforce(verdict)
    _limit_samples(session, voice)
    return _put_sample(session, voice, uploads, _digest_of(uploads), verdict)


def _digest_of(uploads: Sequence[Upload]) -> str:
    return hashlib.sha256("".join(upload.digest for upload in uploads).encode()).hexdigest()


def _put_sample(session: Session, voice: Voice, uploads: Sequence[Upload], digest: str, verdict: Verdict) -> Sample:
    sample = Sample(voice_id=voice.id, digest=digest)
    session.add(sample)
    session.flush()
    for position, upload in enumerate(uploads):
        session.add(
            SampleFile(
                sample_id=sample.id,
                position=position,
                name=upload.name[:200],
                size=upload.size,
                digest=upload.digest,
                storage_key=upload.storage_key,
            )
        )
    jobs.create(
        session,
        JobKind.INTAKE,
        queue="cpu",
        subject_id=sample.id,
        account_id=voice.account_id,
        priority=3,
        verdict=verdict.as_facts(),
    )
    return sample


def in_use(session: Session, uploads: Sequence[Upload]) -> bool:
    """Whether a sample is made of these uploads. They are not needed when they only repeated an earlier request."""
    keys = [upload.storage_key for upload in uploads]
    return session.scalar(select(SampleFile.id).where(SampleFile.storage_key.in_(keys)).limit(1)) is not None


def voice_of(session: Session, account: Account, public_id: str, *, details: bool = False) -> Voice:
    """A voice that the account may use: its own or a stock voice of the engine in use. Raises NotFound for any other.

    `details` loads its samples with their files, and its consents.
    """
    query = select(Voice).where(Voice.public_id == public_id, Voice.state != VoiceState.DELETED)
    if details:
        query = query.options(selectinload(Voice.samples).selectinload(Sample.files), selectinload(Voice.consents))
    voice = session.scalar(query)
    retired = voice is not None and voice.stock_id is not None and voice.state is not VoiceState.READY
    if voice is None or retired or voice.account_id not in (None, account.id):
        raise NotFound("voice_not_found", "There is no such voice.")
    return voice


def own_voice(session: Session, account: Account, public_id: str, *, details: bool = False) -> Voice:
    """A voice that belongs to the account. Raises NotFound for others and for stock voices."""
    voice = voice_of(session, account, public_id, details=details)
    if voice.account_id is None:
        raise NotFound("voice_not_found", "Stock voices belong to everybody and can't be changed.")
    return voice


def voices_of(session: Session, account: Account, *, stock: bool = True, details: bool = False) -> list[Voice]:
    """The account's voices, newest first, then (if asked) the stock voices."""
    query = select(Voice).where(Voice.account_id == account.id, Voice.state != VoiceState.DELETED)
    if details:
        query = query.options(selectinload(Voice.samples).selectinload(Sample.files), selectinload(Voice.consents))
    own = list(session.scalars(query.order_by(Voice.id.desc())))
    if not stock:
        return own
    stocked = select(Voice).where(Voice.stock_id.is_not(None), Voice.state == VoiceState.READY).order_by(Voice.name)
    if details:
        stocked = stocked.options(selectinload(Voice.samples).selectinload(Sample.files), selectinload(Voice.consents))
    return own + list(session.scalars(stocked))


def rename(voice: Voice, *, name: str, description: str | None, labels: dict[str, Any] | None) -> None:
    """Change what a voice is called."""
    name = one_line(name, 80)
    if not name:
        raise Invalid("voice.name", "Give the voice a name.")
    voice.name = name
    if description is not None:
        voice.description = printable(description)[:1000]
    if labels is not None:
        voice.labels = labels


def delete_voice(session: Session, voice: Voice, actor: Actor, reason: str | None = None) -> None:
    """Take a voice away: its jobs stop, it can't speak again. Clips that it made stay, with their trace.

    Its artefact and the recordings and voiceprints of its samples are deleted from the storage after the commit.
    Consents stay: they are why its clips were allowed.
    """
    _stop(session, voice, VoiceState.DELETED, hold_still(session, voice), actor, reason)
    for consent in session.scalars(select(Consent).where(Consent.voice_id == voice.id)):
        if ConsentState.FAILED in consent.TRANSITIONS.get(consent.state, ()):
            move(session, consent, ConsentState.FAILED, actor, reason="voice deleted")
        elif consent.state is ConsentState.IN_REVIEW:
            move(session, consent, ConsentState.REFUSED, actor, reason="voice deleted")
    forget_objects(session, f"voice:{voice.id}", _erasable_keys(session, voice), account_id=voice.account_id)


def _erasable_keys(session: Session, voice: Voice) -> list[str]:
    """Storage keys of what goes with a deleted voice, also of what a worker may be writing just now."""
    of_voice = select(Sample.id).where(Sample.voice_id == voice.id)
    keys = list(session.scalars(select(SampleFile.storage_key).where(SampleFile.sample_id.in_(of_voice))))
    for sample_id in session.scalars(of_voice):
        keys += sample_keys(sample_id)
    return keys + ([voice.artefact_key] if voice.artefact_key else [])


def sample_keys(sample_id: uuid.UUID) -> list[str]:
    """Where intake keeps what it makes of a sample: clean speech and voiceprint."""
    return [f"samples/{sample_id}/clean.flac", f"samples/{sample_id}/voiceprint.npz"]


def switch_off(
    session: Session,
    voice: Voice,
    why: DisabledFor,
    problem: str,
    under_way: Sequence[Job],
    actor: Actor,
    reason: str,
) -> None:
    """Switch a voice off that is ready or being made, and cancel its jobs, which `hold_still` gives.

    `why` says what switches it on again, `problem` tells the person both, `reason` is for the audit. The voice lets go
    of its consent, which itself stays as it is.
    """
    _stop(session, voice, VoiceState.DISABLED, under_way, actor, reason)
    voice.disabled_for, voice.problem = why, problem
    session.flush()


def _stop(
    session: Session, voice: Voice, to: VoiceState, under_way: Sequence[Job], actor: Actor, reason: str | None
) -> None:
    """Move a voice to a state in which it can't speak, let go of its consent, and stop everything under way."""
    if voice.state is not to:
        move(session, voice, to, actor, reason=reason)
    voice.consent_in_force, voice.disabled_for = None, None
    session.flush()
    for job in under_way:
        jobs.cancel(session, job, actor, reason)


def hold_still(session: Session, voice: Voice) -> list[Job]:
    """Lock a voice, its owner and its open jobs: nothing about it begins or ends before the commit. Gives the jobs."""
    if voice.account_id is not None:
        lock_account(session, session.get_one(Account, voice.account_id))
    samples = session.scalars(select(Sample.id).where(Sample.voice_id == voice.id))
    readings = session.scalars(select(Consent.id).where(Consent.voice_id == voice.id))
    under_way = jobs.hold_open_jobs(session, [voice.id, *samples, *readings])
    lock(session, voice)
    return under_way
