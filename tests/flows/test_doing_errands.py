"""Doing errands: each until it is done, no two at once, and none in the way of the others or of the sweeper."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from app.accounts.models import LegalHold
from app.core import errands
from app.core.db import new_id, now
from app.core.errands import CannotBeDone, Errand, ErrandFacts
from app.core.errors import Unavailable
from app.core.outbox import OutboxMessage
from app.settings import Settings
from tests.world import World
from workers import errands as worker
from workers import tasks
from workers.celery_app import app as celery
from workers.errands import Duties, Handler, run_due
from workers.relay import relay_once
from workers.runtime import STUCK
from workers.tools import Tools

Handling = Callable[[Handler], None]

ALL_OF_IT = """
import json, sys
import workers.tasks
heavy = [name for name in ("numpy", "onnxruntime", "faster_whisper", "scipy", "av", "c2pa") if name in sys.modules]
from app.billing import subscriptions
from app.core.db import Base
from app.jobs import service as jobs
known = lambda: [
    sorted(Base.metadata.tables), sorted(jobs._endings), sorted(hook.__qualname__ for hook in subscriptions._hooks)
]
light = known()
import importlib, pkgutil, app
for module in pkgutil.walk_packages(app.__path__, "app."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(json.dumps({"heavy": heavy, "light": light, "all": known()}))
"""
HANG = """
import sys, threading
from datetime import timedelta
from app.core.errands import ErrandFacts
from app.core.db import new_id
from app.settings import Settings
from workers import errands
from workers.tools import Tools

errands.LEASE = timedelta(seconds=0.3)
tools = Tools(Settings(data_dir=sys.argv[1], jobs={"time_limit": 0.2}))
with errands._kept(ErrandFacts(new_id(), "k", None, {}, 1), tools):
    threading.Event().wait(60)
"""


@pytest.fixture
def tools(settings: Settings) -> Iterator[Tools]:
    """A worker's tools."""
    made = Tools(settings)
    yield made
    made.databases.close()


@pytest.fixture
def handling(monkeypatch: pytest.MonkeyPatch) -> Handling:
    """Has errands of the kind `test` done by a function."""
    return lambda handler: monkeypatch.setattr(worker, "HANDLERS", {"test": handler})


def add(world: World, *keys: str, kind: str = "test") -> None:
    with world.databases.writing() as session:
        for key in keys:
            errands.add(session, kind, key, {"of": key})


def later(world: World) -> None:
    """Time passes: leases and rests are over."""
    with world.databases.writing() as session:
        session.execute(update(Errand).where(Errand.done_at.is_(None)).values(due_at=now() - timedelta(seconds=1)))


def row(world: World, key: str) -> Errand:
    found: Errand = world.rows(select(Errand).where(Errand.key == key))[0]
    return found


def test_all_that_is_due_is_done_once_in_its_order(world: World, tools: Tools, handling: Handling) -> None:
    done: list[ErrandFacts] = []
    handling(lambda errand, _: done.append(errand))
    add(world, "a", "b", "c")
    assert run_due(tools) == 3
    later(world)
    assert run_due(tools) == 0
    assert [(one.key, one.payload, one.attempt) for one in done] == [(key, {"of": key}, 1) for key in "abc"]
    assert {(one.payload == {}, one.done_at is not None) for one in world.rows(select(Errand))} == {(True, True)}


def test_a_handler_that_fails_is_asked_again_and_holds_nobody_up(
    world: World, tools: Tools, handling: Handling
) -> None:
    tried: list[tuple[str, int]] = []

    def moody(errand: ErrandFacts, _: Tools) -> None:
        tried.append((errand.key, errand.attempt))
        if errand.key == "bad" and errand.attempt < 3:
            raise RuntimeError("not today") if errand.attempt == 1 else Unavailable("x", "It is away.")

    handling(moody)
    add(world, "bad", "good")
    assert run_due(tools) == 2
    assert (row(world, "bad").problem, row(world, "bad").done_at) == ("RuntimeError: not today", None)
    assert run_due(tools) == 0  # it rests
    later(world)
    assert run_due(tools) == 1
    assert row(world, "bad").problem == "It is away."
    assert row(world, "bad").payload == {"of": "bad"}
    later(world)
    assert run_due(tools) == 1
    assert tried == [("bad", 1), ("good", 1), ("bad", 2), ("bad", 3)]
    assert (row(world, "bad").problem, row(world, "bad").payload) == (None, {})


def test_what_cannot_be_done_ends_with_its_reason(world: World, tools: Tools, handling: Handling) -> None:
    def hopeless(errand: ErrandFacts, _: Tools) -> None:
        raise CannotBeDone("nobody lives there")

    handling(hopeless)
    add(world, "k")
    assert run_due(tools) == 1
    ended = row(world, "k")
    assert (ended.problem, ended.payload) == ("nobody lives there", {})
    assert ended.done_at is not None


def test_an_unknown_kind_waits_with_a_clear_problem(world: World, tools: Tools) -> None:
    add(world, "k", kind="post.pigeon")
    assert run_due(tools) == 1
    assert row(world, "k").done_at is None
    assert "nothing here knows how to do errands of the kind 'post.pigeon'" in str(row(world, "k").problem)


def test_a_handler_runs_outside_of_any_transaction(world: World, tools: Tools, handling: Handling) -> None:
    """With SQLite it would wait for its own caller's lock until it failed."""
    handling(lambda errand, _: add(world, f"{errand.key}+") if errand.key == "k" else None)
    add(world, "k")
    assert run_due(tools) == 2
    assert row(world, "k+").done_at is not None


def test_no_errand_is_done_twice_and_none_by_two_at_once(world: World, tools: Tools, handling: Handling) -> None:
    at_work: set[str] = set()
    done: list[str] = []
    together = threading.Barrier(4)

    def slow(errand: ErrandFacts, _: Tools) -> None:
        assert errand.key not in at_work
        at_work.add(errand.key)
        if errand.key in first_four:
            together.wait(20)  # four are at work at the same moment
        done.append(errand.key)
        at_work.remove(errand.key)

    handling(slow)
    keys = [f"k{number}" for number in range(16)]
    first_four = keys[:4]
    add(world, *keys)
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda _: run_due(tools), range(4))) == 16
    assert sorted(done) == sorted(keys)


