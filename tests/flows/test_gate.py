"""Promise: nobody unpaid or unverified clones. The gate stands in the transaction that makes the work."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import select

from app.accounts.models import Account, Role, Standing
from app.accounts.signals import Signal, SignalKind
from app.billing.plans import PLANS
from app.core.db import now
from app.core.errors import DomainError, Invalid, NotFound, Refused
from app.core.outbox import OutboxMessage
from app.jobs.models import Job, JobKind
from app.speech.models import Clip
from app.voices import service
from app.voices.models import Voice, VoiceState
from app.voices.stock import retire_stock_voices
from tests.world import GOOD_SAMPLE, World, actor_of, upload

DAY = timedelta(days=1)
CLONE_GATE = [
    ({}, ""),
    ({"plan": "free"}, "clone.plan"),
    ({"verified": False}, "clone.verified"),
    ({"standing": Standing.RESTRICTED}, "clone.standing"),
    ({"standing": Standing.SUSPENDED}, "clone.standing"),
    ({"standing": Standing.BANNED}, "clone.standing"),
    ({"role": Role.MODERATOR}, "clone.role"),
    ({"role": Role.SENIOR}, "clone.role"),
    ({"role": Role.OPERATOR, "plan": "free"}, "clone.plan"),
    ({"role": Role.OPERATOR, "verified": False}, "clone.verified"),
]
CLONE_FALLS = [
    ({"closing_at": now() + DAY}, "clone.closing"),
    ({"recheck_by": now() + DAY}, ""),
    ({"recheck_by": now() - DAY}, "clone.recheck"),
]


@pytest.mark.parametrize(
    ("who", "columns", "rule"),
    [(who, {}, rule) for who, rule in CLONE_GATE] + [({}, columns, rule) for columns, rule in CLONE_FALLS],
)
def test_starting_a_voice(world: World, who: dict[str, Any], columns: dict[str, Any], rule: str) -> None:
    account = world.account(**who)
    world.change(account, **columns)
    if not rule:
        world.start_voice(account)
        return
    with pytest.raises(Refused) as refused:
        world.start_voice(account)
    assert refused.value.rule == rule
    assert (world.count(Voice), world.count(Job), world.count(OutboxMessage)) == (0, 0, 0)


AFTER_CONSENT = [
    (lambda world, account: world.change(account, plan="free"), "paid plan"),
    (lambda world, account: world.change(account, verified_at=None), "identity"),
    (lambda world, account: world.set_standing(account, Standing.RESTRICTED), "account page"),
]


@pytest.mark.parametrize(("fall", "says"), AFTER_CONSENT, ids=["unpaid", "unverified", "restricted"])
def test_consent_does_not_clone_for_an_account_that_fell_meanwhile(
    world: World, fall: Callable[[World, Any], object], says: str
) -> None:
    account = world.account()
    voice = world.voice(account, VoiceState.DRAFT)
    world.ask(voice)
    world.submit(voice)
    fall(world, account)
    world.hear(world.take(JobKind.CONSENT))
    row = world.get(Voice, voice.id)
    assert row.state is VoiceState.DRAFT
    assert says in row.problem
    assert world.count(Job, Job.kind == JobKind.CLONE) == 0


SPEAK_GATE = [
    (lambda world, account: account, ""),
    (lambda world, account: world.change(account, plan="free"), "speak.plan"),
    (lambda world, account: world.change(account, verified_at=None), "speak.verified"),
    (lambda world, account: world.set_standing(account, Standing.RESTRICTED), ""),
    (lambda world, account: world.set_standing(account, Standing.SUSPENDED), "speak.standing"),
    (lambda world, account: world.set_standing(account, Standing.BANNED), "speak.standing"),
    (lambda world, account: world.change(account, closing_at=now() + DAY), "speak.closing"),
    (lambda world, account: world.change(account, recheck_by=now() + DAY), ""),
    (lambda world, account: world.change(account, recheck_by=now() - DAY), "speak.recheck"),
]
SPEAK_IDS = [
    *("fine", "unpaid", "unverified", "restricted", "suspended", "banned"),
    *("closing", "check due", "check overdue"),
]


@pytest.mark.parametrize(("fall", "rule"), SPEAK_GATE, ids=SPEAK_IDS)
def test_speaking_with_a_cloned_voice(world: World, fall: Callable[[World, Any], Any], rule: str) -> None:
    account = world.account()
    voice = world.voice(account)
    fall(world, account)
    if not rule:
        world.speak(account, voice)
        return
    with pytest.raises(Refused) as refused:
        world.speak(account, voice)
    assert refused.value.rule == rule
    assert (world.count(Clip), world.count(Job, Job.kind == JobKind.SPEAK)) == (0, 0)


NOT_READY = {
    VoiceState.DRAFT: "voice_not_verified",
    VoiceState.CLONING: "voice_not_ready",
    VoiceState.FAILED: "voice_not_ready",
    VoiceState.DISABLED: "voice_not_verified",
}


@pytest.mark.parametrize(("state", "rule"), NOT_READY.items())
def test_speaking_with_a_voice_that_is_not_ready(world: World, state: VoiceState, rule: str) -> None:
    account = world.account()
    voice = world.voice(account, state)
    with pytest.raises(Refused) as refused:
        world.speak(account, voice)
    assert refused.value.rule == rule


def test_nobody_speaks_with_a_voice_of_another_account_or_a_deleted_one(world: World) -> None:
    owner, thief = world.account(), world.account()
    voice = world.voice(owner)
    with pytest.raises(NotFound):
        world.speak(thief, voice)
    world.delete(voice)
    with pytest.raises(NotFound):
        world.speak(owner, voice)


def test_nobody_speaks_with_a_stock_voice_that_the_engine_no_longer_has(world: World) -> None:
    account, voice = world.account(), world.stock_voice()
    with world.databases.writing() as session:
        retire_stock_voices(session, keep=[])
    with pytest.raises(NotFound):
        world.speak(account, voice)


def test_a_stock_voice_is_for_everybody_with_an_allowance(world: World) -> None:
    account = world.account(plan="free", verified=False)
    world.speak(account, world.stock_voice())
    assert world.count(Clip) == 1


def test_a_text_that_a_rule_refuses_makes_nothing(world: World) -> None:
    account = world.account()
    with pytest.raises(Refused) as refused:
        world.speak(account, world.voice(account), "Hello. Read me the one-time code, please.")
    assert refused.value.rule == "text.codes.read-out"
    assert "“Read me the one-time code”" in refused.value.message
    assert (world.count(Clip), world.count(Job, Job.kind == JobKind.SPEAK), world.count(Signal)) == (0, 0, 0)


def test_a_text_that_a_rule_flags_is_spoken_and_moderators_are_told_without_its_words(world: World) -> None:
    account = world.account()
    clip = world.speak(account, world.voice(account), "There is a bomb in the school!")
    verdict = world.get(Job, clip.job_id).verdict
    assert verdict["outcome"] == "flag"
    assert [flag["rule"] for flag in verdict["flags"]] == ["threats.bomb-alarm"]
    assert verdict["facts"]["text"][0]["spans"] == [[0, 29]]
    assert set(verdict["packs"]) >= {"codes", "fraud", "threats"}
    (signal,) = world.rows(select(Signal))
    assert (signal.account_id, signal.kind) == (account.id, SignalKind.TEXT_RULE)
    assert "bomb in the school" not in f"{verdict}{signal.summary}{signal.facts}"


def test_impersonation_of_a_relative_is_for_cloned_voices_only(world: World) -> None:
    account, plea = world.account(), "Grandma, it's me. I am in jail and need bail money."
    world.speak(account, world.stock_voice(), plea)
    with pytest.raises(Refused) as refused:
        world.speak(account, world.voice(account), plea)
    assert refused.value.rule == "text.impersonation.relative"


def test_the_verdict_of_a_plain_text_is_kept_with_its_job_too(world: World) -> None:
    account = world.account()
    verdict = world.get(Job, world.speak(account, world.voice(account)).job_id).verdict
    assert (verdict["outcome"], verdict["rule"], verdict["flags"]) == ("allow", "", [])
    assert verdict["facts"]["plan_name"] == PLANS["creator"].name
    assert verdict["facts"]["consent_in_force"] is True


def test_the_same_upload_twice_is_one_voice(world: World) -> None:
    account, same = world.account(), upload()
    ids = set()
    for _ in range(2):
        with world.databases.writing() as session:
            row = session.get_one(Account, account.id)
            voice = service.start_voice(
                session, row, name="Mine", language="en-us", uploads=[same], actor=actor_of(row)
            )
            ids.add(voice.id)
    assert len(ids) == 1
    assert world.count(Job) == 1


# Many at once: real threads, real transactions


def at_once(number: int, act: Callable[[], object]) -> list[DomainError | None]:
    """Do the same `number` times at the same moment; gives what each was refused with."""
    ready = Barrier(number)

    def one() -> DomainError | None:
        ready.wait()
        try:
            act()
        except DomainError as error:
            return error
        return None

    with ThreadPoolExecutor(number) as pool:
        return [done.result() for done in [pool.submit(one) for _ in range(number)]]


def test_twenty_voices_at_once_take_the_last_slots_and_no_more(world: World) -> None:
    account = world.account(plan="starter")
    slots = PLANS["starter"].voice_slots
    world.start_voice(account)
    refused = [error for error in at_once(20, lambda: world.start_voice(account)) if error is not None]
    assert world.count(Voice) == slots
    assert len(refused) == 20 - (slots - 1)
    assert {error.code for error in refused} == {"clone.slots"}


def test_twenty_clips_at_once_never_overdraw_the_allowance(world: World) -> None:
    account, voice = world.account(plan="studio"), world.stock_voice()
    left = 25
    world.spend(account, PLANS["studio"].characters_a_month - left)
    refused = [error for error in at_once(20, lambda: world.speak(account, voice, "ten chars.")) if error]
    assert world.count(Job, Job.kind == JobKind.SPEAK, Job.state == "queued") == 2
    assert {error.code for error in refused} == {"quota_exceeded"}
    assert len(refused) == 18


def test_twenty_clips_at_once_keep_to_the_concurrency_of_the_plan(world: World) -> None:
    account, voice = world.account(plan="free"), world.stock_voice()
    refused = [error for error in at_once(20, lambda: world.speak(account, voice)) if error]
    assert world.count(Clip) == PLANS["free"].concurrency
    assert {error.code for error in refused} == {"speak.concurrency"}


def test_used_characters_count_against_the_month(world: World) -> None:
    account, voice = world.account(plan="free"), world.stock_voice()
    world.spend(account, PLANS["free"].characters_a_month - 5)
    with pytest.raises(Refused, match="5 are left"):
        world.speak(account, voice, "six ch")
    world.speak(account, voice, "five5")


@pytest.mark.parametrize("text", ["", "  \n", "!?…", "😀😀", "\x00\x01"])
def test_text_with_nothing_to_say_is_refused_before_anything_is_made(world: World, text: str) -> None:
    account, voice = world.account(), world.stock_voice()
    with pytest.raises(Invalid, match="nothing to say"):
        world.speak(account, voice, text)
    assert world.count(Job) == 0


def test_a_voice_tries_ten_samples_and_no_more(world: World) -> None:
    account = world.account()
    voice = world.start_voice(account)
    rejected = replace(GOOD_SAMPLE, reasons=[{"code": "sample.noise", "message": "Too noisy."}])

    def try_again() -> None:
        world.judge_sample(world.take(JobKind.INTAKE), rejected)
        with world.databases.writing() as session:
            service.add_sample(session, session.get_one(Voice, voice.id), [upload()])

    for _ in range(service.MAX_SAMPLES - 1):
        try_again()
    with pytest.raises(Refused) as refused:
        try_again()
    assert refused.value.rule == "voice.sample_attempts"
