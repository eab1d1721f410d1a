"""Asking for speech, and the ledger row that comes before its audio."""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
import uuid
from datetime import timedelta

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session, joinedload

from app.accounts.models import Account
from app.billing import ledger
from app.billing.outgoing import bill_overage
from app.billing.plans import plan_of
from app.core import crypto
from app.core.audit import Actor
from app.core.db import new_id, now
from app.core.errors import Invalid, NotFound
from app.core.text import printable
from app.jobs import service as jobs
from app.jobs.models import OPEN, Job, JobKind, JobState
from app.policy.packs import text_rules
from app.settings import Settings
from app.speech.formats import FORMATS
from app.speech.gate import speak_verdict, tell_moderators
from app.speech.models import Clip, Generation
from app.voices.models import Voice
from app.voices.service import enforce, lock_account, voice_of

MIN_SPEED, MAX_SPEED = 0.7, 1.3
REPEATED_WITHIN = timedelta(minutes=5)


def ask_for_speech(
    session: Session,
    account: Account,
    *,
    voice_id: str,
    text: str,
    output_format: str,
    settings: Settings,
    speed: float = 1.0,
    seed: int | None = None,
    language: str | None = None,
    api_key_id: uuid.UUID | None = None,
) -> Clip:
    """Put a clip and its job into the caller's transaction, if the gate lets it pass.

    `voice_id` is a public id. Raises NotFound, Invalid (text, format, speed) or Refused with the rule.
    """
    voice = voice_of(session, account, voice_id)
    text = clean_text(text, settings.speech.max_characters)
    if output_format not in FORMATS:
        raise Invalid("output_format", f"Unknown format. Known are: {', '.join(FORMATS)}.")
    if not MIN_SPEED <= speed <= MAX_SPEED:
        raise Invalid("speed", f"Speed goes from {MIN_SPEED} to {MAX_SPEED}.")
    language = language or voice.language
    found = text_rules(settings).read(text, language=language, cloned=voice.account_id is not None)
    lock_account(session, account)
    session.refresh(voice)  # it can't be taken away from here on: that takes the same lock
    verdict = speak_verdict(
        session,
        account,
        voice,
        characters=len(text),
        text=found,
        output_format=output_format,
        api_key_id=api_key_id,
    )
    enforce(verdict)
    seed = secrets.randbelow(2**32) if seed is None else seed
    job = jobs.create(
        session,
        JobKind.SPEAK,
        queue=settings.jobs.speech_queue,
        subject_id=voice.id,
        account_id=account.id,
        priority=plan_of(account).priority,
        verdict=verdict.as_facts(),
    )
    ledger.reserve(session, account, job_id=job.id, characters=len(text), api_key_id=api_key_id)
    clip = Clip(
        account_id=account.id,
        voice_id=voice.id,
        job_id=job.id,
        text=text,
        language=language,
        output_format=output_format,
        speed=speed,
        seed=seed,
    )
    session.add(clip)
    session.flush()
    tell_moderators(session, clip, verdict)
    return clip


def asked_before(
    session: Session,
    account: Account,
    *,
    voice_id: str,
    text: str,
    output_format: str,
    speed: float,
    seed: int | None,
    language: str | None,
    waited: timedelta,
) -> Clip | None:
    """The clip of an equal request whose answer was 504 after `waited`: clients repeat such a request by themselves.

    It must be the same text in the same voice, format and speed, with the seed and language if the request names them,
    old enough that its request is over, and still being made or done within the last few minutes. So a repeated request
    neither speaks nor charges twice.
    """
    query = (
        select(Clip)
        .join(Job, Clip.job_id == Job.id)
        .join(Voice, Clip.voice_id == Voice.id)
        .where(
            Clip.account_id == account.id,
            Voice.public_id == voice_id,
            Clip.text == text,
            Clip.output_format == output_format,
            Clip.speed == speed,
            Clip.created_at <= now() - waited,
            or_(Job.state.in_(OPEN), and_(Job.state == JobState.DONE, Job.finished_at > now() - REPEATED_WITHIN)),
        )
        .order_by(Clip.id.desc())
    )
    if seed is not None:
        query = query.where(Clip.seed == seed)
    if language is not None:
        query = query.where(Clip.language == language)
    return session.scalars(query.limit(1)).first()


