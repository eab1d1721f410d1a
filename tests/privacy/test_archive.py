"""Archives: everything of the account, verifiable, nothing that is not stamped, and no word about others."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app.accounts.models import Account, Role, Standing
from app.accounts.signals import SignalKind, raise_signal
from app.billing.gateway import GatewayDown
from app.core import mail
from app.core.db import now
from app.core.errands import Errand
from app.core.errors import Unavailable
from app.jobs.models import JobKind
from app.privacy import exports
from app.privacy.archive import Archive
from app.privacy.models import DataExport, ExportState
from app.provenance.models import Stamp
from tests.privacy.person import SPEAKER, WORDS, Person
from tests.world import actor_of
from workers.export import MOST_TRIES


def ask(person: Person) -> DataExport:
    """The holder asks for a copy."""
    with person.world.databases.writing() as session:
        account = session.get_one(Account, person.account.id)
        return exports.ask(session, account, actor_of(account))


def copy_of(person: Person, export: DataExport) -> tuple[zipfile.ZipFile, dict[str, Any]]:
    """The finished archive and its manifest."""
    row: DataExport = person.world.get(DataExport, export.id)
    assert row.state is ExportState.READY, row.problem
    data = person.tools.storage.get(row.storage_key or "")
    assert (row.size, row.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert row.files == len(archive.namelist())
    return archive, json.loads(archive.read("manifest.json"))


def test_the_manifest_is_true_and_everything_is_there(person: Person) -> None:
    export = ask(person)
    person.work()
    archive, manifest = copy_of(person, export)
    for each in manifest["files"]:
        data = archive.read(each["name"])
        assert (each["size"], each["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert {each["name"] for each in manifest["files"]} | {"manifest.json"} == set(archive.namelist())
    assert (manifest["version"], manifest["missing"], manifest["notes"]) == (1, [], [])
    rows = {name: json.loads(archive.read(name)) for name in archive.namelist() if name.endswith(".json")}
    assert set(rows) >= {"account.json", "voices.json", "clips.json", "usage.json", "sign_ins.json", "keys.json"}
    assert [clip["text"] for clip in rows["clips.json"]] == [WORDS]
    assert rows["clips.json"][0]["file"] in archive.namelist()
    assert rows["voices.json"][0]["consents"][0]["speaker_name"] == SPEAKER
    assert len(rows["usage.json"]) >= 3
    recordings = [name for name in archive.namelist() if name.startswith("voices/")]
    assert len(recordings) == 3  # two samples and a reading
    whole = b"".join(archive.read(name) for name in archive.namelist())
    assert person.made.api_key.encode() not in whole
    assert person.account.password_hash.encode() not in whole


def test_what_is_not_stamped_is_not_in_it(person: Person) -> None:
    world = person.world
    world.speak(person.account, person.voice, "Never finished.")
    claim = world.take(JobKind.SPEAK)
    generation = world.commit(claim)
    person.tools.storage.put(f"generations/{generation.id}/{claim.fence}.wav", b"RIFF unstamped")
    export = ask(person)
    person.work()
    archive, _ = copy_of(person, export)
    clips = [name for name in archive.namelist() if name.startswith("clips/")]
    assert len(clips) == person.world.count(Stamp) == 1
    assert all(b"unstamped" not in archive.read(name) for name in archive.namelist())


def test_it_says_nothing_about_others_nor_about_suspicions(person: Person) -> None:
    world = person.world
    other = Person.of(world, person.tools)
    moderator = world.account(role=Role.MODERATOR)
    with world.databases.writing() as session:
        raise_signal(session, person.account.id, SignalKind.DISPUTE, "dp_1", "A suspicion.", actor=actor_of(moderator))
    world.set_standing(person.account, Standing.RESTRICTED)
    export = ask(person)
    person.work()
    archive, _ = copy_of(person, export)
    whole = b"".join(archive.read(name) for name in archive.namelist()).decode("utf-8", "replace")
    for hidden in (other.account.email, other.account.public_id, str(moderator.id), "suspicion", "dp_1"):
        assert hidden not in whole
    decisions = json.loads(archive.read("decisions.json"))
    assert "account.restricted" in [each["what"] for each in decisions]
    assert {each["by"] for each in decisions} <= {"you", "the service", "a person of the service"}


def test_a_missing_file_and_a_provider_that_is_down_are_said(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(customer: str, limit: int = 24) -> list[object]:
        raise GatewayDown("payment.down", "It is down.")

    monkeypatch.setattr(person.tools.gateway, "invoices", down)
    for key in person.stored():
        if key.startswith("generations/"):
            person.tools.storage.delete(key)
    export = ask(person)
    person.work()
    archive, manifest = copy_of(person, export)
    assert [each["name"].split("/")[0] for each in manifest["missing"]] == ["clips"]
    assert len(manifest["notes"]) == 1
    assert "invoices.json" not in archive.namelist()


def test_a_storage_that_fails_is_tried_again_and_in_the_end_said(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise Unavailable("storage.unavailable", "It is down.")

    export = ask(person)
    with monkeypatch.context() as patch:
        patch.setattr(person.tools.storage, "put", broken)
        person.work()
    assert person.world.get(DataExport, export.id).state is ExportState.WAITING
    person.work()
    assert person.world.get(DataExport, export.id).state is ExportState.READY
    told = person.world.rows(select(Errand.key).where(Errand.kind == mail.KIND))
    assert f"mail:export:{export.public_id}" in told
    with person.world.databases.writing() as session:
        session.execute(update(DataExport).values(created_at=now() - timedelta(days=2)))
    second = ask(person)
    monkeypatch.setattr(person.tools.storage, "put", broken)
    for _ in range(MOST_TRIES):
        person.work()
    row = person.world.get(DataExport, second.id)
    assert (row.state, "ask for it again" in row.problem) == (ExportState.FAILED, True)


def test_a_banned_account_gets_none(person: Person) -> None:
    export = ask(person)
    person.world.set_standing(person.account, Standing.BANNED)
    person.work()
    assert person.world.get(DataExport, export.id).state is ExportState.FAILED
    assert [key for key in person.stored() if str(export.id) in key] == []


def test_a_copy_may_be_larger_than_a_small_number_holds(person: Person) -> None:
    export = ask(person)
    large = Archive(size=5 * 2**30, sha256="0" * 64, files=20_000)
    with person.world.databases.writing() as session:
        exports.ready(session, export.id, large, f"exports/{export.id}.zip", person.tools.settings)
    assert person.world.get(DataExport, export.id).size == large.size
