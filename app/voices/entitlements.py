"""What a plan has room for: voices beyond it are switched off, and come back when there is room again.

Only made voices count here (cloning or ready): a draft takes a slot when a new voice is asked for, but switches no
other voice off. Nothing of a voice that is switched off is lost, and it takes no slot.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts.models import Account
from app.billing.plans import plan_of
from app.billing.subscriptions import on_plan_change
from app.core import audit
from app.core.audit import Actor
from app.core.states import lock, move
from app.jobs import service as jobs
from app.jobs.models import JobKind
from app.voices.models import Consent, DisabledFor, Voice, VoiceState
from app.voices.service import NEEDS_CONSENT, clone_verdict, hold_still, lock_account, switch_off

MADE = (VoiceState.CLONING, VoiceState.READY)
REASON = "the plan has no room for it"


@on_plan_change
def fit_voices(session: Session, account: Account, actor: Actor) -> None:
    """Switch voices off that the account's plan has no room for, newest first, or bring some back, oldest first.

    Called for every change of plan; also to be called when a voice was deleted. What these voices were about to say is
    cancelled. Voices that are off for their consent or by a decision stay as they are.
    """
    lock_account(session, account)
    slots, problem = plan_of(account).voice_slots, no_room(account)
    made = _voices(session, account, MADE)
    for voice in made[slots:][::-1]:
        under_way = hold_still(session, voice)
        if voice.state in MADE:  # not if making it has failed meanwhile
            switch_off(session, voice, DisabledFor.PLAN, problem, under_way, actor, REASON)
    room = slots - len(made)
    for voice in _voices(session, account, (VoiceState.DISABLED,), DisabledFor.PLAN):
        if room <= 0:
            voice.problem = problem
        elif _bring_back(session, account, voice, actor):
            room -= 1


def switch_off_if_over(session: Session, voice: Voice, actor: Actor) -> None:
    """A voice has just been made: if the plan has changed meanwhile, it may have no room for it any more."""
    account = session.get_one(Account, voice.account_id, populate_existing=True)
    if len(_voices(session, account, MADE)) > plan_of(account).voice_slots:
        switch_off(session, voice, DisabledFor.PLAN, no_room(account), [], actor, REASON)


def no_room(account: Account) -> str:
    """Why a voice is off that the plan has no room for, and what switches it on again, for the person."""
    plan = plan_of(account)
    if plan.voice_slots == 0:
        return (
            f"The {plan.name} plan has stock voices only, so this voice is switched off. Nothing of it is lost: it "
            "comes back by itself when you choose a paid plan."
        )
    return (
        f"The {plan.name} plan has no room for this voice, so it is switched off. Nothing of it is lost: it comes back "
        "by itself when you choose a larger plan or delete another voice."
    )


def _voices(
    session: Session, account: Account, states: tuple[VoiceState, ...], disabled_for: DisabledFor | None = None
) -> list[Voice]:
    """Voices of the account in some states, oldest first, as they are now."""
    query = select(Voice).where(Voice.account_id == account.id, Voice.state.in_(states)).order_by(Voice.id)
    if disabled_for is not None:
        query = query.where(Voice.disabled_for == disabled_for)
    session.flush()
    return list(session.scalars(query.execution_options(populate_existing=True)))


def _bring_back(session: Session, account: Account, voice: Voice, actor: Actor) -> bool:
    """Switch a voice on again, if its consent is still in force; gives whether it takes a slot now."""
    lock(session, voice)
    consent = session.get(Consent, voice.consent_id, populate_existing=True) if voice.consent_id else None
    if consent is None or not consent.in_force or consent.voice_id != voice.id:
        voice.disabled_for, voice.problem = DisabledFor.CONSENT, NEEDS_CONSENT
        audit.record(session, actor, "voice.needs_consent", voice, reason="its consent is no longer in force")
        return False
    if voice.artefact_key is None:
        return _make_again(session, account, voice, actor)
    voice.consent_in_force, voice.disabled_for, voice.problem = True, None, None
    move(session, voice, VoiceState.READY, actor, reason="the plan has room for it again")
    return True


def _make_again(session: Session, account: Account, voice: Voice, actor: Actor) -> bool:
    """Go on with a voice that was switched off while it was being made, in the queue that it was in."""
    stopped = jobs.latest(session, voice.id, JobKind.CLONE)
    verdict = clone_verdict(session, account)
    if stopped is None or not verdict.allowed:
        voice.problem = f"{verdict.message} {verdict.fix}".strip() or no_room(account)
        return False
    voice.consent_in_force, voice.disabled_for, voice.problem = True, None, None
    move(session, voice, VoiceState.CLONING, actor, reason="the plan has room for it again")
    jobs.create(
        session,
        JobKind.CLONE,
        queue=stopped.queue,
        subject_id=voice.id,
        account_id=voice.account_id,
        priority=stopped.priority,
        verdict=verdict.as_facts(),
    )
    return True
