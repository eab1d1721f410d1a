"""A stranger's upload is counted while it comes: what is over the limit is never written anywhere."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.datastructures import UploadFile
from starlette.requests import Request

from app.core.errors import TooLarge
from app.provenance.detection.receiving import small_form

CHUNK = 64 * 1024
HEAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


def test_what_is_over_the_limit_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    written, write = [0], UploadFile.write

    async def counted(self: UploadFile, data: bytes) -> None:
        written[0] += len(data)
        await write(self, data)

    monkeypatch.setattr(UploadFile, "write", counted)
    left = [HEAD, *[bytes(CHUNK)] * 200]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def take() -> None:
        headers = [(b"content-type", b"multipart/form-data; boundary=x")]
        async with small_form(Request({"type": "http", "headers": headers}, receive), 4 * CHUNK):
            pass

    with (
        pytest.raises(TooLarge),
        ThreadPoolExecutor(1) as thread,
    ):  # a browser test leaves a loop here
        thread.submit(lambda: asyncio.run(take())).result()
    assert written[0] <= 5 * CHUNK
    assert left == [], "the rest is read, or the sender would never see the answer"
