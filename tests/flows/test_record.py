"""Promise: the record can't be quietly edited, and every change of state is in it."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import make_transient_to_detached

from app.accounts.models import Account, Standing
from app.core.audit import Actor, AuditEntry
from app.core.db import Base
from app.core.errors import Invalid
from app.core.states import HasState, IllegalTransition, move
from app.jobs import service as jobs
from app.jobs.models import Job, JobKind, JobState
from app.provenance.models import TraceQuery, Verdict
from app.provenance.service import TraceFindings, answer_trace, ask_for_trace
from app.speech.models import Generation
from app.voices.models import Voice, VoiceState
from tests.world import OPERATOR, World, upload

APPEND_ONLY = {
    "audit_entry": "reason = 'never mind'",
    "generation": "characters = 0",
    "stamp": "mark_score = 99",
    "ledger_entry": "characters = 1",
}


WITH_STATE = [mapper.class_ for mapper in Base.registry.mappers if issubclass(mapper.class_, HasState)]


@pytest.fixture
def spoken(world: World) -> World:
    """A world with a row in every append-only table."""
    account = world.account()
    world.speak(account, world.voice(account))
    world.deliver(world.take(JobKind.SPEAK))
    return world


def contents(world: World, table: str) -> list[Any]:
    with world.databases.reading() as session:
        rows = session.connection().exec_driver_sql(f"SELECT * FROM {table}").all()
    return sorted(rows, key=repr)


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_rows_of_the_record_are_never_changed_or_removed(spoken: World, table: str) -> None:
    before = contents(spoken, table)
    assert before
    attempts = [f"UPDATE {table} SET {APPEND_ONLY[table]}", f"DELETE FROM {table}"]
    columns = ", ".join(column.name for column in Base.metadata.tables[table].columns)
    if spoken.databases.engine.dialect.name == "sqlite":
        attempts += [
            f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}",
            f"INSERT OR REPLACE INTO {table} (rowid, {columns}) SELECT rowid, {columns} FROM {table}",
            f"UPDATE OR REPLACE {table} SET {APPEND_ONLY[table]}",
        ]
    else:
        attempts += [
            f"TRUNCATE {table}",
            f"TRUNCATE {table} CASCADE",
            f"INSERT INTO {table} SELECT * FROM {table} ON CONFLICT (id) DO UPDATE SET {APPEND_ONLY[table]}",
        ]
    for attempt in attempts:
        with pytest.raises(DBAPIError, match=r"append-only|cannot truncate a table referenced"):
            spoken.execute(attempt)
    assert contents(spoken, table) == before


@pytest.mark.parametrize(
    ("table", "same"),
    [
        ("generation", "tag"),
        ("generation", "clip_id"),
        ("stamp", "storage_key"),
        ("ledger_entry", "job_id"),
        ("ledger_entry", "reference"),
    ],
)
def test_a_row_of_the_record_cannot_be_pushed_out_by_a_new_one(spoken: World, table: str, same: str) -> None:
    """SQLite's INSERT OR REPLACE removes whatever row holds the same unique value."""
    if spoken.databases.engine.dialect.name != "sqlite":
        pytest.skip("only SQLite has INSERT OR REPLACE")
    names = [column.name for column in Base.metadata.tables[table].columns]
    changed = {"id": "'0'", "clip_id": "clip_id", "storage_key": "'y'", "public_ref": "'z'", "tag": "x'00'"}
    keep = {same, "kind"} if same == "job_id" else {same}
    chosen = ", ".join(name if name in keep or name not in changed else changed[name] for name in names)
    with pytest.raises(DBAPIError, match="append-only"):
        spoken.execute(
            f"INSERT OR REPLACE INTO {table} ({', '.join(names)}) SELECT {chosen} FROM {table} WHERE {same} IS NOT NULL"
        )


def test_a_charge_cannot_be_pushed_out_by_a_release(spoken: World) -> None:
    if spoken.databases.engine.dialect.name != "sqlite":
        pytest.skip("only SQLite has INSERT OR REPLACE")
    names = [column.name for column in Base.metadata.tables["ledger_entry"].columns]
    changed = {"id": "'0'", "kind": "'release'", "debit": "'reserved'", "credit": "'allowance'"}
    chosen = ", ".join(changed.get(name, name) for name in names)
    with pytest.raises(DBAPIError, match="append-only"):
        spoken.execute(
            f"INSERT OR REPLACE INTO ledger_entry ({', '.join(names)})"
            f" SELECT {chosen} FROM ledger_entry WHERE kind = 'settle'"
        )


