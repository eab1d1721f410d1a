"""The child process of `workers.credentials`: reads a stranger's file, confined, or signs one of ours within a time.

`read`: the file is stdin, the certificates come through a descriptor, the reading goes to stdout as JSON.
`sign`: audio is stdin, order and key come through a descriptor, the signed file goes to stdout. This one is not
confined: it has to reach the time-stamp authority. It is a process because the library waits for one without limit.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from datetime import datetime
from typing import Any

from workers import confined
from workers.marks import credentials
from workers.marks.certificates import Authority, Signer, silence

MEMORY_BYTES = 1024**3
CPU_SECONDS = 10
LONGEST_ANSWER = 1 << 20
_WARM_UP = credentials.Claim("warm-up", "", "", datetime.fromisoformat("2026-01-01T00:00:00+00:00"))


def main() -> None:
    """Do what the JSON in the first argument says; exit code 0 with an answer."""
    order = json.loads(sys.argv[1])
    with os.fdopen(order["fd"], "rb") as file:
        more = json.loads(file.read())
    if order["do"] == "sign":
        sys.stdout.buffer.write(_sign(more))
    else:
        json.dump(_read(order["mime"], more), sys.stdout)


def _read(mime: str, known: dict[str, Any]) -> dict[str, Any]:
    _warm_up()
    confined.lock(memory_bytes=MEMORY_BYTES, cpu_seconds=CPU_SECONDS, written_bytes=LONGEST_ANSWER)
    data = sys.stdin.buffer.read(credentials.MANIFEST_LIMIT + 1)
    reading = asdict(credentials.read(data, mime, known["anchors"], known["own"]))
    return reading | {"signed_at": reading["signed_at"].isoformat() if reading["signed_at"] else None}


def _warm_up() -> None:
    """Sign and read silence, so that whatever the library opens late is opened before nothing can be."""
    authority = Authority.create("warm-up")
    signed = credentials.sign(silence(), "audio/wav", _WARM_UP, authority.signer)
    credentials.read(signed, "audio/wav", authority.anchor_pem)


def _sign(order: dict[str, Any]) -> bytes:
    said = order["claim"]
    claim = credentials.Claim(**{**said, "created_at": datetime.fromisoformat(said["created_at"])})
    return credentials.sign(
        sys.stdin.buffer.read(), order["mime"], claim, Signer(**order["signer"]), order["timestamp_url"]
    )


if __name__ == "__main__":
    main()
