"""The usage ledger: each character of an allowance is held, spent or free, and each job ends once."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from app.accounts.key_models import ApiKey
from app.accounts.keys import create_key
from app.accounts.models import Account, Standing
from app.billing import ledger, periods, plans
from app.billing.ledger import Balance
from app.billing.models import EntryKind, LedgerEntry, SubscriptionStatus
from app.billing.plans import PLANS
from app.jobs.models import Job, JobKind, JobState
from app.speech.models import Clip
from app.speech.service import cancel_clip
from tests.world import OPERATOR, World

K = EntryKind
FREE, STARTER, STUDIO = (PLANS[plan].characters_a_month for plan in ("free", "starter", "studio"))
START, END = datetime(2026, 3, 15, tzinfo=UTC), datetime(2026, 4, 15, tzinfo=UTC)


def hold(world: World, account: Account, characters: int, key: ApiKey | None = None) -> uuid.UUID:
    """A job with a hold; gives its id."""
    with world.databases.writing() as session:
        job = Job(kind=JobKind.SPEAK, queue="held", subject_id=uuid.uuid4(), account_id=account.id)
        session.add(job)
        session.flush()
        fresh = session.get_one(Account, account.id)
        ledger.reserve(session, fresh, job_id=job.id, characters=characters, api_key_id=key.id if key else None)
    return job.id


def settle(world: World, job_id: uuid.UUID) -> int:
    with world.databases.writing() as session:
        return ledger.settle(session, job_id)


def release(world: World, job_id: uuid.UUID) -> None:
    with world.databases.writing() as session:
        ledger.release(session, job_id)


def refund(world: World, account: Account, job_id: uuid.UUID) -> int:
    with world.databases.writing() as session:
        return ledger.refund(session, session.get_one(Account, account.id), job_id)


def balance(world: World, account: Account) -> Balance:
    with world.databases.reading() as session:
        return ledger.balance_of(session, session.get_one(Account, account.id))


def kinds(world: World, job_id: uuid.UUID) -> list[EntryKind]:
    return world.rows(select(LedgerEntry.kind).where(LedgerEntry.job_id == job_id).order_by(LedgerEntry.kind))


@pytest.fixture
def today(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The moment that the ledger takes for now; tests change its one element."""
    moment = [START + timedelta(days=1)]
    monkeypatch.setattr(periods, "now", lambda: moment[0])
    monkeypatch.setattr(ledger, "now", lambda: moment[0])
    return moment


def test_characters_are_held_then_spent_or_free_again(world: World) -> None:
    account = world.account(plan="free")
    assert balance(world, account).left == FREE
    done, broken = hold(world, account, 70), hold(world, account, 30)
    held = balance(world, account)
    assert (held.granted, held.reserved, held.used, held.left) == (FREE, 100, 0, FREE - 100)
    settle(world, done)
    release(world, broken)
    after = balance(world, account)
    assert (after.granted, after.reserved, after.used, after.left) == (FREE, 0, 70, FREE - 70)


def test_more_than_is_left_can_not_be_held(world: World) -> None:
    account = world.account(plan="free")
    hold(world, account, FREE - 10)
    with pytest.raises(ValueError, match="more than the 10 that are left"):
        hold(world, account, 11)
    hold(world, account, 10)
    assert balance(world, account).left == 0


def test_the_allowance_is_written_with_the_first_hold_and_once(world: World) -> None:
    account = world.account(plan="free")
    balance(world, account)
    assert world.count(LedgerEntry) == 0
    hold(world, account, 1)
    hold(world, account, 1)
    assert world.rows(select(LedgerEntry.characters).where(LedgerEntry.kind == K.GRANT)) == [FREE]


@pytest.mark.parametrize("characters", [0, -5])
def test_nothing_can_not_be_held(world: World, characters: int) -> None:
    account = world.account(plan="free")
    with pytest.raises(DBAPIError, match="positive"):
        hold(world, account, characters)


# One end for each job