def test_emptying_the_tables_above_does_not_empty_the_record(spoken: World) -> None:
    if spoken.databases.engine.dialect.name != "postgresql":
        pytest.skip("only PostgreSQL has TRUNCATE")
    with pytest.raises(DBAPIError, match="append-only"):
        spoken.execute("TRUNCATE account CASCADE")
    assert contents(spoken, "generation")


def test_a_state_is_moved_never_assigned(world: World) -> None:
    account = world.account()
    with pytest.raises(IllegalTransition, match="not assigned"), world.databases.writing() as session:
        session.get_one(Account, account.id).state = Standing.BANNED
    assert world.get(Account, account.id).state is Standing.ACTIVE


@pytest.mark.parametrize("table", sorted(WITH_STATE, key=str))
def test_every_table_with_a_state_guards_it(table: Any) -> None:
    states = list(table.__table__.columns["state"].type.enum_class)
    row = table(state=states[0])
    make_transient_to_detached(row)
    with pytest.raises(IllegalTransition, match="not assigned"):
        row.state = states[1]
    assert set(table.TRANSITIONS) <= set(states)
    assert {to for targets in table.TRANSITIONS.values() for to in targets} <= set(states)


def test_moves_that_are_not_in_the_table_are_refused(world: World) -> None:
    account = world.account()
    voice = world.voice(account, VoiceState.DELETED)
    before = world.count(AuditEntry)
    for to in VoiceState:
        with pytest.raises(IllegalTransition), world.databases.writing() as session:
            move(session, session.get_one(Voice, voice.id), to, OPERATOR)
    with pytest.raises(IllegalTransition), world.databases.writing() as session:
        move(session, session.get_one(Account, account.id), Standing.ACTIVE, OPERATOR)
    assert world.count(AuditEntry) == before


def test_a_move_decides_by_what_the_row_is_now(world: World) -> None:
    """Two moderators, two tabs: the second one's move starts from where the first one's ended."""
    if world.databases.engine.dialect.name == "sqlite":
        pytest.skip("one writer at a time: nobody can come in between")
    account = world.account()
    with world.databases.writing() as session:
        stale = session.get_one(Account, account.id)
        world.set_standing(account, Standing.BANNED)
        with pytest.raises(IllegalTransition, match="banned -> suspended"):
            move(session, stale, Standing.SUSPENDED, OPERATOR)


def test_a_move_is_written_down_with_actor_reason_and_facts(world: World) -> None:
    account = world.account()
    with world.databases.writing() as session:
        row = session.get_one(Account, account.id)
        move(session, row, Standing.BANNED, Actor("account", "m"), reason="spam", facts={"case": 7})
    (entry,) = world.rows(select(AuditEntry).where(AuditEntry.action == "account.banned"))
    assert (entry.actor_kind, entry.actor_id, entry.subject_id) == ("account", "m", str(account.id))
    assert (entry.before, entry.after, entry.reason, entry.facts) == ("active", "banned", "spam", {"case": 7})


def test_a_move_that_is_rolled_back_is_not_written_down(world: World) -> None:
    account = world.account()
    with suppress(ZeroDivisionError), world.databases.writing() as session:
        move(session, session.get_one(Account, account.id), Standing.BANNED, OPERATOR)
        session.flush()
        session.info["share"] = 1 / 0
    assert world.get(Account, account.id).state is Standing.ACTIVE
    assert world.count(AuditEntry, AuditEntry.action == "account.banned") == 0


def test_the_audit_says_who_stopped_or_gave_back_a_running_job(world: World) -> None:
    account = world.account()
    clip = world.speak(account, world.voice(account))
    claim = world.take(JobKind.SPEAK, worker="worker:7")
    world.fail(claim, retry=True, message="It broke.")
    world.take(JobKind.SPEAK)
    with world.databases.writing() as session:
        jobs.cancel(session, session.get_one(Job, clip.job_id), OPERATOR, "Not any more.")
    query = select(AuditEntry).where(AuditEntry.subject_id == str(clip.job_id)).order_by(AuditEntry.id)
    said = [(entry.action, entry.actor_id, entry.reason) for entry in world.rows(query)]
    assert ("job.queued", "worker:7", "It broke.") in said
    assert said[-1] == ("job.cancel_asked", OPERATOR.id, "Not any more.")