def clean_text(text: str, limit: int) -> str:
    """The text without control characters. Raises Invalid when it is too long or has nothing to say."""
    if len(text) > limit:
        raise Invalid(
            "max_character_limit_exceeded",
            f"The text has {len(text):,} characters; {limit:,} are the most at once. Send it in parts.",
        )
    kept = printable(text)
    if not any(unicodedata.category(c)[0] in "LN" for c in kept):
        raise Invalid("text.nothing_to_say", "There is nothing to say in this text: write some words or numbers.")
    return kept


def commit_generation(session: Session, clip: Clip, *, key: bytes, key_epoch: int, engine: str) -> Generation:
    """The ledger row of a clip: a new one, or the same one again when the job is retried.

    `key` is the secret key of the epoch. The tag is 64 bits of HMAC-SHA256 over the generation and 64 over the account.
    """
    known = session.scalar(select(Generation).where(Generation.clip_id == clip.id))
    if known is not None:
        return known
    voice = session.get_one(Voice, clip.voice_id)
    salt = crypto.secret_token()
    generation_id = new_id()
    tag = (
        crypto.derive(key, "generation", str(generation_id))[:8]
        + crypto.derive(key, "account", str(clip.account_id))[:8]
    )
    row = Generation(
        id=generation_id,
        tag=tag,
        clip_id=clip.id,
        account_id=clip.account_id,
        voice_id=clip.voice_id,
        consent_id=voice.consent_id,
        key_epoch=key_epoch,
        text_salt=salt,
        text_digest=hashlib.sha256((salt + clip.text).encode()).hexdigest(),
        characters=len(clip.text),
        engine=engine,
        seed=clip.seed,
    )
    session.add(row)
    session.flush()
    return row


def charge_for(session: Session, clip: Clip) -> None:
    """The one charge of a finished clip: what was held for it is spent, and billed if it is beyond the allowance."""
    beyond = ledger.settle(session, clip.job_id)
    if beyond > 0:
        generation_id = session.scalars(select(Generation.id).where(Generation.clip_id == clip.id)).one()
        bill_overage(session, session.get_one(Account, clip.account_id), generation_id, beyond)


@jobs.on_unfinished(JobKind.SPEAK)
def _give_back(session: Session, job: Job) -> None:
    """Nothing is charged for a clip that was not made."""
    ledger.release(session, job.id)


def clip_of(session: Session, account: Account, public_id: str) -> Clip:
    """A clip of the account with its voice and job. Raises NotFound for others'."""
    query = select(Clip).where(Clip.public_id == public_id).options(joinedload(Clip.voice), joinedload(Clip.job))
    clip = session.scalar(query)
    if clip is None or clip.account_id != account.id:
        raise NotFound("history_item_not_found", "There is no such clip.")
    return clip


def clips_of(
    session: Session,
    account: Account,
    *,
    limit: int,
    before: Clip | None = None,
    skip: int = 0,
    voice_id: str | None = None,
) -> list[Clip]:
    """The account's clips with voice and job, newest first: `limit` of them after `skip`, older than `before`.

    `voice_id` (public, of a voice that may be deleted by now) leaves only its clips.
    """
    query = select(Clip).where(Clip.account_id == account.id)
    if voice_id is not None:
        query = query.where(Clip.voice_id.in_(select(Voice.id).where(Voice.public_id == voice_id)))
    if before is not None:
        query = query.where(Clip.id < before.id)
    query = query.options(joinedload(Clip.voice), joinedload(Clip.job))
    return list(session.scalars(query.order_by(Clip.id.desc()).limit(limit).offset(skip)))


def count_clips(session: Session, account: Account) -> int:
    """How many clips the account has asked for."""
    return session.scalar(select(func.count(Clip.id)).where(Clip.account_id == account.id)) or 0


def cancel_clip(session: Session, clip: Clip, actor: Actor) -> None:
    """Stop a clip that is not finished. Nothing is charged."""
    jobs.cancel(session, session.get_one(Job, clip.job_id), actor, "Cancelled by its owner.")