def test_a_job_ends_once_in_the_ledger(world: World) -> None:
    account = world.account(plan="free")
    spent, freed = hold(world, account, 5), hold(world, account, 5)
    settle(world, spent)
    release(world, freed)
    for job in (spent, freed):
        with pytest.raises(ValueError, match="nothing is held"):
            settle(world, job)
        release(world, job)
    assert kinds(world, spent) == [K.RESERVE, K.SETTLE]
    assert kinds(world, freed) == [K.RELEASE, K.RESERVE]


def test_a_job_that_nothing_is_held_for_can_not_be_charged(world: World) -> None:
    with pytest.raises(ValueError, match="nothing is held"):
        settle(world, uuid.uuid4())
    release(world, uuid.uuid4())
    assert world.count(LedgerEntry) == 0


def test_a_clip_that_is_tried_again_keeps_its_hold(world: World) -> None:
    account = world.account(plan="free")
    clip = world.speak(account, world.stock_voice(), "Twelve chars")
    world.fail(world.take(JobKind.SPEAK), retry=True)
    world.expire(world.take(JobKind.SPEAK))
    world.sweep()
    assert kinds(world, clip.job_id) == [K.RESERVE]
    world.deliver(world.take(JobKind.SPEAK))
    assert kinds(world, clip.job_id) == [K.RESERVE, K.SETTLE]
    assert balance(world, account).used == 12


def test_every_way_a_clip_can_end_without_audio_frees_its_characters(world: World) -> None:
    account, voice = world.account(plan="studio"), world.stock_voice()
    clips = [world.speak(account, voice) for _ in range(3)]
    world.fail(world.take(JobKind.SPEAK), retry=False)
    for _ in range(world.settings.jobs.max_attempts):
        world.expire(world.take(JobKind.SPEAK))
        world.sweep()
    with world.databases.writing() as session:
        cancel_clip(session, session.get_one(Clip, clips[2].id), OPERATOR)
    clips.append(world.speak(account, voice))
    world.set_standing(account, Standing.BANNED)
    world.claim("gpu")
    states = {world.get(Job, clip.job_id).state for clip in clips}
    assert states == {JobState.FAILED, JobState.CANCELLED, JobState.REFUSED}
    assert [kinds(world, clip.job_id) for clip in clips] == [[K.RELEASE, K.RESERVE]] * 4
    assert balance(world, account).left == STUDIO


# Refunds


def test_a_refund_gives_the_characters_back_once(world: World) -> None:
    account = world.account(plan="free")
    job = world.spend(account, 400)
    assert [refund(world, account, job.id) for _ in range(2)] == [400, 0]
    now = balance(world, account)
    assert (now.granted, now.used, now.left) == (FREE + 400, 400, FREE)
    hold(world, account, FREE)


def test_a_refund_counts_in_the_present_period(world: World, today: list[datetime]) -> None:
    account = world.account(plan="free")
    job = world.spend(account, 400)
    today[0] += timedelta(days=31)
    refund(world, account, job.id)
    assert balance(world, account).left == FREE + 400


def test_only_what_was_charged_to_the_account_is_refunded(world: World) -> None:
    account, other = world.account(plan="free"), world.account(plan="free")
    held, freed = hold(world, account, 5), hold(world, account, 5)
    release(world, freed)
    spent = world.spend(other, 5).id
    for job in (held, freed, spent, uuid.uuid4()):
        with pytest.raises(ValueError, match="not charged to this account"):
            refund(world, account, job)
    assert world.count(LedgerEntry, LedgerEntry.kind == K.REFUND) == 0


# Plans and periods that change


def test_a_larger_plan_adds_the_difference_and_a_smaller_one_takes_nothing_away(world: World) -> None:
    account = world.account(plan="free")
    world.spend(account, FREE)
    for plan, granted in (("starter", STARTER), ("studio", STUDIO), ("free", STUDIO), ("starter", STUDIO)):
        world.change(account, plan=plan)
        world.spend(account, 1)
        assert balance(world, account).granted == granted
    assert sum(world.rows(select(LedgerEntry.characters).where(LedgerEntry.kind == K.GRANT))) == STUDIO


