"""Promise: nobody spends a character twice. Real threads and real transactions, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.accounts.models import Account
from app.billing import ledger
from app.billing.models import EntryKind, LedgerEntry
from app.billing.plans import PLANS
from app.core.errors import Refused
from app.jobs import service as jobs
from app.jobs.models import Job, JobKind, JobState
from app.jobs.service import Claim, JobCancelled
from app.speech.models import Clip
from app.speech.service import cancel_clip
from app.voices.models import Voice
from tests.world import OPERATOR, World

STUDIO = PLANS["studio"]
SUBMITS = 20
ENDS = LedgerEntry.kind.in_([EntryKind.SETTLE, EntryKind.RELEASE])


def at_once(acts: Sequence[Callable[[], Any]], expected: type[Exception] | tuple[type[Exception], ...]) -> list[bool]:
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


def with_a_thousand_left(world: World) -> tuple[Account, Voice]:
    account, voice = world.account(plan="studio"), world.stock_voice()
    world.spend(account, STUDIO.characters_a_month - 1_000)
    return account, voice


def left(world: World, account: Account) -> int:
    with world.databases.reading() as session:
        return ledger.balance_of(session, session.get_one(Account, account.id)).left


@pytest.mark.parametrize(("length", "fit"), [(300, 3), (1_000, 1), (1_001, 0), (125, 8)])
def test_as_many_clips_as_fit_are_taken_and_no_more(world: World, length: int, fit: int) -> None:
    account, voice = with_a_thousand_left(world)
    taken = at_once([lambda: world.speak(account, voice, "a" * length)] * SUBMITS, Refused)
    assert sum(taken) == fit <= STUDIO.concurrency
    assert world.count(Job, Job.state == JobState.QUEUED) == world.count(Clip) == fit
    assert left(world, account) == 1_000 - fit * length


def test_what_is_refused_would_not_have_fitted(world: World) -> None:
    account, voice = with_a_thousand_left(world)
    lengths = [120 + 37 * number for number in range(SUBMITS)]
    taken = at_once([lambda n=n: world.speak(account, voice, "a" * n) for n in lengths], Refused)  # type: ignore[misc]
    spent = sum(length for length, took in zip(lengths, taken, strict=True) if took)
    assert left(world, account) == 1_000 - spent >= 0
    assert all(length > 1_000 - spent for length, took in zip(lengths, taken, strict=True) if not took)


def test_clips_that_fail_meanwhile_make_room_but_never_too_much(world: World) -> None:
    account, voice = with_a_thousand_left(world)
    held = [world.speak(account, voice, "a" * 250) for _ in range(4)]
    assert left(world, account) == 0

    def cancel(clip: Clip) -> None:
        with world.databases.writing() as session:
            cancel_clip(session, session.get_one(Clip, clip.id), OPERATOR)

    submits = [lambda: world.speak(account, voice, "a" * 250)] * 8
    cancels = [lambda clip=clip: cancel(clip) for clip in held]  # type: ignore[misc]
    taken = sum(at_once([*submits, *cancels], Refused)[:8])
    assert 0 <= taken <= 4
    assert left(world, account) == 1_000 - 250 * taken


def test_a_clip_that_is_cancelled_while_it_is_finished_is_charged_or_freed_never_both(world: World) -> None:
    account, voice = world.account(plan="studio"), world.stock_voice()

    def cancel(job_id: Any) -> None:
        with world.databases.writing() as session:
            jobs.cancel(session, session.get_one(Job, job_id), OPERATOR)

    for _ in range(8):
        world.speak(account, voice)
        claim: Claim = world.take(JobKind.SPEAK)
        finished, _ = at_once([lambda c=claim: world.deliver(c), lambda c=claim: cancel(c.job_id)], JobCancelled)  # type: ignore[misc]
        if not finished:
            world.fail(claim, retry=True)
        (end,) = world.rows(select(LedgerEntry.kind).where(LedgerEntry.job_id == claim.job_id, ENDS))
        state = world.get(Job, claim.job_id).state
        assert (state, end) == (
            (JobState.DONE, EntryKind.SETTLE) if finished else (JobState.CANCELLED, EntryKind.RELEASE)
        )


def test_the_schema_lets_a_hold_end_once_whoever_comes_at_the_same_time(world: World) -> None:
    """Without the lock of the job that the code takes first."""
    account, voice = world.account(plan="studio"), world.stock_voice()

    def end(verb: Callable[..., object], clip: Clip) -> None:
        with world.databases.writing() as session:
            verb(session, clip.job_id)

    for _ in range(8):
        clip = world.speak(account, voice)
        verbs = [ledger.settle, ledger.release, ledger.settle, ledger.release]
        at_once([lambda v=verb, c=clip: end(v, c) for verb in verbs], (IntegrityError, ValueError))  # type: ignore[misc]
        assert world.count(LedgerEntry, LedgerEntry.job_id == clip.job_id, ENDS) == 1


def test_a_refund_that_is_asked_for_many_times_at_once_is_given_once(world: World) -> None:
    account = world.account(plan="studio")

    def refund(job: Job) -> None:
        with world.databases.writing() as session:
            ledger.refund(session, session.get_one(Account, account.id), job.id)

    for _ in range(8):
        job = world.spend(account, 500)
        at_once([lambda j=job: refund(j)] * 8, ())  # type: ignore[misc]
    assert left(world, account) == STUDIO.characters_a_month
    assert world.count(LedgerEntry, LedgerEntry.kind == EntryKind.REFUND) == 8


def test_a_plan_that_grows_while_clips_are_asked_for_grants_its_difference_once(world: World) -> None:
    account, voice = world.account(plan="starter"), world.stock_voice()
    world.spend(account, PLANS["starter"].characters_a_month)
    world.change(account, plan="studio")
    at_once([lambda: world.speak(account, voice, "a" * 100)] * 8, ())
    assert left(world, account) == STUDIO.characters_a_month - PLANS["starter"].characters_a_month - 800
