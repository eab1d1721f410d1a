"""Starting processes that can't outlive us, and looking at how much memory they use."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_GUARDIAN = str(Path(__file__).with_name("guardian.py"))


class Guard:
    """Starts processes in groups of their own; see guardian.py for what happens to them when we die.

    `keep_open` are descriptors that stay open until the last of those processes is gone, such as a lock.
    """

    def __init__(self, keep_open: Collection[int] = ()) -> None:
        self._keep_open = tuple(keep_open)
        self._groups: set[int] = set()
        self._guardian = self._start_guardian()

    def start(self, command: Sequence[str], output: int | IO[bytes]) -> subprocess.Popen[bytes]:
        """Start `command`; its stdout and stderr go to `output`."""
        process = subprocess.Popen(  # noqa: S603 - our own programs
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        self._groups.add(process.pid)
        self._tell(f"+{process.pid}\n")
        return process

    def bury(self, process: subprocess.Popen[bytes]) -> None:
        """Kill what is left of the group of a process, and forget it."""
        with contextlib.suppress(ProcessLookupError):  # all of it is gone already
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._groups.discard(process.pid)
        self._tell(f"-{process.pid}\n")

    def close(self) -> None:
        """Let the guardian end; it kills what was not buried."""
        if self._guardian.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._guardian.stdin.close()
        self._guardian.wait()

    def _tell(self, line: str) -> None:
        assert self._guardian.stdin is not None  # opened below
        try:
            self._guardian.stdin.write(line.encode())
            self._guardian.stdin.flush()
        except BrokenPipeError:  # somebody killed the guardian: a new one learns all groups
            self._guardian = self._start_guardian()
            for pid in self._groups:
                self._tell(f"+{pid}\n")

    def _start_guardian(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-I", "-S", _GUARDIAN],
            stdin=subprocess.PIPE,
            start_new_session=True,
            pass_fds=self._keep_open,
        )


@dataclass(frozen=True)
class Memory:
    """One process: its command line, resident memory now and at its highest, in bytes."""

    pid: int
    command: str
    resident: int
    highest: int


def descendants(pid: int) -> list[Memory]:
    """The processes below `pid` with their memory; empty where /proc does not exist."""
    children: dict[int, list[int]] = {}
    status: dict[int, dict[str, str]] = {}
    for path in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            status[int(path.parent.name)] = fields = dict(
                line.split(":", 1) for line in path.read_text().splitlines() if ":" in line
            )
            children.setdefault(int(fields["PPid"]), []).append(int(path.parent.name))
    found, waiting = [], list(children.get(pid, ()))
    while waiting:
        child = waiting.pop()
        waiting += children.get(child, ())
        with contextlib.suppress(OSError, KeyError):
            command = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found.append(Memory(child, command, _bytes(status[child]["VmRSS"]), _bytes(status[child]["VmHWM"])))
    return found


def _bytes(kilobytes: str) -> int:
    return int(kilobytes.split()[0]) * 1024
