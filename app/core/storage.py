"""Audio objects by key: in a folder of the data directory, or in an S3-compatible bucket, by one setting.

Keys are `[a-z0-9/_.-]+`, without `..` and without a slash at either end. Objects appear whole or not at all.
Every failure is a DomainError in plain words: NotFound, StorageFull or Unavailable.
"""

from __future__ import annotations

import builtins
import itertools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

import obstore
import structlog
from obstore.exceptions import BaseError, PermissionDeniedError
from obstore.store import LocalStore, S3Store

from app.core.errors import DomainError, NotFound, Unavailable, disk_full, from_errno, read_only
from app.settings import Settings

if TYPE_CHECKING:
    from obstore.store import S3Config

_log = structlog.get_logger("vouch.storage")
_CHUNK = 256 * 1024
_PART = 5 * 1024 * 1024  # the smallest part of an S3 upload in parts
_KEY = re.compile(r"[a-z0-9_.-]+(/[a-z0-9_.-]+)*")
_BUCKET_FULL = re.compile(r"XMinioStorageFull|QuotaExceeded|507 Insufficient Storage")
_OS_ERROR = re.compile(r"\(os error (\d+)\)")


class Storage:
    """The objects of one store. Safe to use from several threads. Get one with `open_storage`."""

    def __init__(self, store: LocalStore | S3Store) -> None:
        self._store = store

    def put(self, key: str, data: bytes | Path | BinaryIO) -> None:
        """Store `data` under `key`, replacing what was there.

        It shows up whole when this returns; when it raises, nothing has changed. A stream is read from where it
        stands. Raises StorageFull or Unavailable, and lets the errors of a stream's own reading through.
        """
        _check(key)
        if isinstance(data, Path):
            with data.open("rb") as file:
                return self.put(key, file)
        body = data if isinstance(data, bytes) else _whole_or_chunks(data)
        try:
            with _plain_words():
                obstore.put(self._store, key, body)
        except NotFound as error:  # the bucket is what is missing
            raise _unavailable() from error

    def get(self, key: str) -> bytes:
        """The whole object; meant for small ones. Raises NotFound."""
        _check(key)
        with _plain_words():
            return bytes(obstore.get(self._store, key).bytes())

    def stream(self, key: str, start: int | None = None, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` up to but not including `end`, in chunks.

        Neither means the whole object; an `end` past the object means its last byte. Raises, before the first chunk
        is asked for, NotFound, and ValueError for a range that holds none of the object's bytes.
        """
        _check(key)
        first, size = start or 0, self.size(key)
        last = size if end is None else min(end, size)
        if not (0 <= first < last or first == last == size == 0):
            raise ValueError(f"range {start}-{end} lies outside an object of {size} bytes")
        return self._read(key, first, last)

    def size(self, key: str) -> int:
        """Length in bytes. Raises NotFound."""
        _check(key)
        with _plain_words():
            return obstore.head(self._store, key)["size"]

    def download(self, key: str, file: IO[bytes]) -> None:
        """Write the object to an open file. Raises NotFound before anything is written."""
        chunks = self.stream(key)
        with _plain_words():
            file.writelines(chunks)
            file.flush()

    def delete(self, key: str) -> None:
        """Remove the object; no error when there is none."""
        _check(key)
        try:
            with _plain_words():
                obstore.delete(self._store, key)
        except NotFound:
            return

    def list(self, prefix: str) -> builtins.list[str]:
        """The keys under the folder `prefix`, sorted; "" means all."""
        if prefix:
            _check(prefix.rstrip("/"))
        with _plain_words():
            return sorted(found["path"] for page in obstore.list(self._store, prefix or None) for found in page)

    def keys(self, prefix: str, older_than: datetime) -> Iterator[str]:
        """The keys under the folder `prefix` whose objects were written before a moment, one after the other.

        Only those that could be ours: names that are no keys are left out. Memory stays bounded.
        """
        _check(prefix.rstrip("/"))
        with _plain_words():
            for page in obstore.list(self._store, prefix):
                for found in page:
                    if found["last_modified"] < older_than and _is_key(found["path"]):
                        yield found["path"]

    def check(self) -> None:
        """Prove that objects can be written and removed; for readiness. Raises StorageFull or Unavailable."""
        key = f"checks/{os.getpid()}"
        self.put(key, b"ready")
        self.delete(key)

    def _read(self, key: str, first: int, last: int) -> Iterator[bytes]:
        if first == last:
            return
        with _plain_words():
            found = obstore.get(self._store, key, options={"range": (first, last)})
            for chunk in found.stream(min_chunk_size=_CHUNK):
                yield bytes(chunk)


def open_storage(settings: Settings) -> Storage:
    """The store that the settings name.

    A folder gets mode 0700, which closes everything in it to other users. Raises Unavailable when that fails.
    """
    if settings.storage.url:
        return Storage(_open_bucket(settings))
    folder = settings.data_dir.resolve() / "storage"
    with _plain_words():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        return Storage(LocalStore(folder))


def _open_bucket(settings: Settings) -> S3Store:
    wanted = settings.storage
    config: S3Config = {"region": wanted.s3_region}
    if wanted.s3_endpoint:
        config["endpoint"] = wanted.s3_endpoint
    if key_id := wanted.s3_access_key_id.get_secret_value():  # else the machine's role or AWS_ variables
        config["access_key_id"] = key_id
        config["secret_access_key"] = wanted.s3_secret_access_key.get_secret_value()
    return S3Store.from_url(
        wanted.url,
        config=config,
        client_options={
            "allow_http": wanted.s3_endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=5),
            "timeout": timedelta(seconds=60),
        },
        # A request waits for this, so a store that is down must show within seconds.
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=15)},
    )


def _whole_or_chunks(stream: BinaryIO) -> bytes | Iterator[bytes]:
    """Small objects in one request; larger ones in parts, so that memory stays bounded."""
    head = stream.read(_PART)
    more = stream.read(_CHUNK)
    return itertools.chain([head, more], iter(lambda: stream.read(_CHUNK), b"")) if more else head


def _check(key: str) -> None:
    if not _is_key(key):
        raise ValueError(f"not a storage key: {key[:80]!r}")


def _is_key(text: str) -> bool:
    return len(text) <= 512 and ".." not in text and _KEY.fullmatch(text) is not None


def _unavailable() -> Unavailable:
    return Unavailable(
        "storage.unavailable",
        "The place where audio is kept can't be reached at the moment.",
        fix="Try again in a minute; if it stays so, tell the operator.",
    )


@contextmanager
def _plain_words() -> Iterator[None]:
    """The store's errors as DomainErrors. What a caller's own stream raises goes through as it is."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound("storage.not_found", "This audio is not here any more.") from error
    except PermissionDeniedError as error:
        raise read_only() from error
    except (BaseError, OSError) as error:
        known = _by_number(error)
        if known is None and not isinstance(error, BaseError):
            raise
        _log.warning("storage failed", error=str(error).partition("\n")[0])
        raise known or _unavailable() from error


def _by_number(error: BaseError | OSError) -> DomainError | None:
    if isinstance(error, OSError) and error.errno is not None:
        return from_errno(error.errno)
    # obstore names the operating system's error in its text only; MinIO and Ceph say a full bucket by their own codes.
    said = _OS_ERROR.search(str(error))
    if said is None:
        return disk_full() if _BUCKET_FULL.search(str(error)) else None
    return from_errno(int(said[1]))
