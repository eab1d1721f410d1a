"""Sending a stored object over HTTP: streamed, whole or one range of it, with an entity tag.

It knows nothing of what the object is or who may have it: that is for the two packages that call it,
`app.provenance.sending` (clips, by their stamp) and `app.voices.recordings` (what people uploaded).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.core.storage import Storage

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def send_object(
    request: Request,
    storage: Storage,
    key: str,
    *,
    mime: str,
    file_name: str,
    etag: str,
    download: bool = False,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The object as an answer: 200, 206 for a single range, 304 when the client has it, 416 outside of it.

    `file_name` must be plain ASCII; `download` has browsers save it instead of playing it. Several ranges at once are
    answered with the whole object. Blocks while the storage answers, so call it from a thread. Raises NotFound.
    """
    tag = f'"{etag}"'
    sent = {
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=0, must-revalidate",
        "Content-Disposition": f'{"attachment" if download else "inline"}; filename="{file_name}"',
        **(headers or {}),
    }
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=sent)
    size = storage.size(key)
    wanted = _range(request, tag, size)
    if wanted is None:
        sent["Content-Length"] = str(size)
        return StreamingResponse(storage.stream(key), media_type=mime, headers=sent)
    first, last = wanted
    if not first < last:
        return Response(status_code=416, headers=sent | {"Content-Range": f"bytes */{size}"})
    sent |= {"Content-Length": str(last - first), "Content-Range": f"bytes {first}-{last - 1}/{size}"}
    return StreamingResponse(storage.stream(key, first, last), 206, media_type=mime, headers=sent)


def _range(request: Request, tag: str, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last; None for the whole object (RFC 9110, 14.2)."""
    found = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if found is None or request.headers.get("if-range", tag) != tag:
        return None
    first, last = found.groups()
    if not first and not last:
        return None
    if not first:
        return max(size - int(last), 0), size
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last) + 1, size) if last else size
