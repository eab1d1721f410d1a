"""`vouch doctor`: is everything there that the service needs? Each part with what to do when it is not."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from app.cli.common import run_module, settings_with
from app.cli.ledger import check_all
from app.core import crypto, errands, mail, migrate, signing
from app.core.db import Databases, make_engine, now
from app.core.errors import DomainError
from app.core.storage import open_storage
from app.provenance.ledger import checkpoints, exports, proofs
from app.settings import Settings

APPEND_ONLY = (
    "audit_entry",
    "generation",
    "stamp",
    "ledger_entry",
    "merkle_leaf",
    "merkle_node",
    "checkpoint",
    "provenance_key",
)
"""Tables that only grow: migrations give them triggers."""
NEEDED_BYTES = 2**30
GIB = 2**30


@dataclass(frozen=True)
class Finding:
    """One part: whether it works, what was seen, and what to do about it."""

    part: str
    works: bool
    seen: str
    fix: str = ""


def doctor(
    ledger: Annotated[bool, typer.Option("--ledger", help="Check all of the ledger, and nothing else.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --ledger: print JSON.")] = False,
) -> None:
    """Check settings, database, storage, broker, keys, mail, models and disk. Exit code 1 when something is wrong."""
    settings = settings_with()
    if ledger:
        raise typer.Exit(1 if check_all(settings, as_json=as_json) else 0)
    typer.echo("\n".join(summary(settings)) + "\n")
    wrong = 0
    for finding in findings(settings):
        wrong += not finding.works
        typer.echo(f"{'ok     ' if finding.works else 'PROBLEM'}  {finding.part:14} {finding.seen}")
        if not finding.works:
            typer.echo(f"         {'':14} -> {finding.fix}")
    typer.echo("\nEverything is in order." if not wrong else f"\nProblems: {wrong}.")
    raise typer.Exit(1 if wrong else 0)


def summary(settings: Settings) -> list[str]:
    """The settings that matter, without secrets."""
    broker = without_password(settings.broker.url) or f"files in {settings.broker_directory}"
    storage = without_password(settings.storage.url) or f"files in {settings.data_dir / 'storage'}"
    return [
        f"environment    {settings.environment}",
        f"data           {settings.data_dir}",
        f"database       {without_password(settings.database_url)}",
        f"broker         {broker}",
        f"storage        {storage}",
        f"keys           {settings.key_directory}",
        f"address        {settings.public_url}",
        f"engine         {settings.speech.engine}, on the {settings.jobs.speech_queue} workers",
    ]


def without_password(url: str) -> str:
    """The address without user, password and options."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.scheme else url


def findings(settings: Settings) -> Iterator[Finding]:
    """One finding a part, in the order in which they should be mended."""
    yield _disk(settings)
    yield from _database(settings)
    yield from _ledger(settings)
    yield _part("storage", lambda: open_storage(settings).check(), "objects can be written and removed")
    yield from _keys(settings)
    yield _signing(settings)
    yield _secret(settings)
    yield _mail(settings)
    yield from _errands(settings)
    yield from _workers()


def _part(part: str, check: Callable[[], None], seen: str) -> Finding:
    try:
        check()
    except DomainError as error:
        return Finding(part, False, error.message, error.fix or "See the message.")
    return Finding(part, True, seen)


def _disk(settings: Settings) -> Finding:
    place = settings.data_dir
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    return Finding(
        "disk", free >= NEEDED_BYTES, f"{free / GIB:.1f} GiB free at {place}", "Free some space: 1 GiB is the least."
    )


def _database(settings: Settings) -> Iterator[Finding]:
    if not _database_exists(settings):
        yield Finding("database", False, "it does not exist yet", "Run `vouch migrate`, or start with `vouch up`.")
        return
    try:
        engine = make_engine(settings)
        with engine.connect() as connection:
            guarded = _guarded(connection)
        current = migrate.is_current(engine)
        engine.dispose()
    except (SQLAlchemyError, OSError) as error:
        said = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        yield Finding("database", False, said, "Start the database, or correct VOUCH_DATABASE__URL.")
        return
    yield Finding("database", current, "current" if current else "its tables are old", "Run `vouch migrate`.")
    bare = [table for table in APPEND_ONLY if table not in guarded]
    seen = f"not guarded: {', '.join(bare)}" if bare else f"edits are refused in {', '.join(APPEND_ONLY)}"
    yield Finding("append-only", not bare, seen, "Run `vouch migrate`; if it stays so, somebody removed the triggers.")


def _database_exists(settings: Settings) -> bool:
    """False for a file of SQLite that is not there; to connect would make it."""
    return not settings.database_url.startswith("sqlite") or (settings.data_dir / "vouch.db").exists()


