"""The archive of an export: a ZIP with the rows of an account as JSON, its recordings, its clips, and a manifest.

Memory stays bounded: rows and objects are written as they come. Clips come out of the storage by a `Delivery` only, as
everywhere: what has no stamp is not in the archive.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, Any, Self

from app.core.db import now
from app.core.errors import NotFound
from app.core.storage import Storage
from app.provenance.delivery import Delivery

VERSION = 1
"""Of the layout; goes up when a file changes its meaning."""
ABOUT = {
    "account.json": "The account: name, address, plan, standing.",
    "voices.json": "Voices, with what was measured in their samples and what was said in their consents.",
    "clips.json": "Every clip: its text, how it was made, and where its audio is in this archive.",
    "usage.json": "Entries of the usage ledger, in characters.",
    "sign_ins.json": "The log-in history, and the browsers that are or were signed in.",
    "keys.json": "API keys, without the keys themselves, which are not stored.",
    "decisions.json": "What was decided about the account, its voices and consents, and when.",
    "invoices.json": "Invoices, as the payment provider lists them.",
}
"""What each file of rows holds."""
_CHUNK_TIME = (1980, 1, 1, 0, 0, 0)  # the archive says when it was made; its entries need not


@dataclass(frozen=True)
class Archive:
    """A finished one: bytes, SHA-256 in hex, number of files."""

    size: int
    sha256: str
    files: int


@dataclass
class Writer:
    """Writes one archive into an open file, as a context manager. Call `finish` once, at the end of the block."""

    file: IO[bytes]
    storage: Storage
    _listed: list[dict[str, Any]] = field(default_factory=list)
    _missing: list[dict[str, str]] = field(default_factory=list)
    _notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._zip = zipfile.ZipFile(self.file, "w", allowZip64=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def rows(self, name: str, rows: Iterable[dict[str, Any]]) -> None:
        """A JSON file with a list of rows, written one by one."""
        self._add(name, ABOUT[name], _as_list(rows), zipfile.ZIP_DEFLATED)

    def one(self, name: str, row: dict[str, Any]) -> None:
        """A JSON file with one object."""
        self._add(name, ABOUT[name], [_json(row)], zipfile.ZIP_DEFLATED)

    def recording(self, name: str, storage_key: str, about: str) -> None:
        """What the person uploaded, as it came. One that is gone is listed as missing."""
        self._object(name, storage_key, about)

    def clip(self, name: str, delivery: Delivery, about: str) -> None:
        """A stamped clip: there is no other way for one into the archive."""
        self._object(name, delivery.storage_key, about)

    def note(self, sentence: str) -> None:
        """Something that the reader of the manifest should know."""
        self._notes.append(sentence)

    def finish(self, account: str) -> Archive:
        """Write the manifest and close. `account` is the public id. The file is then at its start."""
        manifest = {
            "version": VERSION,
            "account": account,
            "made_at": now(),
            "files": self._listed,
            "missing": self._missing,
            "notes": self._notes,
        }
        self._write("manifest.json", [_json(manifest)], zipfile.ZIP_DEFLATED)
        self._zip.close()
        self.file.seek(0)
        digest = hashlib.file_digest(self.file, "sha256").hexdigest()  # type: ignore[arg-type]  # any file will do
        size = self.file.tell()
        self.file.seek(0)
        return Archive(size, digest, len(self._listed) + 1)

    def _object(self, name: str, storage_key: str, about: str) -> None:
        try:
            chunks = self.storage.stream(storage_key)
        except NotFound:
            self._missing.append({"name": name, "about": about})
            return
        self._add(name, about, chunks, zipfile.ZIP_STORED)

    def _add(self, name: str, about: str, chunks: Iterable[bytes], method: int) -> None:
        size, digest = self._write(name, chunks, method)
        self._listed.append({"name": name, "size": size, "sha256": digest, "about": about})

    def _write(self, name: str, chunks: Iterable[bytes], method: int) -> tuple[int, str]:
        info = zipfile.ZipInfo(name, _CHUNK_TIME)
        info.compress_type = method
        digest, size = hashlib.sha256(), 0
        with self._zip.open(info, "w", force_zip64=True) as entry:
            for chunk in chunks:
                entry.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        return size, digest.hexdigest()


def _as_list(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    yield b"["
    for number, row in enumerate(rows):
        yield (b",\n" if number else b"\n") + _json(row)
    yield b"\n]\n"


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1, default=_plain).encode("utf-8", "replace")


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
