"""A larger plan in mid-month: a new month is paid and begins, and nothing that was paid for is lost or doubled."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from app.accounts.models import Account
from app.billing import subscriptions
from app.billing.gateway import SubscriptionFacts
from app.billing.ledger import Balance, balance_of
from app.billing.models import EntryKind, LedgerEntry, SubscriptionStatus
from app.billing.plans import PLANS
from app.billing.queries import subscription_of
from app.core.db import now
from tests.world import World

STARTER, STUDIO = PLANS["starter"].characters_a_month, PLANS["studio"].characters_a_month


def read(world: World, account: Account, plan: str, start: datetime, end: datetime, status: str = "active") -> None:
    """What a read from the provider shows."""
    facts = SubscriptionFacts("sub_1", "cus_1", plan, SubscriptionStatus(status), start, end, False)
    with world.databases.writing() as session:
        row = session.get_one(Account, account.id)
        known = subscription_of(session, account.id)
        since = known.read_at if known is not None else None
        assert subscriptions.apply(session, row, facts, since=since, read_at=now(), settings=world.settings)


def balance(world: World, account: Account) -> Balance:
    with world.databases.reading() as session:
        return balance_of(session, session.get_one(Account, account.id))


def period_start(world: World, account: Account) -> datetime:
    return balance(world, account).period.start


@pytest.fixture
def starter(world: World) -> Account:
    """A customer in the middle of a month on the smallest plan, who has spoken 1,000 characters."""
    account, moment = world.account(plan="free"), now()
    read(world, account, "starter", moment - timedelta(days=10), moment + timedelta(days=20))
    world.spend(account, 1_000)
    return account


def test_what_is_left_comes_along_once(world: World, starter: Account) -> None:
    start = now() - timedelta(seconds=1)
    for _ in range(2):  # the event comes twice
        read(world, starter, "studio", start, start + timedelta(days=30))
    after = balance(world, starter)
    assert (after.period.start, after.used) == (start, 0)
    assert after.left == STUDIO + STARTER - 1_000
    carried = select(LedgerEntry.characters).where(LedgerEntry.kind == EntryKind.CARRY)
    assert world.rows(carried) == [STARTER - 1_000]


def test_a_month_that_ends_by_itself_carries_nothing(world: World, starter: Account) -> None:
    with world.databases.reading() as session:
        row = subscription_of(session, starter.id)
        assert row is not None
        end = row.period_end
    read(world, starter, "starter", end, end + timedelta(days=30))
    assert world.count(LedgerEntry, LedgerEntry.kind == EntryKind.CARRY) == 0


def test_a_smaller_plan_begins_no_month_and_takes_nothing_away(world: World) -> None:
    account, moment = world.account(plan="free"), now()
    month = moment - timedelta(days=10), moment + timedelta(days=20)
    read(world, account, "studio", *month)
    world.spend(account, 1_000)
    read(world, account, "starter", *month)
    after = balance(world, account)
    assert (after.granted, after.left) == (STUDIO, STUDIO - 1_000)


def test_a_smaller_plan_takes_nothing_away_before_the_first_clip_either(world: World) -> None:
    account, moment = world.account(plan="free"), now()
    month = moment - timedelta(days=10), moment + timedelta(days=20)
    for plan in ("studio", "starter", "starter"):
        read(world, account, plan, *month)
    after = balance(world, account)
    assert (after.granted, after.left) == (STUDIO, STUDIO)


def test_a_smaller_plan_that_is_heard_of_with_its_renewal_grants_no_large_month(world: World) -> None:
    account, moment = world.account(plan="free"), now()
    end = moment - timedelta(hours=1)
    read(world, account, "studio", end - timedelta(days=30), end)
    read(world, account, "starter", end, end + timedelta(days=30))
    assert balance(world, account).left == STARTER


def test_late_news_carries_what_was_left_when_the_larger_plan_began(world: World, starter: Account) -> None:
    """By now the old month would be over, too."""
    start, end = now() - timedelta(days=2), now() - timedelta(days=1)
    world.subscribe(starter, "starter", period_start(world, starter), end)
    read(world, starter, "studio", start, start + timedelta(days=30))
    assert balance(world, starter).left == STUDIO + STARTER - 1_000


def test_a_renewal_that_was_not_heard_of_is_carried_too(world: World, starter: Account) -> None:
    start, end = now() - timedelta(days=1), now() - timedelta(days=2)
    world.subscribe(starter, "starter", period_start(world, starter), end)
    world.spend(starter, 300)
    read(world, starter, "studio", start, start + timedelta(days=30))
    assert balance(world, starter).left == STUDIO + STARTER - 300


def test_what_the_operator_gave_by_hand_is_not_carried(world: World, starter: Account) -> None:
    world.change(starter, plan="studio")
    start = now() - timedelta(seconds=1)
    read(world, starter, "creator", start, start + timedelta(days=30))
    assert world.count(LedgerEntry, LedgerEntry.kind == EntryKind.CARRY) == 0


def test_a_month_that_is_not_paid_carries_nothing(world: World, starter: Account) -> None:
    with world.databases.reading() as session:
        row = subscription_of(session, starter.id)
        assert row is not None
        month = row.period_start, row.period_end
    read(world, starter, "starter", *month, status="past_due")
    start = now() - timedelta(seconds=1)
    read(world, starter, "studio", start, start + timedelta(days=30))
    assert world.count(LedgerEntry, LedgerEntry.kind == EntryKind.CARRY) == 0


def test_a_month_whose_payment_is_missing_has_a_small_allowance_and_the_whole_one_once_paid(world: World) -> None:
    account, moment = world.account(plan="free"), now()
    month = moment - timedelta(days=1), moment + timedelta(days=29)
    read(world, account, "studio", *month, status="past_due")
    world.spend(account, 1_000)
    assert balance(world, account).granted == PLANS["free"].characters_a_month
    read(world, account, "studio", *month)
    after = balance(world, account)
    assert (after.granted, after.left) == (STUDIO, STUDIO - 1_000)
    world.spend(account, 1_000)
    assert balance(world, account).left == STUDIO - 2_000
