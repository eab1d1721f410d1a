"""What must be true before anything starts: a data directory of our own, a free port, keys, tables, stock voices."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from pathlib import Path

from app.cli.common import run_module
from app.core import migrate
from app.core.db import make_engine
from app.core.errors import Conflict, Unavailable
from app.settings import Settings

LOCK_PATIENCE = 3.0  # seconds: a service that was just killed takes a moment to be gone


def make_data_directory(path: Path) -> None:
    """Have a directory that only its owner can open. Raises Unavailable when it can't be made or written."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = path / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Unavailable(
            "data.unusable",
            f"The data directory {path} can't be written: {reason}.",
            fix="Choose another with --data DIR or VOUCH_DATA_DIR, or give this user the right to write there.",
        ) from error


def lock_data_directory(path: Path) -> int:
    """Make sure that nobody else serves this directory; gives the open lock, which ends with its last holder.

    Raises Conflict with the process that has it. A lock left by a killed process is no lock.
    """
    handle = os.open(path / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError as error:
            if time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            holder = os.read(handle, 20).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise Conflict(
                "data.in_use",
                f"Another `vouch up` (process {holder}) already serves the data directory {path}.",
                fix="Stop it first, or choose another directory with --data DIR.",
            ) from error
    os.ftruncate(handle, 0)
    os.write(handle, f"{os.getpid()}\n".encode())
    return handle


def free_port(host: str, port: int) -> int:
    """The port, after proving that it can be had; for 0 one that is free. Raises Unavailable."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            found: int = probe.getsockname()[1]
            return found
    except OSError as error:
        said = "is taken by another program" if error.errno == errno.EADDRINUSE else f"can't be used ({error.strerror})"
        raise Unavailable(
            "port.taken",
            f"Port {port} of {host} {said}.",
            fix=f"Choose another one: vouch up --port {port + 1 if 0 < port < 65535 else 8800}, or VOUCH_WEB__PORT.",
        ) from error


def have_keys(settings: Settings) -> bool:
    """Whether there is nothing for `make_keys` to make."""
    folder = settings.key_directory
    return (folder / "credentials-key.pem").exists() and any(folder.glob("mark-*.key"))


def make_keys(settings: Settings) -> list[str]:
    """Make the keys that are missing; gives the names of new files."""
    return run_module("workers.keys", str(settings.key_directory), settings.voices.service_name).splitlines()


def check_certificates(settings: Settings) -> None:
    """Raise Unavailable when the operator's certificate or further authorities are set up and can't be used."""
    given = settings.provenance
    if given.certificate_file or given.certificate_key_file or given.trust_anchors_file:
        run_module("workers.keys", "--check")


def bring_up_to_date(settings: Settings) -> str:
    """Migrate the database and store the engine's stock voices; gives a line about the latter."""
    engine = make_engine(settings)
    try:
        migrate.upgrade(engine)
    finally:
        engine.dispose()
    return run_module("workers.stock").strip()
