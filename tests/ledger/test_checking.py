"""The check of the log finds every value that was changed, says where, and finds nothing where nothing was changed."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Connection, Table, create_engine, delete, func, insert, select, text, update
from sqlalchemy.orm import Session

from app.core import signing
from app.core.audit import AuditEntry
from app.core.db import Base, Databases
from app.jobs.models import JobKind
from app.provenance.ledger import checking, checkpoints, exports, keys, leaves, proofs
from app.provenance.ledger.models import KeyUse, LeafKind, MerkleLeaf
from app.provenance.ledger.reading import Fault
from tests.ledger.test_checkpoints import grow, tools
from tests.world import World
from workers.checkpoints import catch_up, sign_now
from workers.tools import Tools

__all__ = ["tools"]

Stray = Callable[[Session, int], Iterator[Fault]]
TABLES = ("generation", "stamp", "audit_entry", "merkle_leaf", "merkle_node", "checkpoint", "provenance_key")
TYPES = ("audit_entry", "merkle_leaf")
"""They have every type of column: what else there is of PostgreSQL needs no more."""
EVERY_TABLE = pytest.mark.parametrize(
    ("settings", "name"),
    [("sqlite", name) for name in TABLES] + [("postgresql", name) for name in TYPES],
    indirect=["settings"],
)


def faults(tools: Tools) -> list[Fault]:
    return list(checking.check(tools.databases, tools.settings, tools.storage, lambda _done, _of: None))


@contextmanager
def unguarded(databases: Databases) -> Iterator[Connection]:
    """What somebody can do who owns the database: no triggers, no foreign keys."""
    engine = create_engine(databases.engine.url)  # not ours, which has SQLite check foreign keys
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            for name in (
                connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
            ):
                connection.execute(text(f"DROP TRIGGER {name}"))
        else:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        yield connection
    engine.dispose()


def delivered(world: World, tools: Tools) -> None:
    """A log with everything in it: voice, consent, generation, stamp, keys, and two checkpoints."""
    account = world.account()
    world.speak(account, world.voice(account))
    world.deliver(world.take(JobKind.SPEAK))
    with tools.databases.writing() as session:
        keys.register_mark_key(session, 1, bytes(32))
    sign_now(tools)
    grow(tools.databases)
    sign_now(tools)


def changed(value: Any, column: Column[Any]) -> Any:
    """The smallest change of a value that its column takes."""
    if value is None:
        return {uuid.UUID: uuid.uuid4(), bytes: b"\x00"}.get(column.type.python_type, "x")
    if isinstance(value, Enum):
        return next(each for each in type(value) if each is not value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + (40 if column.primary_key else 1)
    if isinstance(value, float):
        return math.nextafter(value, math.inf)
    if isinstance(value, datetime):
        return value + timedelta(microseconds=1)
    if isinstance(value, uuid.UUID):
        return uuid.UUID(int=value.int ^ 1)
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1, *value[1:]])
    if isinstance(value, str):
        middle = len(value) // 2
        return value[:middle] + ("b" if value[middle : middle + 1] == "a" else "a") + value[middle + 1 :]
    return value | {"x": 1} if isinstance(value, dict) else [*value, 1.0]


def one_row(connection: Connection, table: Table) -> Any:
    """The last row that a checkpoint covers: what is changed in it must be found by what is above it."""
    query = select(table)
    if table.name == "audit_entry":
        query = query.where(table.c.subject_kind == "voice", table.c.action != "voice.tested")
    if table.name == "merkle_node":
        query = query.where(table.c.level == 1)
    return connection.execute(query.order_by(*table.primary_key.columns).limit(1)).one()


@EVERY_TABLE
def test_one_changed_value_is_found_in_every_column(world: World, tools: Tools, name: str) -> None:
    delivered(world, tools)
    assert faults(tools) == []
    table = Base.metadata.tables[name]
    for column in table.columns:
        with unguarded(tools.databases) as connection:
            row = one_row(connection, table)
            key = [each == getattr(row, each.key) for each in table.primary_key.columns]
            old = getattr(row, column.key)
            new = changed(old, column)
            connection.execute(update(table).where(*key).values({column.key: new}))
        found = faults(tools)
        named = {str(row[0]), f"level {row[0]}, number {row[1]}" if name == "merkle_node" else ""}
        said = " ".join(f"{fault.row} {fault.what}" for fault in found)
        assert any(each and each in said for each in named), (column.key, old, new, found)
        assert len(found) <= 4 or column.key in ("position", "level"), (column.key, found)
        with unguarded(tools.databases) as connection:
            moved = [new if each is column else getattr(row, each.key) for each in table.primary_key.columns]
            where = [each == value for each, value in zip(table.primary_key.columns, moved, strict=True)]
            connection.execute(update(table).where(*where).values({column.key: old}))
    assert faults(tools) == []


@EVERY_TABLE
def test_a_row_that_was_taken_out_is_found(world: World, tools: Tools, name: str) -> None:
    delivered(world, tools)
    table = Base.metadata.tables[name]
    with unguarded(tools.databases) as connection:
        row = one_row(connection, table)
        if name == "generation":
            connection.execute(delete(Base.metadata.tables["stamp"]))
        connection.execute(delete(table).where(*(each == getattr(row, each.key) for each in table.primary_key.columns)))
    said = " ".join(f"{fault.row} {fault.what}" for fault in faults(tools))
    assert (f"level {row[0]}, number {row[1]}" if name == "merkle_node" else str(row[0])) in said


def test_what_somebody_put_in_is_found(world: World, tools: Tools) -> None:
    delivered(world, tools)
    for name, primary in (("merkle_node", {"position": 10**6}), ("generation", {}), ("merkle_leaf", {})):
        table = Base.metadata.tables[name]
        with unguarded(tools.databases) as connection:
            values = one_row(connection, table)._asdict()
            if name == "generation":
                primary = {each: uuid.uuid4() for each in ("id", "clip_id")} | {"tag": b"x" * 16, "public_ref": "x"}
            if name == "merkle_leaf":
                last = connection.scalar(select(func.max(table.c.position)))
                primary = {"position": last + 1, "subject_id": uuid.uuid4(), "hash": bytes(32)}
            connection.execute(insert(table).values(values | primary))
        assert any(str(next(iter(primary.values()))) in f"{each.row} {each.what}" for each in faults(tools)), name


def test_values_that_cant_be_read_are_found_and_stop_nothing(world: World, tools: Tools) -> None:
    if tools.databases.engine.dialect.name == "postgresql":
        damage = {"audit_entry": "facts = '[1]'", "stamp": "sha256 = ''"}
    else:
        damage = {
            "audit_entry": "facts = '{'",
            "stamp": "created_at = 'yesterday'",
            "generation": "account_id = 'nobody'",
            "merkle_leaf": "created_at = 'yesterday'",
            "checkpoint": "created_at = ''",
            "provenance_key": "created_at = ''",
        }
    delivered(world, tools)
    with unguarded(tools.databases) as connection:
        for name, change in damage.items():
            limit = {"audit_entry": "WHERE subject_kind = 'consent'", "merkle_leaf": "WHERE position = 2"}.get(name, "")
            connection.execute(text(f"UPDATE {name} SET {change} {limit}"))
    assert {fault.table for fault in faults(tools)} >= set(damage)


def test_a_rewritten_log_is_found_by_the_copies_alone(world: World, tools: Tools) -> None:
    """Whoever owns database and signing key can make a log without faults of its own, but not change the copies."""
    delivered(world, tools)
    with unguarded(tools.databases) as connection:
        for name in ("merkle_node", "merkle_leaf", "checkpoint"):
            connection.execute(delete(Base.metadata.tables[name]))
        connection.execute(delete(AuditEntry).where(AuditEntry.action == "voice.tested"))
    catch_up(tools)
    found = faults(tools)
    assert found
    assert {fault.table for fault in found} <= {"copies", "checkpoint", "file"}


def test_a_log_that_grows_and_is_signed_meanwhile_has_no_faults(
    world: World, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    def signed_meanwhile(folder: Path, real: Callable[[Path], list[int]] = exports.sizes_in) -> list[int]:
        with monkeypatch.context() as patch:
            patch.setattr(exports, "sizes_in", real)
            grow(tools.databases)
            sign_now(tools)
        return real(folder)

    def grown_meanwhile(session: Session, size: int, real: Stray = checking.stray_nodes) -> Iterator[Fault]:
        grow(tools.databases, 9)
        return real(session, size)

    delivered(world, tools)
    monkeypatch.setattr(exports, "sizes_in", signed_meanwhile)
    monkeypatch.setattr(checking, "stray_nodes", grown_meanwhile)
    run = checking.check(tools.databases, tools.settings, tools.storage, lambda _done, _of: None)
    assert list(run) == []


def test_a_rewritten_log_is_found_by_each_checkpoint_that_it_does_not_fit(world: World, tools: Tools) -> None:
    """Rows and copies agree, so only the roots tell: also those of old checkpoints."""
    delivered(world, tools)
    with tools.databases.reading() as session:
        sizes = checkpoints.sizes(session)
    with unguarded(tools.databases) as connection:
        for name in ("merkle_node", "merkle_leaf"):
            connection.execute(delete(Base.metadata.tables[name]))
    catch_up(tools)
    found = {fault.row for fault in faults(tools) if "over other leaves" in fault.what and fault.table == "checkpoint"}
    assert found == {str(size) for size in sizes}


def test_rows_from_before_the_log_are_caught_up_once(world: World, tools: Tools) -> None:
    delivered(world, tools)
    for path in tools.settings.checkpoint_directory.iterdir():
        path.unlink()
    for key in tools.storage.list("ledger"):
        tools.storage.delete(key)
    with unguarded(tools.databases) as connection:
        for name in ("merkle_node", "merkle_leaf", "checkpoint"):
            connection.execute(delete(Base.metadata.tables[name]))
    missing = {fault.what for fault in faults(tools)}
    assert missing == {"is not in the ledger"}
    catch_up(tools)
    assert faults(tools) == []
    with tools.databases.reading() as session:
        size = proofs.tree_size(session)
    catch_up(tools)
    with tools.databases.reading() as session:
        assert proofs.tree_size(session) == size > 5


def test_a_retried_job_gets_the_leaf_that_its_generation_lacks(world: World, tools: Tools) -> None:
    account = world.account()
    world.speak(account, world.voice(account))
    claim = world.take(JobKind.SPEAK)
    generation = world.commit(claim)
    with unguarded(tools.databases) as connection:
        connection.execute(delete(Base.metadata.tables["merkle_node"]))
        connection.execute(delete(MerkleLeaf))
    with tools.databases.writing() as session:
        leaves.want(session, LeafKind.GENERATION, generation.id)
    with tools.databases.writing() as session:
        leaves.want(session, LeafKind.GENERATION, generation.id)
    with tools.databases.reading() as session:
        assert session.scalars(select(MerkleLeaf.subject_id)).all() == [generation.id]


def test_a_checkpoint_by_a_key_that_was_never_registered_is_found(world: World, tools: Tools) -> None:
    delivered(world, tools)
    with unguarded(tools.databases) as connection:
        table = Base.metadata.tables["provenance_key"]
        connection.execute(delete(table).where(table.c.use == KeyUse.SIGNING))
    found = faults(tools)
    assert any("no key that is known" in fault.what for fault in found)
    assert any("was registered, but is gone" in fault.what for fault in found)
    assert signing.public_pem(tools.signing)
