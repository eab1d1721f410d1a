"""Migrations run up and down with rows in the tables, and make exactly the schema that the code describes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text

import app.accounts.models
import app.billing.models
import app.provenance.models
from app.accounts.key_models import ApiKey
from app.accounts.models import Role
from app.core import migrate
from app.core.db import Base, Databases
from app.jobs.models import JobKind
from tests.conftest import make_settings
from tests.world import World

assert app.accounts.models
assert app.billing.models
assert app.provenance.models
_numbers = count()


@pytest.fixture(params=["sqlite", "postgresql"])
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Databases]:
    """A database without tables, of this test alone."""
    changes: dict[str, Any] = {}
    if request.param == "postgresql":
        new: Callable[[str], str] = request.getfixturevalue("new_postgres")
        changes["database"] = {"url": new(f"bare{next(_numbers)}")}
    databases = Databases(make_settings(tmp_path, **changes))
    yield databases
    databases.close()


def tables(databases: Databases) -> set[str]:
    """Without Alembic's own, and without what SQLite's full-text search keeps."""
    names = set(inspect(databases.engine).get_table_names()) - {"alembic_version"}
    return {name for name in names if not name.startswith("clip_words")}


def test_the_migrated_schema_is_the_one_that_the_code_describes(bare: Databases) -> None:
    migrate.upgrade(bare.engine)
    with bare.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert [each for each in compare_metadata(context, Base.metadata) if not about_words(each)] == []
    assert migrate.is_current(bare.engine)


def about_words(difference: tuple[Any, ...]) -> bool:
    """Whether it is about the index of words, which exists in migrations only."""
    return difference[0] in ("remove_table", "remove_index") and difference[1].name.startswith(
        ("clip_words", "ix_clip_words")
    )


def test_every_check_in_the_code_is_in_the_migrated_schema(bare: Databases) -> None:
    """Alembic does not compare CHECK constraints, and most promises are held by one."""
    migrate.upgrade(bare.engine)
    migrated = checks(bare)
    migrate.downgrade(bare.engine, "base")
    with bare.engine.begin() as connection:
        Base.metadata.create_all(connection)
    assert migrated == checks(bare)
    assert len(migrated) > 15


def checks(databases: Databases) -> dict[tuple[str, str], str]:
    inspector = inspect(databases.engine)
    return {
        (table, str(check["name"])): " ".join(check["sqltext"].split())
        for table in tables(databases)
        for check in inspector.get_check_constraints(table)
    }


def test_up_down_and_up_again_with_rows_in_every_table(bare: Databases, tmp_path: Path) -> None:
    migrate.upgrade(bare.engine)
    for _ in range(2):
        world = World(make_settings(tmp_path), bare)
        account = world.account()
        world.speak(account, world.voice(account))
        world.deliver(world.take(JobKind.SPEAK))
        migrate.downgrade(bare.engine, "base")
        assert tables(bare) == set()
        assert leftovers(bare) == []
        migrate.upgrade(bare.engine)
    assert tables(bare) == set(Base.metadata.tables)


def leftovers(databases: Databases) -> list[Any]:
    """Functions and triggers that a migration left behind."""
    if databases.engine.dialect.name == "sqlite":
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    else:
        query = "SELECT proname FROM pg_proc p JOIN pg_namespace n ON p.pronamespace = n.oid WHERE nspname = 'public'"
    with databases.engine.connect() as connection:
        return list(connection.execute(text(query)).all())


def test_going_down_one_step_takes_the_guards_away_and_up_puts_them_back(bare: Databases) -> None:
    migrate.upgrade(bare.engine)
    guards = leftovers(bare)
    assert guards
    migrate.downgrade(bare.engine, "0001")
    assert leftovers(bare) == []
    assert not migrate.is_current(bare.engine)
    migrate.upgrade(bare.engine)
    assert sorted(leftovers(bare)) == sorted(guards)


def test_keys_made_before_there_were_scopes_go_on_doing_what_they_did(bare: Databases, tmp_path: Path) -> None:
    migrate.upgrade(bare.engine)
    world = World(make_settings(tmp_path), bare)
    made = {role: world.account(role=role) for role in Role}
    migrate.downgrade(bare.engine, "0002")
    migrate.upgrade(bare.engine)
    for role, account in made.items():
        (scopes,) = world.rows(select(ApiKey.scopes).where(ApiKey.account_id == account.id))
        moderates = {"moderate"} if role is not Role.CUSTOMER else set()
        assert set(scopes) == {"read", "speak", "voices"} | moderates


def test_several_processes_may_migrate_at_once(bare: Databases) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: migrate.upgrade(bare.engine), range(4)))
    assert migrate.is_current(bare.engine)


def test_a_migration_that_breaks_leaves_nothing(bare: Databases) -> None:
    with bare.engine.begin() as connection:
        connection.execute(text("CREATE TABLE stamp (x INTEGER)"))  # in the way of a late step
    with pytest.raises(Exception, match="already exists"):
        migrate.upgrade(bare.engine)
    assert tables(bare) == {"stamp"}
