"""Every row that belongs into the log gets its leaf with its own commit, in one gapless order, whatever happens."""

from __future__ import annotations

import threading
import uuid
from typing import Any

from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from app.core import audit
from app.core.audit import Actor, AuditEntry
from app.core.db import Base, Databases
from app.provenance.ledger import leaves, merkle, proofs
from app.provenance.ledger.models import LeafKind, MerkleLeaf, MerkleNode
from app.settings import Settings

TESTER = Actor.system("test")


class About:
    """Something that acts can be about."""

    __tablename__ = "voice"

    def __init__(self) -> None:
        self.id = uuid.uuid4()


def note(session: Session, words: str) -> AuditEntry:
    return audit.record(session, TESTER, "voice.tested", About(), reason=words)


def words_in_order(databases: Databases) -> list[str | None]:
    with databases.reading() as session:
        query = select(AuditEntry.reason).join(MerkleLeaf, MerkleLeaf.subject_id == AuditEntry.id)
        return list(session.scalars(query.order_by(MerkleLeaf.position)))


def check_tree(databases: Databases) -> int:
    """The tree is gapless, and its nodes and roots are those of its leaves."""
    with databases.reading() as session:
        rows = session.execute(select(MerkleLeaf.position, MerkleLeaf.content, MerkleLeaf.hash).order_by("position"))
        hashes = []
        for position, content, digest in rows:
            assert position == len(hashes)
            assert merkle.leaf_hash(content.encode()) == digest
            hashes.append(digest)

        def of(level: int, position: int) -> bytes:
            if level == 0:
                return hashes[position]
            return merkle.node_hash(of(level - 1, 2 * position), of(level - 1, 2 * position + 1))

        size = proofs.tree_size(session)
        assert size == len(hashes)
        assert proofs.root(session, size) == merkle.range_hash(0, size, of)
        nodes = session.scalar(select(func.count()).select_from(MerkleNode))
        assert nodes == size - bin(size).count("1")
        return size


def test_rows_of_one_commit_get_leaves_in_order_and_undone_ones_get_none(databases: Databases) -> None:
    with databases.writing() as session:
        note(session, "1")
        session.flush()
        savepoint = session.begin_nested()
        note(session, "undone")
        session.flush()
        savepoint.rollback()
        with session.begin_nested():
            note(session, "2")
        assert proofs.tree_size(session) == 0, "the lock of the log is for the end: nothing is waited for behind it"
        note(session, "3")
    with databases.writing() as session:
        note(session, "4")
        session.flush()
        session.expunge_all()
    with Session(databases.engine) as session:  # one session, one transaction after the other
        note(session, "never")
        session.flush()
        session.rollback()
        note(session, "5")
        session.commit()
        note(session, "6")
        session.commit()
    assert words_in_order(databases) == ["1", "2", "3", "4", "5", "6"]
    assert check_tree(databases) == 6


def test_what_is_committed_to_is_what_the_database_holds(databases: Databases) -> None:
    with databases.writing() as session:
        entry = audit.record(session, TESTER, "voice.tested", About(), facts={2: (1, 2), 10: 1.0})  # type: ignore[dict-item]
        entry.after = LeafKind.ACT
    with databases.reading() as session:
        (leaf,) = session.scalars(select(MerkleLeaf))
        (row,) = leaves.rows_of(session, LeafKind.ACT)
        assert row.facts == {"2": [1, 2], "10": 1.0}
        assert leaf.content == leaves.leaf_content(LeafKind.ACT, row, leaf.salt, leaf.created_at)
        assert leaf.content == leaves.leaf_content(
            LeafKind.ACT, session.get_one(AuditEntry, row.id), leaf.salt, leaf.created_at
        )


def test_each_leaf_has_a_salt_of_its_own_that_nobody_can_guess(databases: Databases) -> None:
    with databases.writing() as session:
        note(session, "1")
        note(session, "2")
    with databases.reading() as session:
        salts = set(session.scalars(select(MerkleLeaf.salt)))
        contents = list(session.scalars(select(MerkleLeaf.content)))
    assert sorted(map(len, salts)) == [43, 43], "256 bits each"
    assert not any(salt in content for salt in salts for content in contents)


def test_every_column_of_a_logged_table_is_committed_to() -> None:
    for kind, table in leaves.TABLES.items():
        assert set(leaves.FIELDS[kind]) == {column.key for column in Base.metadata.tables[table.__tablename__].columns}


def test_eight_writers_at_once_leave_no_gap(databases: Databases) -> None:
    broken: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for turn in range(6):
                with databases.writing() as session:
                    note(session, f"{number}.{turn}.a")
                    session.flush()
                    note(session, f"{number}.{turn}.b")
        except BaseException as error:
            broken.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not broken
    assert check_tree(databases) == 96
    said = [words or "" for words in words_in_order(databases)]
    assert len(set(said)) == 96
    assert all(first[:-1] == second[:-1] for first, second in zip(said[::2], said[1::2], strict=True))


def test_hashes_are_found_by_index_however_long_the_log_is(sqlite_settings: Settings) -> None:
    """Each commit with a leaf looks for some nodes while others wait for it."""
    databases = Databases(sqlite_settings)
    seen: list[tuple[str, Any]] = []
    event.listen(
        databases.engine, "before_cursor_execute", lambda _c, _u, query, given, *_: seen.append((query, given))
    )
    with databases.writing() as session:
        for each in range(7):
            note(session, str(each))
    with databases.writing() as session:
        note(session, "8")
    asked = [each for each in seen if "FROM merkle_" in each[0] and each[0].startswith("SELECT")]
    with databases.engine.connect() as connection:
        plans = [connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", given).all() for query, given in asked]
    databases.close()
    steps = [str(step[3]) for plan in plans for step in plan]
    assert any("merkle_node" in step for step in steps)
    assert [step for step in steps if step.startswith("SCAN merkle")] == []
