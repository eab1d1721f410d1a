"""Promise: nothing in the background is lost. The outbox row is in the transaction that causes it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import select

from app.core import outbox
from app.core.db import now
from app.core.outbox import OutboxMessage
from app.jobs import service as jobs
from app.jobs.models import Job, JobKind
from app.jobs.service import RING
from tests.world import World
from workers.celery_app import app
from workers.relay import relay_once


@pytest.fixture
def broker() -> Iterator[Path]:
    """Where the broker of files of this process keeps its messages; empty."""
    folder = Path(app.conf.broker_transport_options["data_folder_in"])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def rung(broker: Path) -> list[str]:
    """The queues that the messages in the broker ring for."""
    return sorted(
        json.loads(path.read_text())["properties"]["delivery_info"]["routing_key"] for path in broker.iterdir()
    )


def create(world: World, queue: str = "cpu") -> None:
    with world.databases.writing() as session:
        jobs.create(session, JobKind.SPEAK, queue=queue, subject_id=uuid4(), account_id=None)


def unsent(world: World) -> int:
    return world.count(OutboxMessage, OutboxMessage.sent_at.is_(None))


def test_a_job_and_its_doorbell_are_written_together(world: World) -> None:
    create(world)
    assert (world.count(Job), world.rows(select(OutboxMessage.queue))) == (1, ["cpu"])


def test_a_rollback_leaves_neither_job_nor_doorbell(world: World) -> None:
    with suppress(ZeroDivisionError), world.databases.writing() as session:
        jobs.create(session, JobKind.SPEAK, queue="cpu", subject_id=uuid4(), account_id=None)
        session.info["later in the same transaction"] = 1 / 0
    assert (world.count(Job), world.count(OutboxMessage)) == (0, 0)


def test_the_relay_sends_and_marks_each_message_once(world: World, broker: Path) -> None:
    create(world)
    create(world, "gpu")
    assert relay_once(world.databases) == 2
    assert rung(broker) == ["cpu", "gpu"]
    assert unsent(world) == 0
    assert relay_once(world.databases) == 0
    assert rung(broker) == ["cpu", "gpu"]


def test_many_messages_for_a_queue_are_one_ring(world: World, broker: Path) -> None:
    for _ in range(5):
        create(world)
    assert relay_once(world.databases) == 5
    assert rung(broker) == ["cpu"]


def test_a_broker_that_does_not_take_a_message_leaves_it_in_the_outbox(world: World, broker: Path) -> None:
    create(world)
    shutil.rmtree(broker)
    with pytest.raises(Exception, match=r"messages|[Dd]irectory"):
        relay_once(world.databases)
    assert unsent(world) == 1
    broker.mkdir()
    assert relay_once(world.databases) == 1
    assert (rung(broker), unsent(world)) == (["cpu"], 0)


def test_the_relay_looks_again_when_more_waits_than_it_takes_at_once(world: World, broker: Path) -> None:
    with world.databases.writing() as session:
        for _ in range(250):
            outbox.enqueue(session, jobs.RING, "cpu")
    assert [relay_once(world.databases) for _ in range(3)] == [200, 50, 0]


def test_relays_beside_each_other_do_no_harm(world: World, broker: Path) -> None:
    for _ in range(20):
        create(world)
    with ThreadPoolExecutor(4) as pool:
        sent = list(pool.map(lambda _: relay_once(world.databases), range(4)))
    assert sum(sent) == 20
    assert unsent(world) == 0
    assert set(rung(broker)) == {"cpu"}


def test_sent_doorbells_are_forgotten_and_unsent_ones_kept(world: World) -> None:
    with world.databases.writing() as session:
        outbox.enqueue(session, RING, "cpu")
        outbox.enqueue(session, RING, "gpu")
        session.flush()
        outbox.mark_sent(session, outbox.unsent(session, limit=1))
    with world.databases.writing() as session:
        outbox.forget_sent(session, now() + timedelta(seconds=1))
    assert [message.queue for message in world.rows(select(OutboxMessage))] == ["gpu"]
