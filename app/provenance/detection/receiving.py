"""Taking one file from a request of a stranger: counted while it streams, before anything of it is kept."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from app.core.errors import Invalid, TooLarge
from app.core.text import one_line

_ENVELOPE = 64 * 1024
"""Bytes that a form may have around its file."""
_FIELD = 32 * 1024


class _Over(Exception):
    """There is more than may come."""


@asynccontextmanager
async def small_form(request: Request, most_bytes: int, fields: int = 1, files: int = 1) -> AsyncIterator[FormData]:
    """A form with few fields and files, all together of at most `most_bytes` besides its headers; closed at the end.

    Files lie in temporary files without names. Raises TooLarge as soon as more comes, and Invalid for what is no form.
    """
    form = await _parsed(request, most_bytes, fields, files)
    try:
        yield form
    finally:
        await form.close()


def file_of(form: FormData, name: str) -> UploadFile | None:
    """The file of a field; None when none was chosen."""
    found = form.get(name)
    return found if isinstance(found, UploadFile) and (found.filename or found.size) else None


async def _parsed(request: Request, most_bytes: int, fields: int, files: int) -> FormData:
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise _no_form("it is no multipart form")
    stream = request.stream()
    parser = MultiPartParser(
        request.headers,
        _counted(stream, most_bytes + _ENVELOPE),
        max_files=files,
        max_fields=fields,
        max_part_size=_FIELD,
    )
    try:
        form = await parser.parse()
    except _Over:
        await _read_away(stream)
        raise too_large(most_bytes) from None
    except MultiPartException as error:
        await _read_away(stream)
        raise _no_form(error.message) from error
    if any(each.size is not None and each.size > most_bytes for each in form.values() if isinstance(each, UploadFile)):
        await form.close()
        raise too_large(most_bytes)
    return form


async def _counted(stream: AsyncGenerator[bytes, None], most: int) -> AsyncGenerator[bytes, None]:
    size = 0
    async for chunk in stream:
        size += len(chunk)
        if size > most:
            raise _Over
        yield chunk


async def _read_away(stream: AsyncGenerator[bytes, None]) -> None:
    """Or the client, which still sends, would never see the answer. The limit of all bodies ends this."""
    async for _ in stream:
        pass


def too_large(most_bytes: int) -> TooLarge:
    """What a file that is too large is answered with."""
    return TooLarge(
        "body.too_large",
        f"The file has more than {most_bytes / 1e6:.1f} MB, the most that can be checked.",
        fix="Cut it to the part in question, or save it as MP3 or FLAC.",
    )


def _no_form(why: str) -> Invalid:
    return Invalid("upload.form", f"The form can't be read: {one_line(why, 200).rstrip('.')}.")
