"""What all tests share: both databases, migrated once and emptied for each test, and a `world` of real services.

PostgreSQL is looked for at VOUCH_TEST_POSTGRES_URL (a role that may create databases and is superuser; default below).
Without one its half of the tests is skipped, unless VOUCH_TEST_REQUIRE_SERVICES=1.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import psycopg
import pytest
from argon2 import PasswordHasher
from psycopg import sql
from typer.testing import CliRunner

from app.cli.commands import cli
from app.core import crypto, migrate
from app.core.db import Base, Databases
from app.settings import Settings, get_settings
from tests.world import World

Vouch = Callable[..., str]
"""The command line in a test: see the fixture `vouch`."""
POSTGRES_URL = "postgresql://postgres@127.0.0.1:5432/postgres"


def missing(service: str, why: object) -> NoReturn:
    """Skip the test because a server is not there; fail where servers are required."""
    said = f"no {service} for this test: {why}"
    if os.environ.get("VOUCH_TEST_REQUIRE_SERVICES") == "1":
        pytest.fail(said)
    pytest.skip(said)


def pytest_configure(config: pytest.Config) -> None:
    """Code that reads the process's own settings finds an empty folder, never the data of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("VOUCH_") and "__" in name]:
        del os.environ[name]
    own = tempfile.mkdtemp(prefix="vouch-tests-")
    os.environ["VOUCH_DATA_DIR"] = own
    os.environ["VOUCH_LOG_LEVEL"] = "WARNING"  # a test that looks at the log sets its own level
    config.add_cleanup(lambda: shutil.rmtree(own, ignore_errors=True))


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Iterator[None]:
    """Real argon2 with its smallest costs: hundreds of accounts are made here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crypto, "_passwords", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("template"))
    databases = Databases(settings)
    migrate.upgrade(databases.engine)
    databases.close()
    return settings.data_dir / "vouch.db"


@pytest.fixture(scope="session")
def new_postgres(worker_id: str) -> Iterator[Callable[[str], str]]:
    """Makes empty PostgreSQL databases that are dropped in the end: a name to a URL."""
    url = os.environ.get("VOUCH_TEST_POSTGRES_URL", POSTGRES_URL)
    try:
        server = psycopg.connect(url, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        missing("PostgreSQL", error)
    made: list[sql.Identifier] = []

    def make(purpose: str) -> str:
        name = f"vouch_test_{os.getpid()}_{worker_id}_{purpose}"
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        made.append(sql.Identifier(name))
        base, _, query = url.partition("?")
        return f"{base.rsplit('/', 1)[0]}/{name}" + (f"?{query}" if query else "")

    yield make
    for identifier in made:
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))
    server.close()


@pytest.fixture(scope="session")
def postgres_url(new_postgres: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A migrated PostgreSQL database of this test process."""
    url = new_postgres("shared")
    databases = Databases(Settings(data_dir=tmp_path_factory.mktemp("pg"), database={"url": url}))
    migrate.upgrade(databases.engine)
    databases.close()
    return url


def empty(url: str) -> None:
    """Delete every row, past the append-only triggers (replicas' sessions skip them; that needs a superuser)."""
    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET lock_timeout = '20s'")
        for table in Base.metadata.tables:
            connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))


def make_settings(folder: Path, **changes: Any) -> Settings:
    """Settings of a test: the fake engine, and speech in a queue of its own."""
    given: dict[str, Any] = {"jobs": {"speech_queue": "gpu"}, "speech": {"engine": "fake"}}
    return Settings(data_dir=folder, **{**given, **changes})


@pytest.fixture
def sqlite_settings(sqlite_template: Path, tmp_path: Path) -> Settings:
    """Settings with a fresh, migrated SQLite database."""
    shutil.copy(sqlite_template, tmp_path / "vouch.db")
    return make_settings(tmp_path)


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings with a fresh, migrated database, one after the other kind."""
    if request.param == "sqlite":
        chosen: Settings = request.getfixturevalue("sqlite_settings")
        return chosen
    url = request.getfixturevalue("postgres_url")
    empty(url)
    return make_settings(tmp_path, database={"url": url})


@pytest.fixture
def databases(settings: Settings) -> Iterator[Databases]:
    """The database of `settings`, open."""
    opened = Databases(settings)
    yield opened
    opened.close()


@pytest.fixture
def world(settings: Settings, databases: Databases) -> World:
    """People, voices and clips on a real database, made through the services."""
    return World(settings, databases)


@pytest.fixture
def vouch(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vouch]:
    """Runs `vouch admin ...` on the test's database; gives what it says, and raises what it would say in a sentence."""
    monkeypatch.setenv("VOUCH_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("VOUCH_DATABASE__URL", settings.database.url)

    def run(*arguments: str) -> str:
        get_settings.cache_clear()
        result = CliRunner().invoke(cli, ["admin", *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.output

    yield run
    monkeypatch.undo()
    get_settings.cache_clear()
