"""Kills what a supervisor started when the supervisor itself is gone, even by `kill -9`.

Runs as its own small process: `python -I -S guardian.py`. On stdin come lines `+PID` and `-PID`, the leaders of the
process groups that are alive. The end of stdin means that the supervisor has ended, however it did: then every group
that is still noted is killed. Nothing is lost by that: leases and transactions are made for it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

GONE_WITHIN = 5.0  # seconds that the guardian waits to see the killed processes disappear


def watch() -> None:
    """Read stdin to its end, then kill what is left."""
    groups: set[int] = set()
    for line in sys.stdin:
        pid = int(line[1:])
        (groups.add if line[0] == "+" else groups.discard)(pid)
    for pid in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    deadline = time.monotonic() + GONE_WITHIN
    while any(_alive(pid) for pid in groups) and time.monotonic() < deadline:
        time.sleep(0.02)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    watch()
