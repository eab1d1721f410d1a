"""Charges and clips from before the usage ledger: nothing is charged twice, nothing is lost."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.accounts.models import Account
from app.billing import ledger
from app.billing.models import EntryKind, LedgerEntry
from app.billing.plans import PLANS
from app.core import migrate
from app.core.db import Databases
from app.jobs.models import Job, JobKind, JobState
from tests.conftest import make_settings
from tests.world import World

FAR_EAST = "options=-c%20timezone%3DAsia/Tokyo"
"""A server that tells moments in another zone than UTC."""


@pytest.fixture(params=["sqlite", "postgresql"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A database as it was before the ledger, with an account that has one clip done and one under way."""
    changes: dict[str, Any] = {}
    if request.param == "postgresql":
        new: Callable[[str], str] = request.getfixturevalue("new_postgres")
        url = new(f"old{uuid.uuid4().hex[:8]}")
        changes["database"] = {"url": f"{url}{'&' if '?' in url else '?'}{FAR_EAST}"}
    databases = Databases(make_settings(tmp_path, **changes))
    migrate.upgrade(databases.engine)
    world = World(make_settings(tmp_path, **changes), databases)
    account, voice = world.account(plan="free"), world.stock_voice()
    world.speak(account, voice, "This is done.")
    world.deliver(world.take(JobKind.SPEAK))
    world.speak(account, voice, "This one is under way.")
    migrate.downgrade(databases.engine, "0003")
    yield world
    databases.close()


def test_old_charges_count_and_a_clip_under_way_is_charged_when_it_is_done(old: World) -> None:
    migrate.upgrade(old.databases.engine)
    world, done, open_ = old, len("This is done."), len("This one is under way.")
    (account,) = world.rows(select(Account))
    with world.databases.reading() as session:
        balance = ledger.balance_of(session, session.get_one(Account, account.id))
    assert (balance.used, balance.reserved) == (done, open_)
    assert balance.left == PLANS["free"].characters_a_month - done - open_
    world.deliver(world.take(JobKind.SPEAK))
    charged = world.rows(select(LedgerEntry.characters).where(LedgerEntry.kind == EntryKind.SETTLE))
    assert sorted(charged) == [done, open_]
    assert {job.state for job in world.rows(select(Job))} == {JobState.DONE}


def test_an_old_charge_counts_in_the_month_that_it_was_in_by_utc(old: World) -> None:
    evening = datetime(2026, 3, 31, 20, tzinfo=UTC)  # in Tokyo it is April by then
    if old.databases.engine.dialect.name == "sqlite":
        old.execute("DROP TRIGGER usage_entry_no_update")
        old.execute("UPDATE usage_entry SET at = '2026-03-31 20:00:00.000000'")
    else:
        old.execute("ALTER TABLE usage_entry DISABLE TRIGGER ALL")
        old.execute("UPDATE usage_entry SET at = '2026-03-31 20:00:00+00'")
    if old.databases.engine.dialect.name == "sqlite":
        old.execute("CREATE TRIGGER usage_entry_no_update BEFORE UPDATE ON usage_entry BEGIN SELECT 1; END")
    migrate.upgrade(old.databases.engine)
    (entry,) = old.rows(select(LedgerEntry).where(LedgerEntry.kind == EntryKind.SETTLE))
    assert (entry.period, entry.at) == (datetime(2026, 3, 1, tzinfo=UTC), evening)
