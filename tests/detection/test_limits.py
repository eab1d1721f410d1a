"""How many files one network, and everybody together, may have searched; and what is forgotten when. Both databases."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.core.db import now
from app.core.errors import DomainError, RateLimited
from app.core.uploads import Upload
from app.jobs.models import JobKind
from app.privacy.retention import end_retention
from app.provenance.detection import service
from app.provenance.detection.models import Answer, Detection
from app.provenance.detection.service import Asked
from app.provenance.models import TraceQuery, TraceState, Verdict
from app.provenance.service import TraceFindings, recent_traces
from app.settings import Settings
from tests.world import World, upload
from workers.errands import run_due
from workers.keys import init_keys
from workers.tools import Tools
from workers.trace import public

MOST = 3
HERE, THERE = "a" * 64, "b" * 64


@pytest.fixture
def settings(settings: Settings) -> Settings:
    provenance = settings.provenance.model_copy(update={"detections_per_day": MOST})
    return settings.model_copy(update={"provenance": provenance})


@pytest.fixture
def tools(settings: Settings) -> Iterator[Tools]:
    init_keys(settings.key_directory, settings.voices.service_name)
    tools = Tools(settings)
    yield tools
    tools.databases.close()


def ask(world: World, asked_from: str = HERE, file: Upload | None = None) -> Asked:
    with world.databases.writing() as session:
        return service.ask(session, file or upload(), asked_from=asked_from, settings=world.settings)


def age(world: World, by: timedelta) -> None:
    """Time passes."""
    with world.databases.writing() as session:
        for detection in session.scalars(select(Detection)):
            detection.created_at -= by
            detection.answered_at = detection.answered_at and detection.answered_at - by


def answer(tools: Tools, asked: Asked, verdict: Verdict = Verdict.NO_EVIDENCE) -> Detection:
    """What the worker does at its end."""
    findings = TraceFindings(verdict, None, [], 1.0, 5.0, [0.5], "")
    with tools.databases.writing() as session:
        public.answer(session, session.get_one(TraceQuery, asked.detection.trace_query_id), findings, 5.0, tools)
    with tools.databases.reading() as session:
        return session.get_one(Detection, asked.detection.id)


def test_a_network_has_a_number_of_files_a_day(world: World) -> None:
    for _ in range(MOST):
        ask(world)
    with pytest.raises(RateLimited, match="3 files a day") as refused:
        ask(world)
    assert 86_000 < refused.value.retry_after <= 86_400
    ask(world, THERE)
    age(world, timedelta(days=1))
    assert ask(world).fresh


def test_at_once_is_no_way_around_the_limit(world: World) -> None:
    start, outcomes = threading.Barrier(3 * MOST), []

    def one() -> None:
        start.wait()
        try:
            outcomes.append(ask(world).fresh)
        except RateLimited:
            outcomes.append(False)

    threads = [threading.Thread(target=one) for _ in range(3 * MOST)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(outcomes), len(outcomes)) == (MOST, 3 * MOST)


def test_all_together_are_limited(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_AN_HOUR", 2)
    ask(world, HERE)
    ask(world, THERE)
    with pytest.raises(RateLimited, match="Too many people") as refused:
        ask(world, "c" * 64)
    assert 3_500 < refused.value.retry_after <= 3_600
    age(world, timedelta(hours=1))
    monkeypatch.setattr(service, "MOST_WAITING", 2)
    with pytest.raises(RateLimited, match="Too many people"):
        ask(world, "c" * 64)


def test_the_same_file_has_one_answer_for_a_month(world: World, tools: Tools) -> None:
    file = upload()
    first = ask(world, file=file)
    assert ask(world, THERE, file).detection.id == first.detection.id, "while it waits, too"
    answered = answer(tools, first)
    again = ask(world, THERE, file)
    assert (again.fresh, again.detection.receipt) == (False, answered.receipt)
    age(world, timedelta(days=30))
    assert ask(world, file=file).fresh


def test_zero_switches_it_off(world: World) -> None:
    off = world.settings.provenance.model_copy(update={"detections_per_day": 0})
    world.settings = world.settings.model_copy(update={"provenance": off})
    with pytest.raises(DomainError, match="switched off") as refused:
        ask(world)
    assert (refused.value.status, refused.value.code) == (404, "detection.off")


def test_who_asked_is_forgotten_after_a_day_and_the_answer_stays(world: World, tools: Tools) -> None:
    answer(tools, ask(world))
    with world.databases.writing() as session:
        assert end_retention(session, world.settings)["askers"] == 0
    age(world, timedelta(days=1, minutes=1))
    with world.databases.writing() as session:
        assert end_retention(session, world.settings)["askers"] == 1
    (kept,) = world.rows(select(Detection))
    assert (kept.asked_from, kept.answer) == (None, Answer.NOT_FOUND)


def test_a_file_that_nobody_looks_at_goes_after_a_day(world: World, tools: Tools) -> None:
    asked = ask(world, file=upload("a"))
    key = world.get(TraceQuery, asked.detection.trace_query_id).storage_key
    tools.storage.put(key, b"a recording")
    world.execute("UPDATE job SET created_at = :at", at=now() - timedelta(days=1, minutes=1))
    with world.databases.writing() as session:
        assert end_retention(session, world.settings)["detections"] == 1
    run_due(tools)
    assert tools.storage.list("uploads") == []
    query = world.get(TraceQuery, asked.detection.trace_query_id)
    assert (query.state, query.storage_key) == (TraceState.FAILED, "")
    assert "Send it again" in query.problem


def test_moderators_come_first_and_do_not_see_it(world: World) -> None:
    ask(world)
    with world.databases.reading() as session:
        assert recent_traces(session) == []
    world.start_voice(world.account())
    claims = [world.claim("cpu")[0].kind for _ in range(2)]
    assert claims == [JobKind.INTAKE, JobKind.TRACE]
