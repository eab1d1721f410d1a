"""Where the payment provider tells of changes. What it says is only written down here; errands do what follows."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from app.billing import incoming
from app.billing.gateway import Gateway, gateway_of
from app.core.errors import DomainError, Invalid, NotFound, TooLarge
from app.core.services import Services, services_of

router = APIRouter(include_in_schema=False)
MAX_BODY = 256 * 1024
"""Bytes; the provider's events are a few thousand."""


@router.post("/webhooks/stripe")
async def stripe_event(
    request: Request,
    services: Annotated[Services, Depends(services_of)],
    gateway: Annotated[Gateway | None, Depends(gateway_of)],
) -> Response:
    """Take an event whose signature is right, and answer at once with an empty body."""
    if gateway is None:
        raise NotFound("not_found", "There is nothing at this address.")
    body = await _bounded(request)
    signature = request.headers.get("stripe-signature", "")
    await run_in_threadpool(_write_down, services, gateway, body, signature)
    return Response(status_code=200)


async def _bounded(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise TooLarge("webhook.too_large", "This is larger than any event.")
    return bytes(body)


def _write_down(services: Services, gateway: Gateway, body: bytes, signature: str) -> None:
    try:
        event = gateway.read_event(body, signature)
    except Invalid as error:
        raise DomainError(error.code, error.message) from error  # 400 is what the provider's dashboard understands
    with services.databases.writing() as session:
        incoming.write_down(session, event)
