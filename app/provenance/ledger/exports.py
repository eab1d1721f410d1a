"""Copies of checkpoints outside of the database: in a folder, best on another machine, and in the object storage.

Of each checkpoint a `.txt`, the signed note, and a `.json` with the time stamp and when it was made; `latest.txt` is
the newest note. Files appear whole or not at all, and are never changed afterwards.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.core.db import Databases
from app.core.errors import NotFound
from app.core.storage import Storage
from app.provenance.ledger import checkpoints, notes
from app.provenance.ledger.checkpoints import Forked
from app.provenance.ledger.models import Checkpoint
from app.provenance.ledger.notes import Head

FOLDER = "ledger/checkpoints"
LATEST = "latest.txt"
_NAME = re.compile(r"(\d{12,})\.txt")


def files_of(checkpoint: Checkpoint) -> dict[str, bytes]:
    """Names and contents of a checkpoint's files, in the order to write them in: the note tells that all is there."""
    stem = f"{checkpoint.size:012d}"
    record = json.dumps(record_of(checkpoint), indent=1, sort_keys=True) + "\n"
    return {f"{stem}.json": record.encode(), f"{stem}.txt": checkpoint.note.encode()}


def record_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """All columns of a checkpoint as plain data."""
    token = checkpoint.timestamp_token
    return {
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "note": checkpoint.note,
        "timestamp_token": None if token is None else base64.b64encode(token).decode(),
        "created_at": checkpoint.created_at.isoformat(timespec="microseconds"),
    }


def heads(directory: Path, storage: Storage, trusted: Sequence[str]) -> list[Head]:
    """The newest checkpoints that were copied outside. Raises Forked when one of them is not signed by a known key."""
    found = {str(directory): newest_in(directory), f"the object storage under {FOLDER}": newest_stored(storage)}
    return [_believed(note, where, trusted) for where, note in found.items() if note is not None]


def _believed(note: str, where: str, trusted: Sequence[str]) -> Head:
    try:
        return notes.opened(note, trusted)
    except notes.BadNote as error:
        raise Forked(f"The newest checkpoint in {where} can't be believed: {error}.") from error


def sizes_in(directory: Path) -> list[int]:
    """The sizes of the checkpoints in the folder, smallest first."""
    try:
        names = [path.name for path in directory.iterdir()]
    except FileNotFoundError:
        return []
    return sorted(int(found[1]) for name in names if (found := _NAME.fullmatch(name)))


def newest_in(directory: Path) -> str | None:
    """The note of the largest checkpoint in the folder."""
    sizes = sizes_in(directory)
    return (directory / f"{sizes[-1]:012d}.txt").read_text() if sizes else None


def newest_stored(storage: Storage) -> str | None:
    """The newest note in the object storage."""
    try:
        return storage.get(f"{FOLDER}/{LATEST}").decode()
    except NotFound:
        return None


def export_missing(databases: Databases, directory: Path, storage: Storage) -> int:
    """Copy the checkpoints that are not outside yet; gives how many.

    The folder comes last, so it tells what is done.
    """
    there, stored = set(sizes_in(directory)), newest_stored(storage)
    stored_to, newest = 0 if stored is None else notes.parsed(stored).size, max(there, default=0)
    with databases.reading() as session:
        missing = [size for size in checkpoints.sizes(session) if size > stored_to or size not in there]
    for size in missing:
        with databases.reading() as session:
            checkpoint = checkpoints.checkpoint_of(session, size)
        files = files_of(checkpoint)
        if size > stored_to:
            for name, content in files.items():
                storage.put(f"{FOLDER}/{name}", content)
            storage.put(f"{FOLDER}/{LATEST}", checkpoint.note.encode())
        for name, content in files.items():
            write_whole(directory / name, content)
        if size > newest:
            write_whole(directory / LATEST, checkpoint.note.encode())
    return len(missing)


def copies_of(directory: Path, size: int, row: Checkpoint | None) -> dict[Path, bytes | None]:
    """The files of a checkpoint in the folder, with what they should hold; None when there is no row to tell."""
    if row is None:
        return {directory / f"{size:012d}.txt": None}
    return {directory / name: content for name, content in files_of(row).items()}


def is_outside(directory: Path, size: int) -> bool:
    """Whether the checkpoint of this size is in the folder."""
    return (directory / f"{size:012d}.txt").exists()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that shows up whole, and is on the disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with half.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    finally:
        with suppress(OSError):
            half.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
