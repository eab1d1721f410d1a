"""Which allowance period counts: its start never moves while it lasts, and nothing gives two for one payment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.accounts.models import Account
from app.billing.models import SubscriptionStatus
from app.billing.periods import Period, next_month, period_of
from tests.world import World

S = SubscriptionStatus
START, END = datetime(2026, 3, 15, 9, 30, tzinfo=UTC), datetime(2026, 4, 15, 9, 30, tzinfo=UTC)
MARCH, APRIL, MAY = (datetime(2026, month, 1, tzinfo=UTC) for month in (3, 4, 5))


def at(world: World, account: Account, moment: datetime) -> Period:
    with world.databases.reading() as session:
        return period_of(session, session.get_one(Account, account.id), moment)


@pytest.mark.parametrize(
    ("moment", "start", "end"),
    [
        (datetime(2026, 3, 1, tzinfo=UTC), MARCH, APRIL),
        (datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC), MARCH, APRIL),
        (datetime(2026, 12, 31, 12, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_without_a_subscription_it_is_the_calendar_month(
    world: World, moment: datetime, start: datetime, end: datetime
) -> None:
    assert at(world, world.account(plan="free"), moment) == Period(start, end)


@pytest.mark.parametrize("status", [S.ACTIVE, S.TRIALING, S.PAST_DUE, S.UNPAID])
def test_a_subscription_counts_by_its_own_period_also_while_a_payment_is_missing(
    world: World, status: SubscriptionStatus
) -> None:
    account = world.subscribe(world.account(), "starter", START, END, status=status)
    for moment in (START - timedelta(minutes=1), START, START + timedelta(days=20), END - timedelta(seconds=1)):
        period = at(world, account, moment)
        assert (period.start, period.end) == (START, END)


@pytest.mark.parametrize("status", [S.CANCELED, S.INCOMPLETE, S.INCOMPLETE_EXPIRED, S.PAUSED])
def test_a_subscription_that_is_over_or_never_began_does_not_count(world: World, status: SubscriptionStatus) -> None:
    account = world.subscribe(world.account(), "starter", START, END, status=status)
    assert at(world, account, START) == Period(MARCH, APRIL)


def test_a_subscription_to_another_plan_than_the_account_has_does_not_count(world: World) -> None:
    account = world.subscribe(world.account(), "starter", START, END)
    world.change(account, plan="studio")
    assert at(world, account, START) == Period(MARCH, APRIL)


def test_late_news_of_a_renewal_starts_no_other_period_than_the_renewal_will(world: World) -> None:
    """Otherwise the minutes in between would be a calendar month with an allowance of its own."""
    account = world.subscribe(world.account(), "starter", START, END)
    early = [at(world, account, END + timedelta(days=days)) for days in (0, 1, 29)]
    renewed = world.subscribe(account, "starter", END, next_month(END))
    assert {period.start for period in early} == {at(world, renewed, END + timedelta(days=1)).start} == {END}


def test_a_subscription_that_is_not_heard_of_for_months_gives_one_more_period_only(world: World) -> None:
    account = world.subscribe(world.account(), "starter", START, END)
    assert at(world, account, END + timedelta(days=200)).start == END


@pytest.mark.parametrize(
    ("status", "ends"), [(S.PAST_DUE, False), (S.UNPAID, False), (S.ACTIVE, True)], ids=["due", "unpaid", "cancelled"]
)
def test_without_a_renewal_no_period_follows(world: World, status: SubscriptionStatus, ends: bool) -> None:
    account = world.subscribe(world.account(), "starter", START, END, status=status, ends=ends)
    assert at(world, account, END + timedelta(days=3)).start == START


@pytest.mark.parametrize(
    ("plan", "status", "cap"),
    [
        ("starter", S.ACTIVE, 500),
        ("starter", S.TRIALING, 500),
        ("starter", S.PAST_DUE, 0),
        ("starter", S.UNPAID, 0),
        ("free", S.ACTIVE, 0),
    ],
)
def test_overage_needs_a_plan_that_sells_it_and_nothing_owed(
    world: World, plan: str, status: SubscriptionStatus, cap: int
) -> None:
    account = world.subscribe(world.account(), plan, START, END, status=status, overage_cap=500)
    assert at(world, account, START).overage_cap == cap


@pytest.mark.parametrize(
    ("day", "after"),
    [
        ((2026, 1, 31), (2026, 2, 28)),
        ((2028, 1, 30), (2028, 2, 29)),
        ((2026, 12, 15), (2027, 1, 15)),
        ((2026, 3, 31), (2026, 4, 30)),
    ],
)
def test_a_month_later_is_the_same_day_or_the_last(day: tuple[int, int, int], after: tuple[int, int, int]) -> None:
    assert next_month(datetime(*day, 7, 8, tzinfo=UTC)) == datetime(*after, 7, 8, tzinfo=UTC)