def _guarded(connection: Connection) -> set[str]:
    """The tables that have a trigger against updates and one against deletes."""
    if connection.dialect.name == "sqlite":
        query = "SELECT tbl_name, sql FROM sqlite_master WHERE type = 'trigger' AND sql LIKE '%RAISE(ABORT%'"
    else:
        query = (
            "SELECT tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger "
            "WHERE NOT tgisinternal AND tgenabled <> 'D'"
        )
    rows = [(str(table), str(definition).upper()) for table, definition in connection.execute(text(query))]
    return {
        table
        for table, _ in rows
        if all(any(name == table and verb in definition for name, definition in rows) for verb in ("UPDATE", "DELETE"))
    }


def _ledger(settings: Settings) -> Iterator[Finding]:
    """Whether the ledger continues its newest exported checkpoints. Silent where the database can't tell."""
    if not _database_exists(settings):
        return
    databases = Databases(settings)
    try:
        with databases.reading() as session:
            trusted = checkpoints.trusted_keys(session)
            size = proofs.tree_size(session)
        for head in exports.heads(settings.checkpoint_directory, open_storage(settings), trusted):
            with databases.reading() as session:
                checkpoints.check_continues(session, head)
    except checkpoints.Forked as error:
        fix = "Nothing is signed until then: put the newest backup of the database back; see `vouch doctor --ledger`."
        yield Finding("ledger", False, str(error), fix)
    except (SQLAlchemyError, DomainError, OSError):  # the findings about database and storage say what to do
        return
    else:
        yield Finding("ledger", True, f"{size:,} leaves, which continue the newest checkpoint")
    finally:
        databases.close()


def _keys(settings: Settings) -> Iterator[Finding]:
    folder = settings.key_directory
    make = f"Run `vouch admin init-keys --directory {folder}`."
    try:
        found = sorted(folder.glob("*.key")) + sorted(folder.glob("credentials-*.pem"))
        have = {path.name for path in found}
        lacking = {"credentials-chain.pem", "credentials-key.pem", "credentials-anchor.pem"} - have
        if not any(name.startswith("mark-") for name in have):
            lacking.add("mark-1.key")
        if lacking:
            yield Finding("keys", False, f"missing in {folder}: {', '.join(sorted(lacking))}", make)
            return
        open_to_others = [path.name for path in (folder, *found) if not _private(path)]
    except OSError as error:
        yield Finding("keys", False, f"{folder} can't be read: {error.strerror}", make)
        return
    seen = f"others can read {', '.join(open_to_others)}" if open_to_others else f"{len(found)} files, for us only"
    yield Finding("keys", not open_to_others, seen, f"Run `chmod -R go= {folder}` as the user that runs Vouch.")


def _signing(settings: Settings) -> Finding:
    return _key_file("signing", settings.signing_key_file, signing.signing_key, settings)


def _secret(settings: Settings) -> Finding:
    return _key_file("secret", settings.secret_file, crypto.web_secret, settings)


def _key_file(part: str, path: Path, read: Callable[[Settings], object], settings: Settings) -> Finding:
    """Whether a key file can be read by us and by nobody else; in development it is made at its first use."""
    if not path.exists() and settings.environment == "development":
        return Finding(part, True, f"{path} will be made when it is needed")
    try:
        read(settings)
    except DomainError as error:
        return Finding(part, False, error.message, error.fix or "See the message.")
    seen = f"{path} is for us only" if _private(path) else f"others can read {path}"
    return Finding(part, _private(path), seen, f"Run `chmod go= {path}` as the user that runs Vouch.")


def _mail(settings: Settings) -> Finding:
    try:
        return Finding("mail", True, mail.check(settings))
    except DomainError as error:
        return Finding("mail", False, error.message, error.fix or "See the message.")


def _errands(settings: Settings) -> Iterator[Finding]:
    """What was tried again and again, and what was given up within a day. Silent where the database can't tell."""
    if not _database_exists(settings):
        return
    databases = Databases(settings)
    try:
        with databases.reading() as session:
            stuck = errands.stuck(session)
            given_up = errands.given_up(session, now() - timedelta(days=1))
    except SQLAlchemyError:  # the finding about the database says what to do
        return
    finally:
        databases.close()
    for kind, number, problem in stuck:
        fix = "Mend what the message says; they are tried again at least each hour."
        yield Finding("errands", False, f"{number} of the kind {kind} do not get done: {problem}", fix)
    if not stuck:
        yield Finding("errands", True, "all are done, or have only just begun")
    for kind, number, problem in given_up:
        yield Finding("given up", True, f"{number} of the kind {kind} since yesterday, the last one because {problem}")


def _private(path: Path) -> bool:
    status = path.stat()
    return status.st_mode & 0o077 == 0 and status.st_uid == os.geteuid()


def _workers() -> Iterator[Finding]:
    try:
        told = json.loads(run_module("workers.selfcheck"))
    except DomainError as error:
        yield Finding("workers", False, error.message, "Install what requirements/default.txt lists, then run again.")
        return
    for entry in told:
        yield Finding(entry["part"], entry["works"], entry["seen"], entry["fix"])
