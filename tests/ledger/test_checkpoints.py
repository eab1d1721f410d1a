"""Checkpoints are signed notes, copied outside; a log that does not continue them is never signed."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import delete, select, text

from app.core import signing, timestamps
from app.core.db import Databases
from app.provenance.ledger import checkpoints, exports, keys, notes, proofs
from app.provenance.ledger.checkpoints import Forked
from app.provenance.ledger.models import Checkpoint, MerkleLeaf
from app.provenance.ledger.notes import BadNote, Head
from app.settings import Settings
from tests.ledger.test_leaves import note
from tests.time_authority import time_authority
from workers.checkpoints import sign_now, sign_when_due
from workers.tools import Tools

GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"


@pytest.fixture
def tools(settings: Settings, databases: Databases) -> Tools:
    made = Tools(settings)
    made.databases.close()
    made.databases = databases
    return made


def grow(databases: Databases, number: int = 3) -> None:
    for each in range(number):
        with databases.writing() as session:
            note(session, str(each))


def test_key_ids_and_signatures_are_those_of_other_tools() -> None:
    raw = base64.b64decode(GO_KEY.split("+", 2)[2])[1:]
    public = Ed25519PublicKey.from_public_bytes(raw)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    pem = public.public_bytes(serialization.Encoding.PEM, form).decode()
    assert notes.verifier_key("PeterNeumann", pem) == GO_KEY
    ((name, signature),) = notes._signatures([f"— PeterNeumann {GO_SIGNATURE}"])
    assert (name, signature[:4].hex()) == ("PeterNeumann", "c74f20a3")
    public.verify(signature[4:], GO_TEXT.encode())


def test_a_note_opens_for_its_key_only_and_only_unchanged() -> None:
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    head = Head("vouch.example/ledger", 7, bytes(range(32)))
    made = notes.signed(head, key)
    pems = [signing.public_pem(other), signing.public_pem(key)]
    assert notes.opened(made, pems) == head
    line = notes.signed(head, other).splitlines()[-1]
    assert notes.opened(made + line + "\n", pems[1:]) == head, "signatures by unknown keys are passed over"
    for wrong in (
        made.replace("\n7\n", "\n8\n"),
        made.replace("\n7\n", "\n07\n"),
        made.replace("vouch", "couch"),
        made.replace("AAEC", "AAED"),
        made.removesuffix("\n"),
        made.rpartition("\n\n")[0] + "\n",
        made + "x",
        "",
        "\n" * 9,
        "é" * 20_000,
    ):
        with pytest.raises(BadNote):
            notes.opened(wrong, pems)
    with pytest.raises(BadNote, match="no key"):
        notes.opened(made, pems[:1])
    with pytest.raises(ValueError, match="name a key"):
        notes.signed(Head("two words", 7, bytes(32)), key)


def test_a_grown_log_is_signed_and_copied_outside(tools: Tools, databases: Databases) -> None:
    grow(databases)
    sign_when_due(tools)
    sign_when_due(tools)  # nothing is new
    with databases.reading() as session:
        (row,) = session.scalars(select(Checkpoint))
        assert row.size == proofs.tree_size(session) == 4, "three acts, and the key that signs"
        trusted = keys.signing_keys(session)
        assert notes.opened(row.note, trusted) == Head("127.0.0.1:8800/ledger", 4, proofs.root(session, 4))
    folder = tools.settings.checkpoint_directory
    assert sorted(path.name for path in folder.iterdir()) == ["000000000004.json", "000000000004.txt", "latest.txt"]
    for name in ("000000000004.txt", "latest.txt"):
        assert (folder / name).read_text() == row.note
        assert tools.storage.get(f"ledger/checkpoints/{name}").decode() == row.note
    grow(databases, 1)
    sign_when_due(tools)
    with databases.reading() as session:
        assert checkpoints.sizes(session) == [4], "the last one is not old enough yet"


def test_an_authority_says_when_a_checkpoint_was_there_and_its_absence_stops_none(
    tools: Tools, databases: Databases, tmp_path: Path
) -> None:
    with time_authority(tmp_path / "clock") as clock:
        provenance = tools.settings.provenance.model_copy(update={"timestamp_url": clock.url})
        tools.settings = tools.settings.model_copy(update={"provenance": provenance})
        grow(databases)
        stamped = sign_now(tools)
        assert stamped is not None
        assert timestamps.check(stamped.timestamp_token or b"", stamped.note.encode(), clock.anchor_pem)
        clock.mood = "refusing"
        grow(databases)
        plain = sign_now(tools)
        assert plain is not None
        assert plain.timestamp_token is None
    with databases.reading() as session:
        assert checkpoints.checkpoint_of(session, stamped.size).timestamp_token == stamped.timestamp_token
        assert checkpoints.sizes(session) == [stamped.size, plain.size]


def test_missing_copies_are_made_later(tools: Tools, databases: Databases) -> None:
    folder = tools.settings.checkpoint_directory
    folder.write_text("a file where the folder should be")
    grow(databases)
    with pytest.raises(OSError, match=r"exists|directory"):
        sign_now(tools)
    folder.unlink()
    sign_when_due(tools)
    assert (folder / "000000000004.txt").exists()
    (folder / "000000000004.json").unlink()
    grow(databases)
    sign_now(tools)
    (folder / "000000000004.txt").unlink()
    assert exports.export_missing(databases, folder, tools.storage) == 1
    assert exports.sizes_in(folder) == [4, 7]
    newest = exports.newest_in(folder)
    assert newest == (folder / "latest.txt").read_text() == exports.newest_stored(tools.storage)


def test_a_copy_that_was_cut_off_is_made_whole_later(
    tools: Tools, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(path: Path, content: bytes, write: Callable[[Path, bytes], None] = exports.write_whole) -> None:
        write(path, content)
        raise OSError("the disk is full")

    grow(databases)
    with monkeypatch.context() as patch:
        patch.setattr(exports, "write_whole", cut_off)
        with pytest.raises(OSError, match="full"):
            sign_now(tools)
    sign_when_due(tools)
    folder = tools.settings.checkpoint_directory
    assert sorted(path.name for path in folder.iterdir()) == ["000000000004.json", "000000000004.txt", "latest.txt"]


def forget_from(databases: Databases, size: int) -> None:
    """What an older backup would have: nothing from leaf `size` on."""
    with databases.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        else:
            names = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
            for name in names:
                connection.execute(text(f"DROP TRIGGER {name}"))
        connection.execute(delete(MerkleLeaf).where(MerkleLeaf.position >= size))
        connection.execute(text("DELETE FROM merkle_node WHERE (position + 1) * (1 << level) > :size"), {"size": size})
        connection.execute(delete(Checkpoint).where(Checkpoint.size > size))


@pytest.mark.parametrize("kept", [0, 2, 6])
def test_a_log_that_lost_leaves_is_never_signed_again(tools: Tools, databases: Databases, kept: int) -> None:
    grow(databases)
    sign_now(tools)
    grow(databases)
    sign_now(tools)
    forget_from(databases, kept)
    with pytest.raises(Forked, match="7 was signed before"):
        sign_now(tools)
    grow(databases, 8)  # grown past the old size: other leaves, another tree
    with pytest.raises(Forked, match="not those that were signed"):
        sign_now(tools)
    with databases.reading() as session:
        assert checkpoints.sizes(session) == ([4] if kept == 6 else [])


def test_a_lost_folder_does_not_hide_that_the_log_lost_leaves(tools: Tools, databases: Databases) -> None:
    grow(databases)
    sign_now(tools)
    forget_from(databases, 2)
    for path in tools.settings.checkpoint_directory.iterdir():
        path.unlink()
    with pytest.raises(Forked, match="4 was signed before"):
        sign_now(tools)


def test_a_copy_that_nobody_signed_stops_the_signing(tools: Tools, databases: Databases) -> None:
    grow(databases)
    sign_now(tools)
    path = tools.settings.checkpoint_directory / "000000000004.txt"
    path.write_text(path.read_text().replace("\n4\n", "\n3\n"))
    grow(databases)
    with pytest.raises(Forked, match="can't be believed"):
        sign_now(tools)


def test_the_interval_of_the_settings_is_kept(tools: Tools, databases: Databases) -> None:
    grow(databases)
    sign_now(tools)
    grow(databases)
    with databases.reading() as session:
        assert not checkpoints.is_due(session, timedelta(minutes=10))
        assert checkpoints.is_due(session, timedelta(0))
