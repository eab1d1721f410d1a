"""Asking for consent and settling it: the sentence, the recording, the decision, the revocation."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from app.accounts.models import Account
from app.accounts.rules import Capability
from app.accounts.standing import require
from app.core import audit
from app.core.audit import Actor
from app.core.db import now
from app.core.errors import Forbidden, Invalid, NotFound, Refused
from app.core.states import lock, move
from app.core.text import one_line, printable
from app.core.uploads import Upload
from app.jobs import service as jobs
from app.jobs.models import JobKind
from app.settings import Settings
from app.voices.models import Consent, ConsentState, DisabledFor, Sample, SampleState, Voice, VoiceState
from app.voices.rules import LANGUAGES, new_challenge, statement_of
from app.voices.service import NEEDS_CONSENT, clone_verdict, enforce, hold_still, lock_account, switch_off


def waits_for_consent(voice: Voice) -> bool:
    """Whether consent can be asked for, and leads to cloning: not for a voice that is off for another reason."""
    if voice.state is VoiceState.DISABLED:
        return voice.disabled_for is DisabledFor.CONSENT
    return voice.state in (VoiceState.DRAFT, VoiceState.FAILED)


def ask(
    session: Session, voice: Voice, *, speaker_name: str, language: str, settings: Settings, actor: Actor
) -> Consent:
    """Issue a new sentence for the speaker of a voice. An older one that was not used yet stops being good.

    Raises Invalid for a bad name or language or a voice that needs no consent now, Refused when the account may not
    clone and after too many sentences.
    """
    speaker_name = one_line(speaker_name, 120)
    if not any(c.isalpha() for c in speaker_name):
        raise Invalid("consent.name", "Write the first and last name of the person whose voice it is.")
    if language not in LANGUAGES:
        known = ", ".join(LANGUAGES)
        raise Invalid("consent.language", f"Consent can be given in these languages so far: {known}.")
    account = session.get_one(Account, voice.account_id)
    lock_account(session, account)
    lock(session, voice)
    if not waits_for_consent(voice):
        off = voice.problem if voice.state is VoiceState.DISABLED else None
        raise Invalid("consent.not_needed", off or "This voice does not wait for consent.")
    enforce(clone_verdict(session, account, extra=0))
    _limit_attempts(session, voice, settings)
    for old in pending_of(session, voice):
        _fail(session, old, actor, "consent.replaced", "A newer sentence was asked for.")
    challenge = [] if settings.test_consent_statement else new_challenge()
    consent = Consent(
        voice_id=voice.id,
        speaker_name=speaker_name,
        language=language,
        challenge=challenge,
        statement=settings.test_consent_statement
        or statement_of(speaker_name, settings.voices.service_name, challenge),
        expires_at=now() + settings.voices.consent_lifetime,
    )
    session.add(consent)
    session.flush()
    audit.record(session, actor, "consent.asked", consent)
    return consent


def _limit_attempts(session: Session, voice: Voice, settings: Settings) -> None:
    day_ago = now() - timedelta(days=1)
    query = select(func.count()).where(Consent.voice_id == voice.id, Consent.created_at > day_ago)
    if (session.scalar(query) or 0) >= settings.voices.consent_attempts:
        raise Refused(
            "consent.attempts",
            f"This voice has had {settings.voices.consent_attempts} sentences within a day.",
            rule="consent.attempts",
            fix="Wait a day, or ask for help: somebody may have to listen.",
        )


def pending_of(session: Session, voice: Voice) -> list[Consent]:
    """Sentences of the voice that were issued and not yet recorded, newest first."""
    query = select(Consent).where(Consent.voice_id == voice.id, Consent.state == ConsentState.PENDING)
    return list(session.scalars(query.order_by(Consent.id.desc())))


def submit(session: Session, voice: Voice, recording: Upload, actor: Actor) -> Consent:
    """Take the recording of the sentence that is pending; it is used up, whatever the outcome.

    Raises Invalid when there is none or it has expired.
    """
    lock(session, voice)
    pending = pending_of(session, voice)
    if not pending:
        raise Invalid("consent.none_pending", "There is no sentence to read yet. Ask for one first.")
    consent = pending[0]
    if consent.expires_at <= now():
        raise Invalid(
            "consent.expired",
            "The sentence has expired. Ask for a new one and read it within the time shown.",
        )
    consent.recording_key, consent.recording_size, consent.recorded_at = (
        recording.storage_key,
        recording.size,
        now(),
    )
    move(session, consent, ConsentState.CHECKING, actor)
    sample = accepted_sample(session, voice)
    if sample is not None:
        have_checked(session, voice, consent, sample)
    return consent


def accepted_sample(session: Session, voice: Voice) -> Sample | None:
    """The voice's accepted sample."""
    query = select(Sample).where(Sample.voice_id == voice.id, Sample.state == SampleState.ACCEPTED)
    return session.scalars(query.order_by(Sample.id.desc())).first()


def have_checked(session: Session, voice: Voice, consent: Consent, sample: Sample) -> None:
    """Queue the comparison of a recording with its sentence and with the sample. It will be a consent for that one."""
    consent.sample_id = sample.id
    jobs.create(session, JobKind.CONSENT, queue="cpu", subject_id=consent.id, account_id=voice.account_id, priority=2)


