"""The one hierarchy of errors that a person or a program may be shown.

Services raise these; `app.core.rendering` turns them into the body that the route's clients expect. Nothing here
knows of HTTP beyond the number of the status.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any, ClassVar

# EFBIG is a file size limit or quota: to the person it is the same as a full disk.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


class DomainError(Exception):
    """Something that can't be done, said in plain words.

    `code` is stable and meant for programs ("voice.not_found"); `message` is a sentence for the person; `rule` is the
    id of the policy rule that refused; `fix` says what would make it pass; `facts` are the numbers behind it and are
    kept for the record and the logs, never put in an answer.
    """

    status: ClassVar[int] = 400

    def __init__(
        self,
        code: str,
        message: str,
        *,
        rule: str | None = None,
        fix: str | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.rule = rule
        self.fix = fix
        self.facts: dict[str, Any] = dict(facts or {})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.code!r}, {self.message!r})"


class NotFound(DomainError):
    """There is no such thing, or it is not this person's to see."""

    status = 404


class Invalid(DomainError):
    """What was sent can't be used."""

    status = 422


class Unauthenticated(DomainError):
    """Nobody is signed in, or the key is not a valid one."""

    status = 401


class Forbidden(DomainError):
    """This person may not do that."""

    status = 403


class Refused(DomainError):
    """A policy rule says no. Always 403: official clients retry 408, 409, 429 and 5xx, and a retry can't help."""

    status = 403

    def __init__(self, code: str, message: str, *, rule: str, fix: str, facts: Mapping[str, Any] | None = None) -> None:
        super().__init__(code, message, rule=rule, fix=fix, facts=facts)


class Conflict(DomainError):
    """The object has moved on since the page was drawn. For Vouch's own pages only: API clients retry 409."""

    status = 409


class TooLarge(DomainError):
    """More bytes than the limit."""

    status = 413


class RateLimited(DomainError):
    """Too many requests; `retry_after` is in seconds and becomes the Retry-After header."""

    status = 429

    def __init__(self, code: str, message: str, *, retry_after: int, fix: str | None = None) -> None:
        super().__init__(code, message, fix=fix, facts={"retry_after": retry_after})
        self.retry_after = retry_after


class StorageFull(DomainError):
    """The disk or the bucket is full."""

    status = 507


class Unavailable(DomainError):
    """A part that is needed does not work at the moment."""

    status = 503


class StillWorking(DomainError):
    """The job goes on, but the request can't wait longer for it."""

    status = 504


def disk_full() -> StorageFull:
    """What every full disk is reported as."""
    return StorageFull(
        "storage.full",
        "The server's disk is full, so nothing was saved.",
        fix="Ask the operator to free some space, then try again.",
    )


def read_only() -> Unavailable:
    """What every directory or database that can't be written is reported as."""
    return Unavailable(
        "storage.read_only",
        "The server can't write to its data directory, so nothing was saved.",
        fix="Ask the operator to make the data directory writable, then try again.",
    )


def disk_failed() -> Unavailable:
    """What a database that can't use its disk is reported as, when the reason is not known."""
    return Unavailable(
        "storage.disk_failed",
        "The server can't use its disk at the moment, so nothing was saved.",
        fix="Ask the operator to look at the disk and its quota, then try again.",
    )


def database_away() -> Unavailable:
    """What a database that can't be reached, or is too busy to answer in time, is reported as."""
    return Unavailable(
        "database.unavailable",
        "The server can't use its database at the moment.",
        fix="Try again in a minute; if it stays so, tell the operator.",
    )


def from_errno(number: int | None) -> DomainError | None:
    """The plain words for an error number of the operating system about room or permission to write; else None."""
    if number in _FULL:
        return disk_full()
    return read_only() if number in _READ_ONLY else None
