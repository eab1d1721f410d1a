"""Keeps a few processes running: streams their logs, restarts what dies, stops all in order.

One thread, one loop. Time limits of an orderly stop are each part's `grace`; after it the part is killed.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from app.cli.processes import Guard

TICK = 0.1  # seconds between looks at the processes
FIRST_REST, LONGEST_REST = 0.5, 30.0  # seconds before a restart: doubled with each death in a row
STEADY_AFTER = 30.0  # seconds of life after which earlier deaths are forgotten
DEATHS_AT_START = 3  # in a row, before the service was ever ready: then something is wrong that no restart mends
LONGEST_LINE = 64 * 1024


@dataclass
class Part:
    """One program of the service, and its present process."""

    name: str
    command: Sequence[str]
    grace: float
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    deaths: int = 0
    due: float = 0.0
    """When to start it (again)."""
    rest: bytes = field(default=b"", repr=False)
    """A line of log that has not ended yet."""


class Supervisor:
    """Runs `parts`; they are started in the order given and stopped in the reverse order."""

    def __init__(self, parts: Sequence[Part], guard: Guard, *, prefix: bool) -> None:
        self._parts = parts
        self._guard = guard
        self._prefix = prefix
        self._stops = 0
        self._ready = False
        self._selector = selectors.DefaultSelector()

    def run(self, ready: Callable[[], bool], announce: Callable[[], None]) -> int:
        """Start everything and stay until SIGINT, SIGTERM or SIGHUP; gives the exit code.

        `ready` is asked until it is true, then `announce` is called once.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask_to_stop)
        hopeless = None
        while not self._stops and hopeless is None:
            self._start_due()
            self._stream(TICK)
            hopeless = self._notice_deaths()
            if not self._ready and ready():
                self._ready = True
                announce()
        if hopeless is not None:
            self._say(f"{hopeless.name} died {hopeless.deaths} times and can't start; its last lines above say why")
        self._stop_all()
        return 0 if hopeless is None else 1

    def _ask_to_stop(self, _number: int, _frame: object) -> None:
        self._stops += 1

    def _start_due(self) -> None:
        for part in self._parts:
            if part.process is None and time.monotonic() >= part.due:
                self._start(part)

    def _start(self, part: Part) -> None:
        read_end, write_end = os.pipe()
        os.set_blocking(read_end, False)
        try:
            part.process = self._guard.start(part.command, write_end)
        finally:
            os.close(write_end)
        part.started = time.monotonic()
        self._selector.register(read_end, selectors.EVENT_READ, part)

    def _notice_deaths(self) -> Part | None:
        """Plan the restart of what died; gives a part for which there is no hope."""
        for part in self._parts:
            if part.process is None or part.process.poll() is None:
                continue
            reason = _reason(part.process.returncode)
            self._bury(part)
            lived = time.monotonic() - part.started
            part.deaths = 1 if lived > STEADY_AFTER else part.deaths + 1
            if not self._ready and part.deaths >= DEATHS_AT_START:
                return part
            rest = min(FIRST_REST * 2 ** (part.deaths - 1), LONGEST_REST)
            part.due = time.monotonic() + rest
            self._say(f"{part.name} {reason} after {lived:.0f} s; starting it again in {rest:g} s")
        return None

    def _bury(self, part: Part) -> None:
        """Kill what is left of a part's processes and read the end of their log."""
        assert part.process is not None  # callers look first
        self._guard.bury(part.process)
        part.process = None
        for key in list(self._selector.get_map().values()):
            if key.data is part:
                while self._read(key):
                    pass

    def _stop_all(self) -> None:
        self._say("stopping")
        for part in reversed(self._parts):
            if part.process is None:
                continue
            _ask_to_end(part.process)
            deadline, asked = time.monotonic() + part.grace, self._stops
            while part.process.poll() is None and time.monotonic() < deadline and self._stops == asked:
                self._stream(TICK)
            if part.process.poll() is None:
                self._say(f"{part.name} has not ended within {part.grace:g} s; killing it")
            self._bury(part)
        self._say("stopped")

    def _stream(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            self._read(key)

    def _read(self, key: selectors.SelectorKey) -> bool:
        """Pass on one piece of log; gives whether there may be more."""
        part: Part = key.data
        try:
            data = os.read(key.fd, LONGEST_LINE)
        except BlockingIOError:
            return False
        *lines, part.rest = (part.rest + data).split(b"\n")
        if not data or len(part.rest) > LONGEST_LINE:
            lines, part.rest = [*lines, part.rest], b""
        for line in lines:
            if line.strip():
                self._log(part.name, line.decode(errors="replace"))
        if not data:
            self._selector.unregister(key.fd)
            os.close(key.fd)
        return bool(data)

    def _say(self, text: str) -> None:
        self._log("up", text)

    def _log(self, name: str, line: str) -> None:
        """One line on stderr. JSON lines stay as they are: they name their process themselves."""
        try:
            sys.stderr.write(f"{name:7} | {line}\n" if self._prefix or name == "up" else f"{line}\n")
            sys.stderr.flush()
        except OSError:  # whoever read our log is gone; the service goes on
            sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - stays open to the end


def _ask_to_end(process: subprocess.Popen[bytes]) -> None:
    """Ask a part to end. Only its first process is asked: it knows how to end its own children."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)


def _reason(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
