"""A `vouch up` of the demo's own: on a free port, in a directory of its own, gone when the demo is."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.cli.processes import Guard, descendants
from app.core.errors import Unavailable

START_SECONDS = 120.0
STOP_SECONDS = 40.0
_READY = re.compile(r"ready: open (http://\S+)")


@dataclass(frozen=True)
class PrivateService:
    """A service that is ready."""

    address: str
    log: Path
    process: subprocess.Popen[bytes]

    def memory(self) -> dict[str, tuple[int, int]]:
        """Resident bytes of web, worker and errands, now and (each process at its own time) at the highest."""
        found = descendants(self.process.pid)
        kinds = {"web": "uvicorn", "worker": "-Q cpu", "errands": "-Q errands"}
        used = {name: [m for m in found if word in m.command] for name, word in kinds.items()}
        return {name: (sum(m.resident for m in ms), sum(m.highest for m in ms)) for name, ms in used.items() if ms}


@contextmanager
def private_service(data: Path) -> Iterator[PrivateService]:
    """Start the service, wait until it is ready, stop it at the end of the block. Raises Unavailable."""
    log = data / "up.log"
    guard = Guard()
    with log.open("wb") as output:
        command = [sys.executable, "-m", "app.cli", "up", "--host", "127.0.0.1", "--port", "0", "--data", str(data)]
        process = guard.start(command, output)
    try:
        yield PrivateService(_address(process, log), log, process)
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                sys.stderr.write("The service does not stop; killing it.\n")
        guard.bury(process)
        guard.close()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while True:
        said = log.read_text(errors="replace")
        if match := _READY.search(said):
            return match[1]
        if process.poll() is not None or time.monotonic() > deadline:
            raise Unavailable("demo.start", "The service did not start:\n" + "\n".join(said.splitlines()[-8:]))
        time.sleep(0.1)
