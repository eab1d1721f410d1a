"""A real `vouch up` in a directory of its own, for tests."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from app.cli.processes import descendants

START_SECONDS = 60.0
STOP_SECONDS = 30.0
_READY = re.compile(r"ready: open (http://\S+)")


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true value of `condition`; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)
    return found


def alive(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def environment(data: Path, **settings: str) -> dict[str, str]:
    """Settings of a service with the fake engine and quick leases."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("VOUCH_")},
        "VOUCH_DATA_DIR": str(data),
        "VOUCH_SPEECH__ENGINE": "fake",
        "VOUCH_JOBS__LEASE": "PT3S",
        "VOUCH_JOBS__SWEEP_EVERY": "PT1S",
        "VOUCH_JOBS__RING_AGAIN_AFTER": "PT2S",
        **settings,
    }


def vouch(environment: dict[str, str], *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run `vouch ...` to its end."""
    command = [sys.executable, "-m", "app.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)


class Service:
    """A `vouch up` that is starting or running."""

    def __init__(self, data: Path, **settings: str) -> None:
        self.data = data
        self.environment = environment(data, **settings)
        self._log = data.with_suffix(".log")
        with self._log.open("ab") as log:
            self._begins = log.tell()
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "up", "--port", "0"],
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self._log.read_bytes()[self._begins :].decode(errors="replace")

    def address(self) -> str:
        """Where it serves, once it is ready."""

        def found() -> str | None:
            assert self.process.poll() is None, f"it ended:\n{self.log}"
            match = _READY.search(self.log)
            return match[1] if match else None

        return str(until(found, START_SECONDS, f"ready; log:\n{self.log}"))

    def ready(self) -> dict[str, Any]:
        """The answer of /readyz."""
        with urllib.request.urlopen(f"{self.address()}/readyz", timeout=10) as answer:
            body: dict[str, Any] = json.load(answer)
            return body

    def processes(self, word: str = "") -> list[int]:
        """Process ids below it whose command line has `word`, parents before children."""
        return sorted(memory.pid for memory in descendants(self.process.pid) if word in memory.command)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; gives the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


@contextlib.contextmanager
def running(data: Path, **settings: str) -> Iterator[Service]:
    """A service that is ready; stopped at the end of the block."""
    service = Service(data, **settings)
    try:
        service.address()
        yield service
    finally:
        service.stop()
