"""Timers: each ends what is over, leaves what is not, and stops for an account on hold."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from app.accounts import holds
from app.accounts.models import Account, KnownBrowser, LoginEvent, LoginSession, OneTimeToken
from app.accounts.sessions import start_session
from app.core.db import now
from app.core.errands import Errand
from app.core.states import move
from app.jobs.models import JobKind
from app.privacy.models import DataExport, ExportState
from app.privacy.retention import RETENTION
from app.provenance.models import TraceQuery, TraceState
from app.settings import Retention
from app.voices.models import Consent, Sample, SampleFile, Voice, VoiceState
from tests.privacy.person import BROWSER, SPEAKER, Person, dump
from tests.world import OPERATOR
from workers.errands import PERIODIC, run_due
from workers.retention import end_retention

OLD = timedelta(days=400)


def age(person: Person, table: type[Any], **columns: Any) -> None:
    """Make all rows of a table as old as can be."""
    with person.world.databases.writing() as session:
        session.execute(update(table).values(**columns))


def everything_grows_old(person: Person) -> None:
    """All that a timer looks at lies long ago."""
    moment = now() - OLD
    age(person, LoginEvent, at=moment)
    age(person, LoginSession, created_at=moment, expires_at=moment)
    age(person, Sample, created_at=moment)
    age(person, DataExport, expires_at=moment)
    age(person, Consent, expires_at=moment, recorded_at=moment)
    age(person, KnownBrowser, used_at=moment)
    age(person, OneTimeToken, created_at=moment, expires_at=moment)
    with person.world.databases.writing() as session:
        for query in session.scalars(select(TraceQuery)):
            query.created_at = moment
            move(session, query, TraceState.FAILED, RETENTION)


def counts(person: Person) -> dict[str, int]:
    """What is left of all that has a timer."""
    world = person.world
    return {
        "history": world.count(LoginEvent),
        "sessions": world.count(LoginSession),
        "browsers": world.count(KnownBrowser),
        "links": world.count(OneTimeToken),
        "exports": world.count(DataExport, DataExport.state == ExportState.READY),
        "sample files": world.count(SampleFile),
        "traces": world.count(TraceQuery, TraceQuery.storage_key != ""),
        "objects": len(person.stored()),
    }


def duties(person: Person) -> None:
    """All regular duties, and the errands that follow from them."""
    for _, _, duty in PERIODIC:
        duty(person.tools)
    run_due(person.tools)


def test_nothing_young_is_touched(person: Person) -> None:
    before = counts(person)
    end_retention(person.tools)
    duties(person)
    assert counts(person) == before


def test_what_is_over_goes(person: Person) -> None:
    before = counts(person)
    everything_grows_old(person)
    duties(person)
    after = counts(person)
    assert after == {
        "history": 0,
        "sessions": 1,  # the newest, so that the next strange browser is noticed
        "browsers": 0,
        "links": 0,
        "exports": 0,
        "sample files": 1,  # the rejected sample's is gone, the voice's own stays
        "traces": 0,
        "objects": before["objects"] - 4,  # export, rejected recording, traced file and its clean copy
    }
    assert person.world.get(Voice, person.voice.id).state is VoiceState.READY
    left = dump(person.world)
    assert SPEAKER in left, "a consent in force stays"
    assert BROWSER not in left


def test_after_a_long_time_a_strange_browser_is_still_told_of(person: Person) -> None:
    everything_grows_old(person)
    end_retention(person.tools)
    told = [Errand.kind == "mail", Errand.key.startswith("new-browser:")]
    before = person.world.count(Errand, *told)
    with person.world.databases.writing() as session:
        start_session(session, person.account.id, address="", user_agent="", settings=person.world.settings)
    assert person.world.count(Errand, *told) == before + 1


def test_a_hold_stops_every_timer(person: Person) -> None:
    with person.world.databases.writing() as session:
        account = session.get_one(Account, person.account.id)
        holds.place(session, account, "A court asked.", OPERATOR)
    everything_grows_old(person)
    before = counts(person)
    duties(person)
    kept = counts(person)
    assert kept == before
    with person.world.databases.writing() as session:
        holds.lift(session, session.get_one(Account, person.account.id), "It is over.", OPERATOR)
    duties(person)
    assert counts(person) != before


def test_readings_that_came_to_nothing_lose_name_and_recording(person: Person) -> None:
    world = person.world
    failed, unread = (world.voice(person.account, VoiceState.DRAFT) for _ in range(2))
    world.ask(failed, "Gwendolyn Failing")
    world.submit(failed)
    world.hear(world.take(JobKind.CONSENT), speaker="refuse")
    world.ask(unread, "Percival Silent")
    end_retention(person.tools)
    assert "Gwendolyn" in dump(world)
    age(person, Consent, expires_at=now() - OLD, recorded_at=now() - OLD)
    with world.databases.writing() as session:
        session.execute(update(Consent).where(Consent.voice_id == unread.id).values(recorded_at=None))
    end_retention(person.tools)
    left = dump(world)
    assert [name for name in ("Gwendolyn", "Percival") if name in left] == []
    assert SPEAKER in left


@pytest.mark.parametrize("field", Retention.model_fields)
def test_every_timer_is_used(field: str, source: str) -> None:
    assert f".{field}" in source


@pytest.fixture(scope="module")
def source() -> str:
    """The code that could use a timer."""
    root = Path(__file__).parents[2]
    files: list[Path] = [*root.glob("app/privacy/*.py"), *root.glob("workers/*.py")]
    return "\n".join(path.read_text() for path in files if path.name != "kept.py")