def test_an_allowance_that_was_not_begun_follows_the_plan_down(world: World) -> None:
    account = world.account(plan="studio")
    world.change(account, plan="free")
    assert balance(world, account).left == FREE


def test_a_plan_that_the_operator_makes_larger_is_larger_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    account = world.account(plan="free")
    for more in (0, 50, 70):
        monkeypatch.setitem(plans.PLANS, "free", replace(PLANS["free"], characters_a_month=FREE + more))
        hold(world, account, 1)
    assert balance(world, account).left == FREE + 70 - 3


def test_a_new_period_begins_with_the_allowance_of_the_plan(world: World, today: list[datetime]) -> None:
    account = world.subscribe(world.account(), "starter", START, END)
    world.spend(account, STARTER)
    assert balance(world, account).left == 0
    today[0] = END
    assert balance(world, account).left == STARTER


def test_a_job_that_outlasts_its_period_ends_in_its_own(world: World, today: list[datetime]) -> None:
    account = world.subscribe(world.account(), "starter", START, END)
    done, broken = hold(world, account, 700), hold(world, account, 300)
    today[0] = END
    world.subscribe(account, "starter", END, periods.next_month(END))
    settle(world, done)
    release(world, broken)
    fresh = balance(world, account)
    assert (fresh.used, fresh.reserved, fresh.left) == (0, 0, STARTER)
    today[0] = START
    world.subscribe(account, "starter", START, END)
    assert (balance(world, account).used, balance(world, account).left) == (700, STARTER - 700)


# Beyond the allowance


@pytest.fixture
def over(world: World, today: list[datetime]) -> Account:
    """An account with 100 characters left of its allowance, which lets up to 50 more be billed."""
    del today
    account = world.subscribe(world.account(), "starter", START, END, overage_cap=50)
    world.spend(account, STARTER - 100)
    return account


def test_what_is_beyond_the_allowance_is_told_when_it_is_settled(world: World, over: Account) -> None:
    within, across = hold(world, over, 90), hold(world, over, 30)
    beyond = hold(world, over, 30)
    assert balance(world, over).spendable == 0
    assert [settle(world, job) for job in (within, across, beyond)] == [0, 20, 30]
    assert balance(world, over).overage == 50


def test_the_holders_cap_is_kept(world: World, over: Account) -> None:
    with pytest.raises(ValueError, match="the 150 that are left"):
        hold(world, over, 151)
    world.spend(over, 150)
    with pytest.raises(ValueError, match="the 0 that are left"):
        hold(world, over, 1)


def test_overage_of_a_clip_that_was_not_made_is_not_billed(world: World, over: Account) -> None:
    job = hold(world, over, 130)
    release(world, job)
    free = balance(world, over)
    assert (free.overage, free.left, free.spendable) == (0, 100, 150)


def test_a_cap_that_is_lowered_takes_no_allowance(world: World, over: Account) -> None:
    world.spend(over, 130)
    freed = hold(world, over, 20)
    world.subscribe(over, "starter", START, END, overage_cap=0)
    assert balance(world, over).spendable == 0
    release(world, freed)
    assert balance(world, over).spendable == 0


def test_nothing_more_is_lent_while_a_payment_is_missing(world: World, over: Account) -> None:
    world.subscribe(over, "starter", START, END, overage_cap=50, status=SubscriptionStatus.PAST_DUE)
    assert balance(world, over).spendable == 100


# Keys


def test_a_key_has_spent_what_it_holds_and_what_was_spoken(world: World, today: list[datetime]) -> None:
    today[0] = datetime.now(UTC)
    account = world.account(plan="free")
    with world.databases.writing() as session:
        row = session.get_one(Account, account.id)
        key, other = (create_key(session, row, name, OPERATOR)[0] for name in ("one", "two"))
    done, broken = hold(world, account, 100, key), hold(world, account, 20, key)
    hold(world, account, 3, key)
    hold(world, account, 5000, other)
    settle(world, done)
    release(world, broken)
    with world.databases.reading() as session:
        assert ledger.spent_with_key(session, key.id) == 103
        today[0] = periods.next_month(today[0])
        assert ledger.spent_with_key(session, key.id) == 0
