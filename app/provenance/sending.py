"""The audio of a clip over HTTP. It takes a `Delivery`, which only a stamp gives: there is no other way to send one."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from app.core.sending import send_object
from app.core.storage import Storage
from app.provenance.delivery import Delivery


def send(
    request: Request,
    storage: Storage,
    delivery: Delivery,
    *,
    download: bool = False,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer that carries a stamped clip; see `send_object` for ranges and entity tags. Call it from a thread."""
    return send_object(
        request,
        storage,
        delivery.storage_key,
        mime=delivery.mime,
        file_name=delivery.file_name,
        etag=delivery.sha256,
        download=download,
        headers=headers,
    )
