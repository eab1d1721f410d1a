"""The one route about keys: reporting those that were found in public. Everything else needs a signed-in person.

Managing keys by key would let whoever steals a key make more of them, so there is no route for it.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from app.accounts import key_leaks
from app.accounts.identity import address_of
from app.accounts.throttle import network
from app.api.documented import Parts, open_errors
from app.core.errors import Invalid, TooLarge
from app.core.pace import Pace
from app.core.services import Services
from app.core.text import one_line

router = APIRouter(tags=["Keys"])

MOST_BYTES = 64 * 1024
MOST_REPORTS, WITHIN_SECONDS = 30, 60.0


class LeakReport(BaseModel):
    """Where keys were found, and the text that they are in."""

    text: Annotated[
        str | None, Field(description="Any text with keys in it: a file, a log, a page.", examples=["key = vch_..."])
    ] = None
    key: Annotated[str | None, Field(description="Or just the key.")] = None
    source: Annotated[
        str | None, Field(max_length=500, description="Web address where it was found. Moderators see it.")
    ] = None


class LeakAnswer(BaseModel):
    """What was done."""

    disabled: int = Field(description="How many keys worked until now, and no longer do.")


_BODY = {"required": True, "content": {"application/json": {"schema": LeakReport.model_json_schema()}}}


@router.post(
    "/v1/keys/leaked",
    summary="Report a leaked key",
    responses=open_errors(413, 429),
    openapi_extra={"requestBody": _BODY},
)
async def report_leaked_key(request: Request, services: Parts) -> LeakAnswer:
    """Have leaked API keys switched off at once. Needs no key and no account.

    Send the text that you found, up to 64 KiB, or one key. Every working key of this server in it stops working, and
    its owner is told by mail. Keys have the form `vch_` with 38 letters and digits; the last 6 are a checksum (CRC-32
    of all before, in base 62, digits before capitals before small letters), so that a scanner can tell them offline.
    """
    _pace_of(request).take(network(address_of(request)))
    return await run_in_threadpool(_switch_off, services, _parsed(await _body_of(request)))


async def _body_of(request: Request) -> bytes:
    """The body, kept only as far as the limit; the rest is read away, or the client would never see the answer."""
    kept, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MOST_BYTES:
            kept += chunk
    if size > MOST_BYTES:
        raise TooLarge("body.too_large", "A report may have up to 64 KiB.", fix="Send the lines around the key only.")
    return bytes(kept)


def _parsed(body: bytes) -> LeakReport:
    try:
        sent = LeakReport.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in error.errors()]) from None
    if not (sent.text or sent.key):
        raise Invalid("leak.empty", "Send the text that the key was found in as “text”, or the key itself as “key”.")
    return sent


def _switch_off(services: Services, sent: LeakReport) -> LeakAnswer:
    source = _checked(sent.source)
    with services.databases.reading() as session:
        found = key_leaks.known_keys(session, f"{sent.text or ''}\n{sent.key or ''}")
    if not found:  # nearly every report: no lock is taken for it
        return LeakAnswer(disabled=0)
    with services.databases.writing() as session:
        return LeakAnswer(disabled=key_leaks.disable(session, found, source=source, settings=services.settings))


def _pace_of(request: Request) -> Pace:
    state = request.app.state
    if not hasattr(state, "leak_pace"):
        state.leak_pace = Pace(MOST_REPORTS, WITHIN_SECONDS)
    pace: Pace = state.leak_pace
    return pace


def _checked(source: str | None) -> str:
    """The address as it is kept: of a web page, or nothing."""
    source = one_line(source or "", 500)
    try:
        parts = urlsplit(source)
    except ValueError:
        parts = urlsplit("")
    if source and (parts.scheme not in ("http", "https") or not parts.netloc):
        raise Invalid(
            "leak.source", "The source is the web address where it was found, such as https://example.org/page."
        )
    return source
