"""The facts that the gate of speech decides on, read in the transaction that makes the clip."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.accounts.key_models import ApiKey
from app.accounts.models import Account
from app.accounts.rules import Capability, is_verified
from app.accounts.signals import SignalKind, raise_signal
from app.accounts.standing import capabilities_of
from app.billing import ledger
from app.billing.plans import plan_of
from app.core.audit import Actor
from app.core.db import now
from app.jobs.models import OPEN, Job
from app.policy.findings import TextFindings
from app.policy.rules import SpeakFacts, Verdict, VoiceProblem, may_speak
from app.speech.models import Clip
from app.voices.models import Consent, Voice, VoiceState

TEXT_RULES = Actor.system("text rules")


def speak_verdict(
    session: Session,
    account: Account,
    voice: Voice,
    *,
    characters: int,
    text: TextFindings,
    output_format: str,
    api_key_id: uuid.UUID | None,
) -> Verdict:
    """Whether a text of so many characters, in which `text` was found, may be spoken. The account must be locked."""
    plan = plan_of(account)
    return may_speak(
        SpeakFacts(
            may_speak=Capability.SPEAK in capabilities_of(account),
            standing=account.state.value,
            closing=account.closing_at is not None,
            plan_name=plan.name,
            plan_paid=plan.paid,
            verified=is_verified(account.verified_at, account.recheck_by, now()),
            recheck_due=account.verified_at is not None,
            cloned=voice.account_id is not None,
            consent_in_force=_consent_in_force(session, voice),
            voice_problem=_problem_of(voice),
            format_name=output_format,
            format_allowed=plan.has_format(output_format),
            open_clips=_open_clips(session, account),
            concurrency=plan.concurrency,
            characters=characters,
            characters_left=ledger.balance_of(session, account).spendable,
            key_cap_left=_key_cap_left(session, api_key_id),
            text=text,
        )
    )


def tell_moderators(session: Session, clip: Clip, verdict: Verdict) -> None:
    """Open a signal for a clip whose text may be spoken but that moderators should look at. Holds no word of it."""
    if not verdict.flags:
        return
    raise_signal(
        session,
        clip.account_id,
        SignalKind.TEXT_RULE,
        clip.public_id,
        f"A clip was asked for whose text looks like this: {'; '.join(flag.title for flag in verdict.flags)}.",
        actor=TEXT_RULES,
        facts={"clip": clip.public_id, "rules": [flag.rule for flag in verdict.flags], "packs": dict(verdict.packs)},
    )


def _open_clips(session: Session, account: Account) -> int:
    query = (
        select(func.count(Clip.id))
        .join(Job, Clip.job_id == Job.id)
        .where(Clip.account_id == account.id, Job.state.in_(OPEN))
    )
    return session.scalar(query) or 0


def _key_cap_left(session: Session, api_key_id: uuid.UUID | None) -> int | None:
    cap = session.scalar(select(ApiKey.character_cap).where(ApiKey.id == api_key_id)) if api_key_id else None
    if api_key_id is None or cap is None:
        return None
    return cap - ledger.spent_with_key(session, api_key_id)


_PROBLEMS: Mapping[VoiceState, VoiceProblem | None] = {
    VoiceState.READY: None,
    VoiceState.DRAFT: VoiceProblem.UNFINISHED,
    VoiceState.CLONING: VoiceProblem.BEING_MADE,
    VoiceState.FAILED: VoiceProblem.FAILED,
}


def _problem_of(voice: Voice) -> VoiceProblem | None:
    if voice.disabled_for is not None:
        return VoiceProblem(voice.disabled_for)
    return _PROBLEMS.get(voice.state, VoiceProblem.FAILED)


def _consent_in_force(session: Session, voice: Voice) -> bool:
    if voice.consent_id is None:
        return voice.account_id is None
    return bool(session.scalar(select(Consent.in_force).where(Consent.id == voice.consent_id)))