@pytest.mark.parametrize("outcome", [None, RuntimeError("late"), CannotBeDone("late")])
def test_who_lost_its_turn_changes_nothing_any_more(
    world: World, tools: Tools, handling: Handling, outcome: Exception | None
) -> None:
    def overtaken(errand: ErrandFacts, _: Tools) -> None:
        later(world)
        with world.databases.writing() as session:
            assert errands.take(session) is not None  # somebody else has it now
        if outcome is not None:
            raise outcome

    handling(overtaken)
    add(world, "k")
    assert run_due(tools) == 1
    left = row(world, "k")
    assert (left.done_at, left.problem, left.payload, left.attempts) == (None, None, {"of": "k"}, 2)
    assert left.due_at > now()


def test_an_errand_is_kept_for_as_long_as_it_takes(
    world: World, tools: Tools, handling: Handling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LEASE", timedelta(seconds=0.03))

    def long(errand: ErrandFacts, _: Tools) -> None:
        later(world)
        for _try in range(1_000):  # until the keeper has renewed it
            if row(world, errand.key).due_at > now() + timedelta(minutes=1):
                return
            threading.Event().wait(0.01)
        raise AssertionError("it was never renewed")

    handling(long)
    add(world, "k")
    run_due(tools)
    assert row(world, "k").problem is None
    assert row(world, "k").attempts == 1


def test_an_errand_that_never_ends_ends_its_process(sqlite_settings: Settings) -> None:
    command = [sys.executable, "-c", HANG, str(sqlite_settings.data_dir)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == STUCK, done.stderr
    assert "errands.stuck" in done.stdout + done.stderr


def test_an_erasure_may_delete_the_errand_that_it_is(world: World, tools: Tools, handling: Handling) -> None:
    owner = new_id()

    def erase(errand: ErrandFacts, tools: Tools) -> None:
        with tools.databases.writing() as session:
            errands.drop(session, owner_id=owner)

    handling(erase)
    with world.databases.writing() as session:
        errands.add(session, "test", "k", owner_id=owner)
    assert run_due(tools) == 1
    assert world.count(Errand) == 0


# --- the sweeper and regular duties


def test_a_duty_that_breaks_stops_no_other_and_is_tried_again_sooner(
    sqlite_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, done = [1_000.0], []

    def breaks(_: Tools) -> None:
        done.append("breaks")
        raise RuntimeError("no disk")

    duties = (
        ("breaks", timedelta(days=1), breaks),
        ("daily", timedelta(days=1), lambda _: done.append("daily")),
        ("often", timedelta(minutes=1), lambda _: done.append("often")),
    )
    monkeypatch.setattr(worker, "PERIODIC", duties)
    due = Duties(clock=lambda: clock[0])
    for moment in (0, 59, 60, 300, 86_399, 86_400):
        clock[0] = 1_000.0 + moment
        due.run_due(Tools(sqlite_settings))
        done.append("|")
    rounds = "".join(done).split("|")[:-1]
    assert rounds == ["breaksdailyoften", "", "often", "breaksoften", "breaksoften", "daily"]


def test_a_duty_that_goes_on_is_not_begun_again(sqlite_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    duties = Duties()
    tools = Tools(sqlite_settings)

    def long(tools: Tools) -> None:
        begun.append(1)
        duties.run_due(tools)  # the next sweep, while this one goes on

    monkeypatch.setattr(worker, "PERIODIC", (("long", timedelta(0), long),))
    duties.run_due(tools)
    assert begun == [1]


def test_done_errands_are_forgotten_after_their_time_unless_a_legal_hold_keeps_them(world: World) -> None:
    held, lifted = world.account(), world.account()
    with world.databases.writing() as session:
        session.add(LegalHold(account_id=held.id, reason="court order"))
        session.add(LegalHold(account_id=lifted.id, reason="court order", lifted_at=now()))
        for key, owner, days in (("held", held, 31), ("lifted", lifted, 31), ("new", held, 29), ("old", None, 31)):
            made = errands.add(session, "test", key, owner_id=owner.id if owner else None)
            assert made is not None
            made.done_at = now() - timedelta(days=days)
    tools = Tools(world.settings)
    worker._forget_done(tools)
    tools.databases.close()
    assert sorted(world.rows(select(Errand.key))) == ["held", "new"]


def test_the_sweep_rings_again_for_what_is_due_and_does_its_duties(
    world: World, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(tasks, "tools", lambda: tools)
    monkeypatch.setattr(tasks, "_duties", Duties())
    monkeypatch.setattr(worker, "PERIODIC", (("a duty", timedelta(hours=1), lambda _: done.append("a duty")),))
    add(world, "k", kind="post.pigeon")
    run_due(tools)
    with world.databases.writing() as session:
        session.execute(update(OutboxMessage).values(sent_at=now()))
    tasks.sweep()
    assert world.count(OutboxMessage, OutboxMessage.sent_at.is_(None)) == 0  # it rests
    later(world)
    tasks.sweep()
    assert world.count(OutboxMessage, OutboxMessage.sent_at.is_(None), OutboxMessage.topic == "errand") == 1
    assert done == ["a duty"]


def test_one_thread_is_always_left_for_the_sweeper(
    world: World, tools: Tools, handling: Handling, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    handling(lambda errand, _: done.append(errand.key))
    monkeypatch.setattr(tasks, "tools", lambda: tools)
    add(world, "k")
    for _ in range(tasks.ERRANDS_AT_ONCE):
        assert tasks._free.acquire(blocking=False)
    try:
        tasks.do_errands()
        assert done == []
    finally:
        for _ in range(tasks.ERRANDS_AT_ONCE):
            tasks._free.release()
    tasks.do_errands()
    assert done == ["k"]


def test_the_relay_rings_the_process_for_errands_once_for_many(world: World) -> None:
    folder = Path(celery.conf.broker_transport_options["data_folder_in"])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    add(world, "a", "b", "c")
    assert relay_once(world.databases) == 3
    (message,) = [json.loads(path.read_text()) for path in folder.iterdir()]
    assert message["headers"]["task"] == "vouch.errands"
    assert message["properties"]["delivery_info"]["routing_key"] == "errands"
    shutil.rmtree(folder)


def test_the_process_for_errands_knows_all_tables_and_hooks_and_no_model() -> None:
    done = subprocess.run([sys.executable, "-c", ALL_OF_IT], capture_output=True, text=True, timeout=50, check=False)
    said = json.loads(done.stdout)
    assert said["heavy"] == []
    assert said["light"] == said["all"]