def test_the_audit_tells_the_whole_life_of_everything(world: World) -> None:
    """Voices made, refused, revoked, deleted; clips done, failed, cancelled; accounts up and down."""
    account = world.account()
    for state in VoiceState:
        if state is not VoiceState.CLONING:
            world.voice(account, state)
    voice = world.voice(account)
    for _ in range(2):
        world.speak(account, voice)
    world.deliver(world.take(JobKind.SPEAK))
    claim = world.take(JobKind.SPEAK)
    world.fail(claim, retry=True)
    world.expire(world.take(JobKind.SPEAK))
    world.sweep()
    world.consent_in_review(world.voice(account, VoiceState.DRAFT))
    world.delete(voice)
    world.set_standing(account, Standing.RESTRICTED)
    world.claim("gpu")
    world.set_standing(account, Standing.ACTIVE)

    told: dict[tuple[str, str], list[AuditEntry]] = defaultdict(list)
    for entry in world.rows(select(AuditEntry).order_by(AuditEntry.at, AuditEntry.id)):
        if entry.after is not None:
            told[entry.subject_kind, entry.subject_id].append(entry)

    seen = 0
    for table in WITH_STATE:
        for row in world.rows(select(table)):
            entries = told[table.__tablename__, str(row.id)]
            state = table.__table__.columns["state"].default.arg
            for entry in entries:
                assert entry.before == state
                state = entry.after
            assert row.state == state
            seen += len(entries)
    assert seen == sum(len(entries) for entries in told.values()) > 60
    assert {job.state for job in world.rows(select(Job))} >= {JobState.DONE, JobState.CANCELLED}


# An accusation is never a guess: what the schema adds to the rules


def trace(world: World) -> TraceQuery:
    with world.databases.writing() as session:
        return ask_for_trace(session, upload("clip.mp3"), asked_by=OPERATOR, reason="report 7")


@pytest.mark.parametrize("verdict", [None, *Verdict])
def test_the_schema_keeps_a_generation_only_beside_a_verdict_that_may_name(
    spoken: World, verdict: Verdict | None
) -> None:
    query = trace(spoken)
    (generation,) = spoken.rows(select(Generation))
    with spoken.databases.writing() as session:
        session.get_one(TraceQuery, query.id).verdict = verdict
    name = "UPDATE trace_query SET generation_id = (SELECT id FROM generation)"
    if verdict in (Verdict.CONFIRMED, Verdict.STRONG):
        spoken.execute(name)
        assert spoken.get(TraceQuery, query.id).generation_id == generation.id
        return
    with pytest.raises(DBAPIError, match="names_only_when_sure"):
        spoken.execute(name)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_an_answer_names_an_account_only_when_sure_and_says_so_in_the_audit(spoken: World, verdict: Verdict) -> None:
    query = trace(spoken)
    (generation,) = spoken.rows(select(Generation))
    findings = TraceFindings(verdict, generation.id, [{"channel": "mark"}], 0.5, 3.0, [], audio_key=None)
    with spoken.databases.writing() as session:
        answer_trace(session, session.get_one(TraceQuery, query.id), findings)
    names = verdict in (Verdict.CONFIRMED, Verdict.STRONG)
    assert spoken.get(TraceQuery, query.id).generation_id == (generation.id if names else None)
    (entry,) = spoken.rows(select(AuditEntry).where(AuditEntry.action == "trace_query.answered"))
    assert entry.reason == "report 7"
    assert ("account" in entry.facts) is names


@pytest.mark.parametrize("reason", ["", "  \n "])
def test_nobody_traces_without_a_reason(world: World, reason: str) -> None:
    with pytest.raises(Invalid, match="why"), world.databases.writing() as session:
        ask_for_trace(session, upload(), asked_by=OPERATOR, reason=reason)
    assert world.count(TraceQuery) == 0
