"""What a change of plan does to voices: those beyond it are switched off, nothing is lost, and they come back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from app.accounts.models import Account, Standing
from app.billing import subscriptions
from app.billing.models import EntryKind, LedgerEntry
from app.billing.plans import PLANS
from app.billing.subscriptions import set_plan
from app.core.errors import Invalid, Refused
from app.jobs.models import Job, JobKind, JobState
from app.jobs.service import JobCancelled
from app.voices.entitlements import fit_voices
from app.voices.models import Consent, ConsentState, DisabledFor, Voice, VoiceState
from app.voices.service import clone_verdict, count_voices
from tests.world import OPERATOR, World

STARTER = PLANS["starter"].voice_slots
OFF_FOR_PLAN = (VoiceState.DISABLED, DisabledFor.PLAN)
READY = (VoiceState.READY, None)


def put_on(world: World, account: Account, plan: str) -> None:
    with world.databases.writing() as session:
        set_plan(session, session.get_one(Account, account.id), plan, OPERATOR, "test")


def standing(world: World, *voices: Voice) -> list[tuple[VoiceState, DisabledFor | None]]:
    rows = [world.get(Voice, voice.id) for voice in voices]
    for row in rows:
        assert (row.state is VoiceState.DISABLED) == (row.disabled_for is not None)
        assert bool(row.problem) == (row.state is VoiceState.DISABLED)
    return [(row.state, row.disabled_for) for row in rows]


@pytest.fixture
def five(world: World) -> tuple[Account, list[Voice]]:
    """A creator with five voices, two more than a starter has room for."""
    account = world.account(plan="creator")
    return account, [world.voice(account) for _ in range(STARTER + 2)]


def test_a_smaller_plan_switches_the_newest_voices_off(world: World, five: tuple[Account, list[Voice]]) -> None:
    account, voices = five
    put_on(world, account, "starter")
    assert standing(world, *voices) == [READY] * STARTER + [OFF_FOR_PLAN] * 2
    world.speak(account, voices[0])
    with pytest.raises(Refused) as refused:
        world.speak(account, voices[-1])
    assert refused.value.rule == "voice_over_plan"


def test_without_a_paid_plan_every_cloned_voice_is_off(world: World, five: tuple[Account, list[Voice]]) -> None:
    account, voices = five
    put_on(world, account, "free")
    assert standing(world, *voices) == [OFF_FOR_PLAN] * len(voices)
    assert "Free plan has stock voices only" in world.get(Voice, voices[0].id).problem
    world.speak(account, world.stock_voice())


def test_voices_come_back_oldest_first_and_speak_at_once(world: World, five: tuple[Account, list[Voice]]) -> None:
    account, voices = five
    put_on(world, account, "free")
    put_on(world, account, "starter")
    assert standing(world, *voices) == [READY] * STARTER + [OFF_FOR_PLAN] * 2
    assert "larger plan or delete another voice" in world.get(Voice, voices[-1].id).problem
    put_on(world, account, "creator")
    assert standing(world, *voices) == [READY] * len(voices)
    world.speak(account, voices[-1])
    world.deliver(world.take(JobKind.SPEAK))


def test_clips_of_a_voice_that_is_switched_off_are_cancelled_and_cost_nothing(
    world: World, five: tuple[Account, list[Voice]]
) -> None:
    account, voices = five
    running, waiting, other = (world.speak(account, voice) for voice in (voices[-1], voices[-1], voices[0]))
    claim = world.take(JobKind.SPEAK)
    put_on(world, account, "starter")
    with pytest.raises(JobCancelled):
        world.deliver(claim)
    world.fail(claim, retry=True)
    assert [world.get(Job, clip.job_id).state for clip in (running, waiting, other)] == [
        JobState.CANCELLED,
        JobState.CANCELLED,
        JobState.QUEUED,
    ]
    released = select(LedgerEntry.job_id).where(LedgerEntry.kind == EntryKind.RELEASE)
    assert set(world.rows(released)) == {running.job_id, waiting.job_id}


def test_voices_that_are_off_for_another_reason_are_never_touched(world: World) -> None:
    account = world.account(plan="creator")
    revoked, decided = world.voice(account, VoiceState.DISABLED), world.voice(account)
    put_on(world, account, "free")
    world.execute("UPDATE voice SET disabled_for = 'decision' WHERE disabled_for = 'plan'")
    for plan in ("studio", "free", "creator"):
        put_on(world, account, plan)
        assert standing(world, revoked, decided) == [
            (VoiceState.DISABLED, DisabledFor.CONSENT),
            (VoiceState.DISABLED, DisabledFor.DECISION),
        ]


# Slots


def test_a_voice_that_is_off_for_the_plan_takes_no_slot_but_gets_a_free_one_first(
    world: World, five: tuple[Account, list[Voice]]
) -> None:
    account, voices = five
    put_on(world, account, "starter")
    with world.databases.reading() as session:
        row = session.get_one(Account, account.id)
        assert count_voices(session, row) == STARTER
        assert clone_verdict(session, row).rule == "clone.slots"
    world.delete(voices[0])
    with world.databases.writing() as session:
        fit_voices(session, session.get_one(Account, account.id), OPERATOR)
    assert standing(world, *voices[1:]) == [READY] * STARTER + [OFF_FOR_PLAN]
    with pytest.raises(Refused, match="in use"):
        world.start_voice(account)


def test_drafts_switch_no_made_voice_off(world: World) -> None:
    account = world.account(plan="creator")
    drafts = [world.voice(account, VoiceState.DRAFT) for _ in range(2)]
    made = [world.voice(account) for _ in range(STARTER)]
    put_on(world, account, "starter")
    assert standing(world, *made) == [READY] * STARTER
    with pytest.raises(Refused, match="in use"):
        world.ask(drafts[0])


# Consent while a voice is off


def test_a_consent_that_is_taken_back_meanwhile_keeps_the_voice_off(world: World) -> None:
    account = world.account(plan="creator")
    voice = world.voice(account)
    put_on(world, account, "free")
    world.revoke(voice)
    assert standing(world, voice) == [(VoiceState.DISABLED, DisabledFor.CONSENT)]
    put_on(world, account, "creator")
    assert standing(world, voice) == [(VoiceState.DISABLED, DisabledFor.CONSENT)]
    world.give_consent(voice)
    world.make_voice(world.take(JobKind.CLONE))
    assert standing(world, voice) == [READY]


def test_a_voice_does_not_come_back_without_a_consent_in_force(world: World) -> None:
    """Whatever took the consent away: the return looks again."""
    account = world.account(plan="creator")
    voice = world.voice(account)
    put_on(world, account, "free")
    world.execute("UPDATE consent SET state = 'revoked', in_force = false")
    put_on(world, account, "creator")
    assert standing(world, voice) == [(VoiceState.DISABLED, DisabledFor.CONSENT)]


@pytest.mark.parametrize("why", [DisabledFor.PLAN, DisabledFor.DECISION])
def test_a_new_consent_does_not_switch_on_what_is_off_for_another_reason(world: World, why: DisabledFor) -> None:
    account = world.account(plan="creator")
    voice = world.voice(account, VoiceState.DISABLED)
    in_review = world.consent_in_review(voice)
    world.ask(voice)
    world.execute("UPDATE voice SET disabled_for = :why", why=why.value)
    with pytest.raises(Invalid):
        world.ask(voice)
    world.submit(voice)
    world.hear(world.take(JobKind.CONSENT))
    world.decide(in_review, approve=True)
    assert {consent.state for consent in world.rows(select(Consent).where(Consent.in_force))} == {ConsentState.VERIFIED}
    assert standing(world, voice) == [(VoiceState.DISABLED, why)]
    assert world.count(Job, Job.kind == JobKind.CLONE, Job.state == JobState.QUEUED) == 0


# Voices that are being made


@pytest.mark.parametrize("claimed", [False, True], ids=["waiting", "running"])
def test_a_voice_that_is_being_made_is_stopped_and_made_when_there_is_room(world: World, claimed: bool) -> None:
    account = world.account(plan="creator")
    voice = world.voice(account, VoiceState.CLONING)
    claim = world.take(JobKind.CLONE) if claimed else None
    put_on(world, account, "free")
    if claim is not None:
        with pytest.raises(JobCancelled):
            world.make_voice(claim)
        world.fail(claim, retry=True)
    assert standing(world, voice) == [OFF_FOR_PLAN]
    assert {job.state for job in world.rows(select(Job).where(Job.kind == JobKind.CLONE))} == {JobState.CANCELLED}
    put_on(world, account, "creator")
    world.make_voice(world.take(JobKind.CLONE))
    assert standing(world, voice) == [READY]


def test_a_voice_whose_making_was_stopped_is_not_made_for_an_account_that_may_not_clone(world: World) -> None:
    account = world.account(plan="creator")
    voice = world.voice(account, VoiceState.CLONING)
    put_on(world, account, "free")
    world.change(account, verified_at=None)
    put_on(world, account, "creator")
    assert standing(world, voice) == [OFF_FOR_PLAN]
    assert "identity" in world.get(Voice, voice.id).problem


def test_a_voice_that_is_finished_after_the_plan_has_changed_is_switched_off(world: World) -> None:
    """The check of its consent read the old plan, and the change of plan saw no voice yet."""
    account = world.account(plan="creator")
    voice = world.voice(account, VoiceState.CLONING)
    world.change(account, plan="free")
    world.make_voice(world.take(JobKind.CLONE))
    assert standing(world, voice) == [OFF_FOR_PLAN]
    put_on(world, account, "creator")
    assert standing(world, voice) == [READY]


def test_a_voice_that_is_finished_while_the_plan_changes_is_off_or_was_stopped(world: World) -> None:
    for _ in range(4):
        account = world.account(plan="creator")
        voice = world.voice(account, VoiceState.CLONING)
        claim = world.take(JobKind.CLONE)
        finish_and_change = [lambda c=claim: world.make_voice(c), lambda a=account: put_on(world, a, "free")]
        both = at_once(finish_and_change, JobCancelled)
        assert both[1]
        assert standing(world, voice) == [OFF_FOR_PLAN]


def at_once(acts: Sequence[Callable[[], Any]], expected: type[Exception]) -> list[bool]:
    """Do all of these at the same moment; gives which of them were not stopped by an expected exception."""
    ready = Barrier(len(acts))

    def one(act: Callable[[], Any]) -> bool:
        ready.wait()
        try:
            act()
        except expected:
            return False
        return True

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(one, acts))


def test_a_clone_that_is_refused_at_the_claim_can_be_asked_for_again(world: World) -> None:
    account = world.account(plan="creator")
    voice = world.voice(account, VoiceState.CLONING)
    world.set_standing(account, Standing.RESTRICTED)
    assert world.claim("gpu") == []
    assert world.get(Voice, voice.id).state is VoiceState.FAILED
    world.set_standing(account, Standing.ACTIVE)
    world.give_consent(voice)
    world.make_voice(world.take(JobKind.CLONE))
    assert standing(world, voice) == [READY]


# Nothing is forgotten


@pytest.mark.parametrize("process", ["app.main", "workers.errands"])
def test_every_process_that_changes_plans_takes_the_voices_along(process: str) -> None:
    code = f"import {process}; from app.billing.subscriptions import _hooks; print([hook.__name__ for hook in _hooks])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "['fit_voices']"), done.stderr


def test_no_plan_is_changed_where_nothing_would_follow(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    account = world.account(plan="creator")
    monkeypatch.setattr(subscriptions, "_hooks", [])
    with pytest.raises(RuntimeError, match="entitlements"):
        put_on(world, account, "free")
    assert world.get(Account, account.id).plan == "creator"


def test_a_voice_that_is_off_can_not_speak_whatever_the_code_does(world: World) -> None:
    account = world.account(plan="creator")
    voice = world.voice(account)
    world.speak(account, voice)
    claim = world.take(JobKind.SPEAK)
    put_on(world, account, "free")
    world.execute("UPDATE job SET cancel_requested_at = NULL")
    with pytest.raises(DBAPIError, match="may not speak"):
        world.commit(claim)
