"""The database: engine, sessions, column types. SQLite (WAL) and PostgreSQL behave alike behind it.

Services get a `Session` and never commit. The edge commits: `writing()` around a request, a task or a command,
`reading()` around what only looks. On SQLite a writing transaction takes the write lock at its start
(BEGIN IMMEDIATE), so it waits its turn instead of failing half-way.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import uuid_utils.compat
from sqlalchemy import DateTime, Engine, MetaData, create_engine, event
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column
from sqlalchemy.types import JSON, TypeDecorator

from app.settings import Settings

SQLITE_BUSY_SECONDS = 20


class UTCDateTime(TypeDecorator[datetime]):
    """A moment. Always aware and in UTC, on both databases."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times: they mean nothing."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("naive datetime: give it a time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give back an aware time."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of all tables, with constraint names that migrations can rely on."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UTCDateTime, dict[str, Any]: JSON, list[Any]: JSON}  # noqa: RUF012 - SQLAlchemy's own hook


def now() -> datetime:
    """This moment, aware, in UTC."""
    return datetime.now(UTC)


def new_id() -> uuid.UUID:
    """A uuid7: unique, and sorted by time of making."""
    return uuid_utils.compat.uuid7()


def primary_key() -> Any:
    """The primary key column that every table has."""
    return mapped_column(primary_key=True, default=new_id)


class Databases:
    """The engine of one process and its sessions."""

    def __init__(self, settings: Settings) -> None:
        self.engine = make_engine(settings)
        self._writer = self.engine.execution_options(vouch_write=True)

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that commits at the end of the block and rolls back on any error."""
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session for looking only: whatever it changed is thrown away."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()


def make_engine(settings: Settings) -> Engine:
    """An engine for `settings.database_url`. Its errors, which are logged, leave the parameters of statements out."""
    url = settings.database_url
    if not url.startswith("sqlite"):
        pool: dict[str, Any] = {"pool_size": settings.database.pool_size, "max_overflow": 10, "pool_pre_ping": True}
        return create_engine(url, hide_parameters=True, **pool)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    connect_args = {"timeout": SQLITE_BUSY_SECONDS, "check_same_thread": False}
    engine = create_engine(url, hide_parameters=True, connect_args=connect_args)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions by itself: _begin_sqlite does
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("vouch_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
