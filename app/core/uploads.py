"""Taking a file from a request into the storage, without reading it into memory or looking inside."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from app.core.crypto import public_token
from app.core.errors import Invalid
from app.core.storage import Storage
from app.core.text import one_line

CHUNK = 1024 * 1024
MAX_NAME = 200


@dataclass(frozen=True)
class Upload:
    """A file that has been stored, before it belongs to anything."""

    name: str
    size: int
    digest: str
    """SHA-256 of its bytes, hex."""
    storage_key: str


class IncomingFile(Protocol):
    """What the web framework hands over."""

    filename: str | None
    file: BinaryIO


def store_upload(storage: Storage, incoming: IncomingFile) -> Upload:
    """Store one uploaded file. Raises Invalid for an empty one, StorageFull or Unavailable when it can't be kept."""
    digest, size = hashlib.sha256(), 0
    while chunk := incoming.file.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
    name = clean_name(incoming.filename or "recording")
    if size == 0:
        raise Invalid("upload.empty", f"The file {name} is empty. Choose the recording again.")
    incoming.file.seek(0)
    key = f"uploads/{public_token().lower()}"
    storage.put(key, incoming.file)
    return Upload(name, size, digest.hexdigest(), key)


def clean_name(name: str) -> str:
    """The last part of a file name, printable, at most 200 characters. For showing only, never a path."""
    return one_line(name.replace("\\", "/").rsplit("/", 1)[-1], MAX_NAME) or "recording"


@dataclass
class Stored:
    """Files that were stored and are thrown away again unless they are kept."""

    uploads: list[Upload] = field(default_factory=list)
    kept: bool = False

    def keep(self) -> None:
        """Call it once the rows that name the files are committed."""
        self.kept = True


@contextmanager
def storing(storage: Storage, incoming: Iterable[IncomingFile]) -> Iterator[Stored]:
    """Store the files of a request for the time of the block; whatever is not kept by its end is removed.

    So a request that is refused, breaks, or repeats an earlier one leaves nothing behind on the disk. Raises what
    `store_upload` raises.
    """
    stored = Stored()
    try:
        for file in incoming:
            stored.uploads.append(store_upload(storage, file))
        yield stored
    finally:
        if not stored.kept:
            for upload in stored.uploads:
                storage.delete(upload.storage_key)
