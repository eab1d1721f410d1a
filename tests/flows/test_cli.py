"""The command line against a real data directory, as an operator uses it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from app.accounts.keys import account_of_key
from app.accounts.sign_in import check_password
from app.cli import trace
from app.core.db import Databases
from app.core.errors import Invalid, Unavailable
from app.core.storage import open_storage
from app.settings import Settings
from app.voices.models import Voice, VoiceState
from tests.chaos.service import environment, vouch


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of an installation that was migrated and has keys."""
    given = environment(tmp_path_factory.mktemp("cli") / "data")
    done = vouch(given, "migrate")
    assert done.returncode == 0, done.stderr
    assert "The database is current. 2 stock voices of fake, 2 new or changed." in done.stdout
    assert vouch(given, "admin", "init-keys").returncode == 0
    return given


@pytest.fixture(scope="module")
def databases(installed: dict[str, str]) -> Databases:
    """Its database."""
    return Databases(Settings(data_dir=Path(installed["VOUCH_DATA_DIR"])))


def test_an_account_can_sign_in_and_use_its_key(installed: dict[str, str], databases: Databases) -> None:
    options = ("--email", "Ada@Example.org", "--name", "Ada", "--plan", "creator", "--verified", "--json")
    made = json.loads(vouch(installed, "admin", "create-account", *options).stdout)
    assert set(made) == {"account_id", "email", "password", "api_key"}
    with databases.reading() as session:
        signed_in = check_password(session, email="ada@example.org", password=made["password"], address="127.0.0.1")
        account, _ = account_of_key(session, made["api_key"], address="")
    assert account.public_id == made["account_id"]
    assert account.id == signed_in.id
    assert account.plan == "creator"
    assert account.verified_at is not None
    assert account.password_is_temporary


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--email", "nonsense"), "That is not an e-mail address"),
        (("--email", "b@example.org", "--plan", "gold"), "There is no plan 'gold'. Plans are: free, starter"),
    ],
)
def test_what_cannot_be_made_is_said_in_a_sentence(
    installed: dict[str, str], options: tuple[str, ...], said: str
) -> None:
    refused = vouch(installed, "admin", "create-account", *options)
    assert refused.returncode == 1
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_wrong_setting_is_named(installed: dict[str, str]) -> None:
    refused = vouch({**installed, "VOUCH_WEB__PORT": "many"}, "doctor")
    assert refused.returncode == 1
    assert "VOUCH_WEB__PORT: Input should be a valid integer" in refused.stderr


def test_another_engine_takes_the_stock_voices_out_of_use(installed: dict[str, str], databases: Databases) -> None:
    old = {"stock_id": "old", "name": "Old", "language": "en-us", "engine": "gone/1", "artefact_key": "x"}
    with databases.writing() as session:
        session.add(Voice(**old, state=VoiceState.READY))
    again = vouch(installed, "migrate")
    assert "2 stock voices of fake, 0 new or changed" in again.stdout, again.stderr
    with databases.reading() as session:
        states = {voice.stock_id: voice.state for voice in session.query(Voice)}
    assert states == {"old": "disabled", "fake-low": "ready", "fake-high": "ready"}


def test_the_doctor_finds_nothing_wrong(installed: dict[str, str]) -> None:
    well = vouch(installed, "doctor")
    assert well.returncode == 0, well.stdout
    assert "Everything is in order." in well.stdout
    for part in ("disk", "database", "append-only", "storage", "keys", "broker", "engine", "model"):
        assert f"ok       {part} " in well.stdout


def test_the_doctor_says_what_is_wrong_and_what_to_do(installed: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(installed["VOUCH_DATA_DIR"], tmp_path / "data")
    given = environment(tmp_path / "data", VOUCH_BROKER__URL="redis://user:hunter2@127.0.0.1:1/0")
    (tmp_path / "data" / "keys" / "mark-1.key").chmod(0o644)
    with sqlite3.connect(tmp_path / "data" / "vouch.db") as database:
        database.execute("DROP TRIGGER stamp_no_update")
    ill = vouch(given, "doctor")
    assert ill.returncode == 1
    assert "PROBLEM  append-only    not guarded: stamp" in ill.stdout
    assert "PROBLEM  keys           others can read mark-1.key" in ill.stdout
    assert "PROBLEM  broker" in ill.stdout
    assert "Problems: 3." in ill.stdout
    assert "hunter2" not in ill.stdout + ill.stderr


def test_the_doctor_before_the_first_start(tmp_path: Path) -> None:
    new = vouch(environment(tmp_path / "data"), "doctor")
    assert new.returncode == 1
    assert "Run `vouch migrate`, or start with `vouch up`." in new.stdout
    assert "Run `vouch admin init-keys" in new.stdout


def test_without_a_worker_a_trace_says_how_to_start_one(
    installed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.wav").write_text("never opened")
    monkeypatch.setenv("VOUCH_DATA_DIR", installed["VOUCH_DATA_DIR"])
    monkeypatch.setattr(trace, "NO_WORKER_AFTER", 1.0)
    with pytest.raises(Unavailable, match="none is running") as refused:
        trace.trace(tmp_path / "a.wav")
    assert refused.value.fix == "Start the service with `vouch up`, then ask again."


def test_a_trace_that_is_not_asked_for_keeps_no_file(
    installed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.wav").write_text("a stranger's voice")
    monkeypatch.setenv("VOUCH_DATA_DIR", installed["VOUCH_DATA_DIR"])
    storage = open_storage(Settings())
    before = storage.list("uploads")
    with pytest.raises(Invalid, match="Write why"):
        trace.trace(tmp_path / "a.wav", reason=" ")
    assert storage.list("uploads") == before
