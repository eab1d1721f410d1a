"""Content credentials as the service uses them: strangers' files are read in confinement, and no time-stamp authority
holds up a clip.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from datetime import datetime
from typing import IO, Any

import structlog

from workers import confined
from workers.marks import credentials
from workers.marks.certificates import Signer
from workers.marks.credentials import Claim, CredentialReading

READ_SECONDS = 20.0
SIGN_SECONDS = 8.0
"""Longest that signing with a time stamp takes; then the clip is signed without one."""
REST_SECONDS = 60.0
"""After a failure the authority is left alone this long: clips don't wait for one that is down."""
_CHILD = "workers.credentials_child"

log = structlog.get_logger(__name__)
_resting: dict[str, float] = {}


def read_confined(
    source: bytes | IO[bytes], mime: str | None, anchors_pem: str, own_chains: Sequence[str] = ()
) -> CredentialReading:
    """As `workers.marks.credentials.read`, for bytes or an open file of a stranger, in a confined process.

    `mime` None means: by the first bytes. A file that crashes the parser, or takes more than 1 GiB, 10 s of processor
    time or 20 s in all, is "invalid" if there are credentials in it, else "none".
    """
    with _opened(source) as file:
        fd = file.fileno()
        if mime is None:
            mime = credentials.mime_of(os.pread(fd, 16, 0))
        size = os.fstat(fd).st_size
        if mime not in credentials.MIME_TYPES or not 0 < size <= credentials.MANIFEST_LIMIT:
            return CredentialReading("none")
        # The child reads the descriptor, past this process's buffer, which must not notice.
        before = os.lseek(fd, 0, os.SEEK_CUR)
        os.lseek(fd, 0, os.SEEK_SET)
        known = {"anchors": anchors_pem, "own": [*own_chains]}
        answer = _asked({"do": "read", "mime": mime}, known, file, READ_SECONDS)
        os.lseek(fd, before, os.SEEK_SET)
        if answer is None:
            return credentials.unreadable(os.pread(fd, size, 0), "it takes too much memory or time to parse")
    return _reading(json.loads(answer))


def sign(audio: bytes, mime: str, claim: Claim, signer: Signer, timestamp_url: str) -> tuple[bytes, bool]:
    """The signed file, and whether an authority stated its time.

    Without an authority, or when it does not answer within SIGN_SECONDS, the file is signed without a time stamp.
    Raises CredentialError when it can't be signed at all.
    """
    if timestamp_url and time.monotonic() >= _resting.get(timestamp_url, 0.0):
        signed = _signed_with_time(audio, mime, claim, signer, timestamp_url)
        if signed is not None:
            return signed, True
        _resting[timestamp_url] = time.monotonic() + REST_SECONDS
        log.warning("credentials.no_time_stamp", authority=timestamp_url, generation_ref=claim.generation_ref)
    return credentials.sign(audio, mime, claim, signer), False


def _signed_with_time(audio: bytes, mime: str, claim: Claim, signer: Signer, url: str) -> bytes | None:
    said = asdict(claim) | {"created_at": claim.created_at.isoformat()}
    order = {"mime": mime, "claim": said, "signer": asdict(signer), "timestamp_url": url}
    with _opened(audio) as file:
        return _asked({"do": "sign"}, order, file, SIGN_SECONDS)


def _asked(order: dict[str, Any], more: dict[str, Any], source: IO[bytes], seconds: float) -> bytes | None:
    """What the child answers; None when it fails. `more` is too long or too secret for a command line."""
    with tempfile.TemporaryFile() as side, tempfile.TemporaryFile() as answer:
        side.write(json.dumps(more).encode())
        side.flush()
        os.lseek(side.fileno(), 0, os.SEEK_SET)
        fd = side.fileno()
        if not confined.run(_CHILD, {**order, "fd": fd}, source, answer, seconds=seconds, pass_fds=(fd,)):
            return None
        answer.seek(0)
        return answer.read()


def _opened(source: bytes | IO[bytes]) -> Any:
    """An open file with a descriptor, its offset at the start. One that was given stays open."""
    if not isinstance(source, bytes):
        source.flush()
        return nullcontext(source)
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    file.write(source)
    file.flush()
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    return file


def _reading(said: dict[str, Any]) -> CredentialReading:
    moment = said["signed_at"]
    return CredentialReading(
        **{
            **said,
            "signed_at": datetime.fromisoformat(moment) if moment else None,
            "problems": tuple(said["problems"]),
        }
    )
