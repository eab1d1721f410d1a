"""The rows of errands: written once by their key, taken by one at a time, kept until they are done."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from threading import Barrier, Event

import pytest
from sqlalchemy import select, update

from app.core import errands
from app.core.db import Databases, now
from app.core.errands import Errand
from app.core.outbox import OutboxMessage
from tests.world import World


def add(world: World, key: str = "k", kind: str = "test", **more: object) -> Errand | None:
    with world.databases.writing() as session:
        return errands.add(session, kind, key, **more)  # type: ignore[arg-type]


def take(world: World) -> Errand | None:
    with world.databases.writing() as session:
        return errands.take(session)


def taken(world: World) -> Errand:
    """The next errand, which must be there."""
    errand = take(world)
    assert errand is not None
    return errand


def later(world: World) -> None:
    """Time passes: leases and rests are over."""
    with world.databases.writing() as session:
        session.execute(update(Errand).values(due_at=now() - timedelta(seconds=1)))


def test_an_errand_and_its_doorbell_are_written_together(world: World) -> None:
    owner = uuid.uuid4()
    add(world, payload={"to": "x"}, owner_id=owner)
    errand: Errand = world.rows(select(Errand))[0]
    assert (errand.kind, errand.key, errand.payload, errand.owner_id) == ("test", "k", {"to": "x"}, owner)
    assert [(one.topic, one.queue) for one in world.rows(select(OutboxMessage))] == [("errand", "errands")]


def test_an_errand_for_later_is_not_rung_for_before(world: World) -> None:
    add(world, due_at=now() + timedelta(hours=1))
    assert world.count(OutboxMessage) == 0
    assert take(world) is None
    later(world)
    with world.databases.writing() as session:
        errands.ring_again(session)
    assert world.count(OutboxMessage) == 1
    assert taken(world).key == "k"


def test_an_existing_key_adds_nothing_and_the_transaction_goes_on(world: World) -> None:
    add(world, payload={"n": 1})
    with world.databases.writing() as session:
        assert errands.add(session, "other", "k", {"n": 2}) is None
        assert errands.add(session, "test", "next") is not None
    assert [(one.key, one.payload) for one in world.rows(select(Errand).order_by(Errand.id))] == [
        ("k", {"n": 1}),
        ("next", {}),
    ]
    assert world.count(OutboxMessage) == 2


def test_a_key_counts_even_after_its_errand_is_done(world: World) -> None:
    add(world)
    errand = taken(world)
    with world.databases.writing() as session:
        assert errands.finish(session, errand.id, errand.attempts)
    assert add(world) is None


def test_a_rollback_leaves_no_errand_and_its_key_free(world: World) -> None:
    with suppress(ZeroDivisionError), world.databases.writing() as session:
        errands.add(session, "test", "k")
        session.info["later in the same transaction"] = 1 / 0
    assert (world.count(Errand), world.count(OutboxMessage)) == (0, 0)
    assert add(world) is not None


@pytest.mark.parametrize("what", [{"key": "k" * 161}, {"kind": "k" * 41}])
def test_what_does_not_fit_is_refused_alike_on_both_databases(world: World, what: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="too long"):
        add(world, **what)


def test_of_many_who_add_the_same_keys_at_once_one_succeeds_for_each(world: World) -> None:
    together = Barrier(6)

    def add_all(_: int) -> int:
        together.wait()
        with world.databases.writing() as session:
            return sum(errands.add(session, "test", f"k{number}") is not None for number in range(20))

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(add_all, range(6))) == 20
    assert world.count(Errand) == 20


@pytest.mark.parametrize("commits", [True, False])
def test_who_adds_a_key_that_another_has_not_committed_yet_waits_for_it(world: World, commits: bool) -> None:
    begun = Event()

    def second() -> bool:
        begun.set()
        return add(world) is not None

    with ThreadPoolExecutor(1) as pool, suppress(ZeroDivisionError), world.databases.writing() as session:
        errands.add(session, "test", "k")
        added = pool.submit(second)
        assert begun.wait(20)
        session.info["answer"] = 1 / int(commits)
    assert added.result(20) is not commits
    assert world.count(Errand) == 1


def test_the_one_that_is_due_longest_is_taken_first(world: World) -> None:
    for key, minutes in (("new", 1), ("old", 9), ("middle", 5)):
        add(world, key, due_at=now() - timedelta(minutes=minutes))
    assert [taken(world).key for _ in range(3)] == ["old", "middle", "new"]
    assert take(world) is None


def test_nobody_takes_what_another_has_taken(world: World) -> None:
    for number in range(12):
        add(world, str(number))
    together = Barrier(6)

    def take_all(_: int) -> list[str]:
        together.wait()
        keys = []
        while (errand := take(world)) is not None:
            keys.append(errand.key)
        return keys

    with ThreadPoolExecutor(6) as pool:
        keys = [key for some in pool.map(take_all, range(6)) for key in some]
    assert sorted(keys, key=int) == [str(number) for number in range(12)]


def test_who_lost_the_lease_can_change_nothing(world: World) -> None:
    add(world, payload={"text": "hello"})
    first = taken(world)
    later(world)
    second = taken(world)
    assert (first.id, first.attempts, second.attempts) == (second.id, 1, 2)
    with world.databases.writing() as session:
        assert not errands.finish(session, first.id, first.attempts)
        assert not errands.fail(session, first.id, first.attempts, "late")
        assert not errands.renew(session, first.id, first.attempts)
    assert world.get(Errand, first.id).done_at is None
    assert world.get(Errand, first.id).problem is None
    with world.databases.writing() as session:
        assert errands.renew(session, second.id, second.attempts, timedelta(minutes=9))
    assert world.get(Errand, first.id).due_at > now() + timedelta(minutes=8)
    with world.databases.writing() as session:
        assert errands.finish(session, second.id, second.attempts)
        assert not errands.fail(session, second.id, second.attempts, "it is done already")
    assert world.get(Errand, first.id).problem is None


def test_what_is_done_is_not_taken_again_and_its_payload_is_gone(world: World) -> None:
    add(world, payload={"text": "a secret link"})
    errand = taken(world)
    with world.databases.writing() as session:
        assert errands.finish(session, errand.id, errand.attempts)
    later(world)
    assert take(world) is None
    assert world.get(Errand, errand.id).payload == {}


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 10), (2, 20), (3, 40), (9, 2560), (10, 3600), (99, 3600), (10**6, 3600)]
)
def test_each_failure_doubles_the_rest_up_to_an_hour(world: World, attempt: int, seconds: int) -> None:
    add(world)
    errand = taken(world)
    with world.databases.writing() as session:
        session.execute(update(Errand).values(attempts=attempt))
    earliest = now()
    with world.databases.writing() as session:
        assert errands.fail(session, errand.id, attempt, "p" * 10_000 + "\0")
    failed = world.get(Errand, errand.id)
    assert earliest <= failed.due_at - timedelta(seconds=seconds) <= now()
    assert (failed.problem, failed.done_at) == ("p" * 500, None)


def test_an_erasure_takes_the_errands_of_its_owner_along(world: World) -> None:
    owner, other = uuid.uuid4(), uuid.uuid4()
    add(world, "mine", owner_id=owner)
    add(world, "theirs", owner_id=other)
    add(world, "nobody's")
    with world.databases.writing() as session:
        errands.drop(session, owner_id=owner)
    assert world.rows(select(Errand.key).order_by(Errand.id)) == ["theirs", "nobody's"]


def test_what_was_done_long_ago_is_forgotten_unless_somebody_must_keep_it(world: World) -> None:
    held = uuid.uuid4()
    for key, owner, days in (("old", None, 9), ("held", held, 9), ("new", None, 1), ("open", None, None)):
        add(world, key, owner_id=owner)
        done_at = None if days is None else now() - timedelta(days=days)
        with world.databases.writing() as session:
            session.execute(update(Errand).where(Errand.key == key).values(done_at=done_at))
    with world.databases.writing() as session:
        errands.forget_done(session, now() - timedelta(days=5), keep=[held])
    assert world.rows(select(Errand.key).order_by(Errand.id)) == ["held", "new", "open"]
    with world.databases.writing() as session:
        errands.forget_done(session, now() - timedelta(days=5))
    assert world.rows(select(Errand.key).order_by(Errand.id)) == ["new", "open"]


def test_what_is_stuck_and_what_was_given_up_is_told_by_kind(world: World) -> None:
    for key, kind in (("a", "mail"), ("b", "mail"), ("c", "stripe.call"), ("d", "mail")):
        add(world, key, kind=kind)
    with world.databases.writing() as session:
        session.execute(update(Errand).where(Errand.key.in_(["a", "b"])).values(attempts=4, problem="server away"))
        session.execute(update(Errand).where(Errand.key == "c").values(attempts=3, problem="once or twice"))
        session.execute(update(Errand).where(Errand.key == "d").values(done_at=now(), problem="no such person"))
    with world.databases.reading() as session:
        assert errands.stuck(session) == [("mail", 2, "server away")]
        assert errands.given_up(session, now() - timedelta(hours=1)) == [("mail", 1, "no such person")]
        assert errands.given_up(session, now() + timedelta(hours=1)) == []


def test_a_ring_again_is_only_for_what_is_due(databases: Databases, world: World) -> None:
    with databases.writing() as session:
        errands.ring_again(session)
    assert world.count(OutboxMessage) == 0
