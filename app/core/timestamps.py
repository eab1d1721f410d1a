"""Time stamps by an RFC 3161 authority: that some bytes existed at a moment, said by somebody who is not us.

The authority sees a SHA-256 digest and nothing else. What it answers is kept whole (DER of a TimeStampResp), so that
`openssl ts -verify -in FILE` reads it as well.
"""

from __future__ import annotations

import hashlib
import threading
from datetime import datetime

import httpx2
from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from app.core.errors import Unavailable

SECONDS = 10.0
"""Longest that an authority is waited for, from the first byte sent to the last one received."""
_SILENCE_SECONDS = 5.0
_LONGEST_ANSWER = 64 * 1024  # bytes; real ones have 1 to 8 KiB
_GRANTED = 0


class NotStamped(Unavailable):
    """The authority gave no time stamp, or one that is not of what was asked."""


def token(url: str, data: bytes, seconds: float = SECONDS) -> bytes:
    """A time stamp of `data` from the authority at `url`, as `check` reads it. Only SHA-256 of `data` is sent.

    Nonce and digest of the answer are compared with the question; its signature is not, for that needs the
    authority's certificate: see `check`. Raises NotStamped, after at most about `seconds`.
    """
    asked = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256).build()
    answer = _answer(url, asked.as_bytes(), seconds)
    stamped = _parsed(answer)
    if stamped.tst_info.nonce != asked.nonce or stamped.tst_info.message_imprint.message != _digest(data):
        raise _failed("it answered another question than ours")
    return answer


def check(token: bytes, data: bytes, anchors_pem: str) -> datetime:
    """When `data` was stamped, by an authority whose root certificate is in `anchors_pem` (PEM, one after another).

    Certificates are judged as of that moment, so an old stamp stays good. Raises NotStamped.
    """
    try:
        roots = x509.load_pem_x509_certificates(anchors_pem.encode())
        stamped = _parsed(token)
        # Certificates that come with the stamp stay out of `intermediates`: the library trusts whatever is in there.
        VerifierBuilder(roots=roots).build().verify(stamped, _digest(data))
    except (VerificationError, ValueError) as error:
        raise _failed(f"it can't be believed: {error}") from error
    return stamped.tst_info.gen_time


def said(token: bytes) -> datetime:
    """The moment that a time stamp names, whoever signed it. Raises NotStamped."""
    return _parsed(token).tst_info.gen_time


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _parsed(answer: bytes) -> TimeStampResponse:
    try:
        stamped = decode_timestamp_response(answer)
        if stamped.status != _GRANTED:
            raise _failed(f"it refused: {'; '.join(stamped.status_string) or f'status {stamped.status}'}")
        stamped.tst_info  # noqa: B018 - parsed late: an answer without a token fails here
    except ValueError as error:
        raise _failed("its answer is no time stamp") from error
    return stamped


def _answer(url: str, question: bytes, seconds: float) -> bytes:
    """What the authority answers, in a thread: names, connecting and headers have no limit of time in the library."""
    outcome: list[bytes | NotStamped] = []
    client = httpx2.Client(timeout=min(_SILENCE_SECONDS, seconds), follow_redirects=False)

    def ask() -> None:
        try:
            outcome.append(_received(client, url, question))
        except NotStamped as error:
            outcome.append(error)

    thread = threading.Thread(target=ask, name="time stamp", daemon=True)
    thread.start()
    thread.join(seconds)
    client.close()  # one that still waits finds its connection closed, and ends
    answer = outcome[0] if outcome else _failed("it is too slow")
    if isinstance(answer, NotStamped):
        raise answer
    return answer


def _received(client: httpx2.Client, url: str, question: bytes) -> bytes:
    headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
    received = b""
    try:
        with client.stream("POST", url, content=question, headers=headers) as reply:
            if reply.status_code != 200:
                raise _failed(f"it answered with status {reply.status_code}")
            for piece in reply.iter_raw():
                received += piece
                if len(received) > _LONGEST_ANSWER:
                    raise _failed("its answer is too long")
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError, RuntimeError) as error:
        raise _failed(f"it can't be reached: {error or type(error).__name__}") from error
    return received


def _failed(why: str) -> NotStamped:
    return NotStamped(
        "timestamp.failed",
        f"The time-stamp authority gave no time stamp: {why}.",
        fix="Correct VOUCH_PROVENANCE__TIMESTAMP_URL, or wait until the authority is back.",
    )