def consented_sample(session: Session, voice: Voice) -> Sample | None:
    """The sample that the voice's consent was compared with: the only one that it may be cloned from."""
    query = select(Sample).join(Consent, Consent.sample_id == Sample.id).where(Consent.id == voice.consent_id)
    return session.scalar(query)


def waiting_for_sample(session: Session, voice: Voice) -> list[Consent]:
    """Consents whose recording came before the sample was judged."""
    query = select(Consent).where(
        Consent.voice_id == voice.id, Consent.state == ConsentState.CHECKING, Consent.sample_id.is_(None)
    )
    return list(session.scalars(query))


def put_in_force(
    session: Session, consent: Consent, actor: Actor, *, speech_queue: str, reason: str | None = None
) -> None:
    """Verify a consent and have the voice cloned, if it still waits for that and the account still may."""
    move(session, consent, ConsentState.VERIFIED, actor, reason=reason)
    consent.in_force = True
    session.flush()
    voice = session.get_one(Voice, consent.voice_id)
    if waits_for_consent(voice):
        start_clone(session, voice, consent, actor, speech_queue=speech_queue)


def start_clone(session: Session, voice: Voice, consent: Consent, actor: Actor, *, speech_queue: str) -> None:
    """Tie the consent to the voice and queue the cloning; a refusal of the gate is shown on the voice instead."""
    account = session.get_one(Account, voice.account_id)
    verdict = clone_verdict(session, account, extra=0)
    if not verdict.allowed:
        voice.problem = f"{verdict.message} {verdict.fix}"
        audit.record(session, actor, "voice.clone_refused", voice, reason=verdict.message, facts={"rule": verdict.rule})
        return
    voice.consent_id, voice.consent_in_force = consent.id, True
    voice.disabled_for, voice.problem = None, None
    move(session, voice, VoiceState.CLONING, actor)
    jobs.create(
        session,
        JobKind.CLONE,
        queue=speech_queue,
        subject_id=voice.id,
        account_id=voice.account_id,
        priority=2,
        verdict=verdict.as_facts(),
    )


def decide(
    session: Session, consent: Consent, moderator: Account, *, approve: bool, reason: str, speech_queue: str
) -> None:
    """A moderator settles a consent that the machine could not. Raises Invalid unless it is in review.

    Nobody settles a consent of his own account.
    """
    require(moderator, Capability.MODERATE)
    voice = session.get_one(Voice, consent.voice_id)
    if voice.account_id == moderator.id:
        raise Forbidden("consent.own_case", "Somebody else must decide about a voice of your own account.")
    lock(session, voice)
    lock(session, consent)
    if consent.state is not ConsentState.IN_REVIEW:
        raise Invalid(
            "consent.not_in_review",
            f"This consent is {consent.state.value.replace('_', ' ')}; nothing is left to decide.",
        )
    reason = printable(reason)[:2000]
    if not reason:
        raise Invalid("consent.reason", "Write the reason for your decision: the customer will read it.")
    actor = Actor("account", str(moderator.id))
    consent.decided_by, consent.decision_reason, consent.decided_at = moderator.id, reason, now()
    if approve:
        put_in_force(session, consent, actor, speech_queue=speech_queue, reason=reason)
    else:
        move(session, consent, ConsentState.REFUSED, actor, reason=reason)


def revoke(session: Session, consent: Consent, actor: Actor, reason: str | None = None) -> None:
    """Take a consent back: the voice stops at once, and everything that it was about to say is cancelled.

    Raises Invalid when it is not in force.
    """
    voice = session.get_one(Voice, consent.voice_id)
    under_way = hold_still(session, voice)
    lock(session, consent)
    if consent.state is not ConsentState.VERIFIED:
        raise Invalid("consent.not_in_force", "There is no consent in force to revoke.")
    if voice.consent_id == consent.id and voice.consent_in_force:
        why = reason or "consent revoked"
        switch_off(session, voice, DisabledFor.CONSENT, NEEDS_CONSENT, under_way, actor, why)
    elif voice.consent_id == consent.id and voice.disabled_for is DisabledFor.PLAN:
        voice.disabled_for, voice.problem = DisabledFor.CONSENT, NEEDS_CONSENT
    consent.in_force, consent.revoked_at = False, now()
    move(session, consent, ConsentState.REVOKED, actor, reason=reason)


def in_review(session: Session) -> list[Consent]:
    """Consents that wait for a moderator, oldest first, with their voices."""
    query = select(Consent).where(Consent.state == ConsentState.IN_REVIEW).options(selectinload(Consent.voice))
    return list(session.scalars(query.order_by(Consent.id)))


def consent_for_moderator(session: Session, public_id: str) -> Consent:
    """A consent with its voice. Raises NotFound."""
    query = select(Consent).where(Consent.public_id == public_id).options(selectinload(Consent.voice))
    consent = session.scalar(query)
    if consent is None:
        raise NotFound("consent_not_found", "There is no such consent.")
    return consent


def _fail(session: Session, consent: Consent, actor: Actor, code: str, message: str) -> None:
    consent.reasons = [{"code": code, "message": message}]
    move(session, consent, ConsentState.FAILED, actor, reason=message)
