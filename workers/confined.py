"""Child processes for strangers' files: both sides of the fence.

The parent starts one of our own modules with the file as its stdin, without a name, without our environment, and with a
limit of time. The child imports and warms up what it needs, then calls `lock`: from there on it can open no file, no
socket and no pipe, start no process, and use only so much memory, processor time and disk. What a hostile file can do
there ends with that process.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

_PACKAGES = str(Path(__file__).resolve().parents[1])


def run(
    module: str,
    order: Mapping[str, Any],
    source: IO[bytes],
    answer: IO[bytes],
    *,
    seconds: float,
    pass_fds: tuple[int, ...] = (),
) -> bool:
    """Run `module` to its end with `order` as JSON in its first argument; gives whether it ended well and in time.

    It reads the open file `source` as stdin and writes to the open file `answer`.
    """
    command = [sys.executable, "-P", "-m", module, json.dumps(order)]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module; the file arrives as stdin, without a name
            command,
            stdin=source,
            stdout=answer,
            stderr=subprocess.DEVNULL,
            pass_fds=pass_fds,
            cwd="/",
            env={"PYTHONPATH": _PACKAGES, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def lock(*, memory_bytes: int, cpu_seconds: int, written_bytes: int) -> None:
    """Confine this process for good: no new descriptor, no process, bounded memory (addresses), time and output."""
    for what, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, written_bytes),
        (resource.RLIMIT_NOFILE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
