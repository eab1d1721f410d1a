"""Stored objects that nothing needs are found and deleted; nothing that a row needs is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from app.accounts import holds
from app.accounts.models import Account
from app.core import migrate
from app.core.db import Base, Databases, now
from app.core.storage import open_storage
from app.privacy import stored
from app.voices.models import Sample, Voice, VoiceState
from tests.core.test_storage import s3_server, s3_settings  # noqa: F401 - a fixture
from tests.privacy.person import Person
from tests.world import OPERATOR
from workers.errands import run_due
from workers.retention import remove_orphans
from workers.tools import Tools

NO_OBJECTS = {"passkey.public_key"}
"""Columns that end like those that name objects, but do not."""


def sweep(tools: Tools, older_than: timedelta = timedelta(0)) -> None:
    """The regular duty, with another patience."""
    retention = tools.settings.retention.model_copy(update={"orphans": older_than})
    tools.settings = tools.settings.model_copy(update={"retention": retention})
    remove_orphans(tools)


def test_every_column_that_names_objects_is_known() -> None:
    named = {
        f"{table.name}.{column.name}"
        for table in Base.metadata.tables.values()
        for column in table.columns
        if column.name.endswith("_key")
    }
    assert named - NO_OBJECTS == set(stored.NAMES)


def test_only_what_no_row_needs_goes(person: Person) -> None:
    needed = person.stored()
    left_over = [f"{folder}/left-over" for folder in stored.FOLDERS]
    left_over.append("samples/01890000-0000-7000-8000-000000000000/voiceprint.npz")
    for key in [*left_over, "stock/low.npz", "checks/1"]:
        person.tools.storage.put(key, b"x")
    sweep(person.tools, timedelta(days=1))
    assert set(left_over) <= set(person.stored()), "they are too young"
    sweep(person.tools)
    assert person.stored() == sorted([*needed, "stock/low.npz", "checks/1"])


def test_many_go_at_once(person: Person) -> None:
    needed = person.stored()
    for number in range(stored.BATCH + 50):
        person.tools.storage.put(f"uploads/{number}", b"")
    sweep(person.tools)
    assert person.stored() == needed


def test_a_deleted_voice_goes_with_what_is_written_after_it(person: Person) -> None:
    world = person.world
    (sample_id,) = world.rows(select(Sample.id).where(Sample.voice_id == person.voice.id))
    print_ = f"samples/{sample_id}/voiceprint.npz"
    world.delete(person.voice)
    run_due(person.tools)
    gone = [key for key in person.stored() if str(sample_id) in key or key.startswith("voices/")]
    assert gone == []
    person.tools.storage.put(print_, b"by a worker that had not heard of it")
    sweep(person.tools)
    assert print_ not in person.stored()


def test_a_voice_that_is_deleted_under_a_hold_stays_stored_until_its_release(person: Person) -> None:
    world, before = person.world, person.stored()
    with world.databases.writing() as session:
        holds.place(session, session.get_one(Account, person.account.id), "A court asked.", OPERATOR)
    world.delete(person.voice)
    run_due(person.tools)
    sweep(person.tools)
    assert world.get(Voice, person.voice.id).state is VoiceState.DELETED
    assert person.stored() == before
    with world.databases.writing() as session:
        holds.lift(session, session.get_one(Account, person.account.id), "It is over.", OPERATOR)
    sweep(person.tools)
    assert [key for key in person.stored() if key.startswith("voices/")] == []


def test_the_same_in_a_bucket(s3_server: str, tmp_path_factory: pytest.TempPathFactory) -> None:  # noqa: F811
    import boto3

    where = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=s3_server, **where)
    client.create_bucket(Bucket="orphans")
    client.close()
    settings = s3_settings(s3_server, "orphans", tmp_path_factory.mktemp("bucket"))
    databases = Databases(settings)
    migrate.upgrade(databases.engine)
    databases.close()
    storage = open_storage(settings)
    storage.put("uploads/left-over", b"x")
    storage.put("stock/low.npz", b"x")
    assert list(storage.keys("uploads", now() - timedelta(hours=1))) == []
    tools = Tools(settings)
    sweep(tools)
    assert storage.list("") == ["stock/low.npz"]
    tools.databases.close()
