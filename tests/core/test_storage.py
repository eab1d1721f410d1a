"""One store, two places: the same behaviour in a folder and in an S3 bucket over HTTP."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from app.core.errors import NotFound, StorageFull, Unavailable
from app.core.storage import Storage, open_storage
from app.settings import Settings

BIG = os.urandom(1024) * 6 * 1024  # 6 MiB: more than one part of an S3 upload


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def s3_settings(endpoint: str, bucket: str, folder: Path) -> Settings:
    where: dict[str, Any] = {
        "url": f"s3://{bucket}/audio",
        "s3_endpoint": endpoint,
        "s3_access_key_id": "test",
        "s3_secret_access_key": "test",
    }
    return Settings(data_dir=folder, storage=where)


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return open_storage(Settings(data_dir=tmp_path))
    import boto3

    endpoint, bucket = request.getfixturevalue("s3_server"), f"b{uuid.uuid4().hex}"
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_bucket(Bucket=bucket)
    client.close()
    return open_storage(s3_settings(endpoint, bucket, tmp_path))


def test_what_is_put_comes_back(storage: Storage, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"from a file")
    storage.put("samples/a.wav", b"from bytes")
    storage.put("samples/b.wav", source)
    storage.put("samples/c.wav", io.BytesIO(BIG))
    storage.put("samples/empty.wav", b"")
    assert storage.get("samples/a.wav") == b"from bytes"
    assert storage.get("samples/b.wav") == b"from a file"
    assert b"".join(storage.stream("samples/c.wav")) == BIG
    assert storage.size("samples/c.wav") == len(BIG)
    assert list(storage.stream("samples/empty.wav")) == []
    storage.put("samples/a.wav", b"again")
    assert storage.get("samples/a.wav") == b"again"


def test_ranges(storage: Storage) -> None:
    storage.put("clip", b"0123456789")
    assert b"".join(storage.stream("clip", 2, 5)) == b"234"
    assert b"".join(storage.stream("clip", 7)) == b"789"
    assert b"".join(storage.stream("clip", 8, 99)) == b"89"
    for start, end in ((10, None), (5, 5), (-1, 4)):
        with pytest.raises(ValueError, match="outside"):
            storage.stream("clip", start, end)


def test_download_writes_the_whole_object_or_nothing(storage: Storage, tmp_path: Path) -> None:
    target = tmp_path / "clip.wav"
    with target.open("wb") as file:
        with pytest.raises(NotFound):
            storage.download("missing", file)
        assert file.tell() == 0
        storage.put("clip", BIG)
        storage.download("clip", file)
        assert target.read_bytes() == BIG


def test_missing_and_deleted(storage: Storage) -> None:
    storage.put("a/b", b"1")
    storage.delete("a/b")
    storage.delete("a/b")
    for verb in (storage.get, storage.size, storage.stream):
        with pytest.raises(NotFound, match="not here any more"):
            verb("a/b")


def test_list_is_by_folder(storage: Storage) -> None:
    for key in ("a/1", "a/b/2", "ab/3"):
        storage.put(key, b"x")
    assert storage.list("a") == storage.list("a/") == ["a/1", "a/b/2"]
    assert storage.list("") == ["a/1", "a/b/2", "ab/3"]
    assert storage.list("nothing") == []


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "A", "a b", "a\n", "ä", "a" * 513]
)
def test_keys_that_are_none(storage: Storage, key: str) -> None:
    with pytest.raises(ValueError, match="not a storage key"):
        storage.put(key, b"x")
    with pytest.raises(ValueError, match="not a storage key"):
        storage.get(key)


class Broken(io.BytesIO):
    """A stream whose sender goes away after 5 MiB."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= 5 * 1024 * 1024:
            raise ConnectionResetError("the sender went away")
        return super().read(size)


def test_a_put_that_fails_shows_nothing(storage: Storage) -> None:
    storage.put("old", b"old")
    for key in ("new", "old"):
        with pytest.raises(ConnectionResetError):
            storage.put(key, Broken(BIG * 2))
    assert storage.list("") == ["old"]
    assert storage.get("old") == b"old"


def test_check_leaves_nothing(storage: Storage) -> None:
    storage.check()
    assert storage.list("") == []


def test_folder_is_closed_to_others(tmp_path: Path) -> None:
    open_storage(Settings(data_dir=tmp_path))
    assert (tmp_path / "storage").stat().st_mode & 0o777 == 0o700


def test_a_bucket_that_is_not_there(s3_server: str, tmp_path: Path) -> None:
    storage = open_storage(s3_settings(s3_server, "nowhere", tmp_path))
    with pytest.raises(Unavailable, match="can't be reached"):
        storage.put("a", b"1")


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    storage = open_storage(s3_settings("http://127.0.0.1:9", "nowhere", tmp_path))
    with pytest.raises(Unavailable, match="can't be reached"):
        storage.check()


PUT_UNTIL_FULL = """
import resource, signal, sys
from app.core.errors import StorageFull
from app.core.storage import open_storage
from app.core.telemetry import configure_logging
from app.settings import Settings

settings = Settings(data_dir=sys.argv[1])
configure_logging(settings, "test")
storage = open_storage(settings)
storage.put("old", b"old")
if sys.argv[2] == "limit":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
for key, data in (("new", bytes(4_000_000)), ("old", bytes(4_000_000))):
    try:
        storage.put(key, data)
    except StorageFull as error:
        print(error.status, error.message)
print(storage.list(""), storage.get("old"))
"""
SAID_FULL = "507 The server's disk is full, so nothing was saved.\n" * 2 + "['old'] b'old'\n"


def test_a_limit_on_file_size_reads_as_a_full_disk(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PUT_UNTIL_FULL, str(tmp_path), "limit"]
    assert subprocess.run(command, capture_output=True, text=True, timeout=60).stdout == SAID_FULL
    assert StorageFull.status == 507


def in_own_mounts(script: str) -> list[str]:
    """A shell command in its own user and mount name space, where a small file system can be mounted without root."""
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]


def can_mount(folder: Path) -> bool:
    if shutil.which("unshare") is None:
        return False
    probe = in_own_mounts(f"mount -t tmpfs -o size=1m vouch-test '{folder}'")
    return subprocess.run(probe, capture_output=True, timeout=30).returncode == 0


def test_a_full_disk(tmp_path: Path) -> None:
    if not can_mount(tmp_path):
        pytest.skip("this machine lets nobody mount a small file system; the file size limit is tested")
    script = f"mount -t tmpfs -o size=1m vouch-test '{tmp_path}' && exec \"$@\""
    command = [*in_own_mounts(script), "sh", sys.executable, "-c", PUT_UNTIL_FULL, str(tmp_path), "mount"]
    assert subprocess.run(command, capture_output=True, text=True, timeout=60).stdout == SAID_FULL


def test_a_read_only_folder(tmp_path: Path) -> None:
    if not can_mount(tmp_path):
        pytest.skip("this machine lets nobody mount a read-only file system")
    child = """
import sys
from app.core.errors import Unavailable
from app.core.storage import open_storage
from app.core.telemetry import configure_logging
from app.settings import Settings
settings = Settings(data_dir=sys.argv[1])
configure_logging(settings, "test")
try:
    open_storage(settings).put("a", b"1")
except Unavailable as error:
    print(error.status, error.code)
"""
    script = f"mount -t tmpfs -o ro vouch-test '{tmp_path}' && exec \"$@\""
    command = [*in_own_mounts(script), "sh", sys.executable, "-c", child, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "503 storage.read_only\n", done.stderr
