"""How a request of somebody without an account becomes a detection: the same for the page and for the API."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from app.accounts.identity import address_of
from app.accounts.throttle import network
from app.core.pace import Pace
from app.core.services import Services
from app.core.uploads import IncomingFile, storing
from app.provenance.detection import service
from app.provenance.detection.receiving import file_of, small_form
from app.provenance.detection.service import Asked

_LIMITS = {"ask": (20, 60.0), "look": (300, 60.0), "verify": (30, 60.0)}
"""How many requests of a kind one network may make within how many seconds, in one web process."""


@dataclass(frozen=True)
class _Paces:
    by_kind: dict[str, Pace]


def take_pace(request: Request, kind: str) -> None:
    """Count a request. Raises RateLimited when there were too many from its network."""
    state = request.app.state
    if not hasattr(state, "detection_paces"):
        state.detection_paces = _Paces({name: Pace(most, seconds) for name, (most, seconds) in _LIMITS.items()})
    paces: _Paces = state.detection_paces
    paces.by_kind[kind].take(network(address_of(request)))


async def ask_by_form(request: Request, services: Services) -> Asked:
    """Have the field `file` of a form searched. Whoever may not ask is refused before the file is read.

    Raises NotFound where detection is off, RateLimited, TooLarge, and Invalid for a form without a file.
    """
    take_pace(request, "ask")
    settings = services.settings
    asked_from = service.asker(settings, network(address_of(request)))
    await run_in_threadpool(_refuse, services, asked_from)
    async with small_form(request, settings.provenance.detection_max_bytes) as form:
        file = file_of(form, "file")
        if file is None:
            raise service.no_file()
        return await run_in_threadpool(_ask, services, file, asked_from)


def _refuse(services: Services, asked_from: str) -> None:
    with services.databases.reading() as session:
        service.refuse(session, asked_from, services.settings)


def _ask(services: Services, file: IncomingFile, asked_from: str) -> Asked:
    file.filename = None  # what strangers call their files is not kept, and not told in an error
    with storing(services.storage, [file]) as stored:
        with services.databases.writing() as session:
            asked = service.ask(session, stored.uploads[0], asked_from=asked_from, settings=services.settings)
        if asked.fresh:
            stored.keep()
    return asked
