"""`/healthz`: the process answers. `/readyz`: so do the parts that it needs. For load balancers and people."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import anyio
import anyio.to_thread
import structlog
from fastapi import APIRouter
from fastapi.responses import JSONResponse

from app.core.errors import DomainError

Check = Callable[[], None]
CHECK_SECONDS = 5.0
_log = structlog.get_logger("vouch.health")


def health_router(checks: Mapping[str, Check], check_seconds: float = CHECK_SECONDS) -> APIRouter:
    """The two routes. Each check, by the name of its part, returns when the part works and raises when it doesn't.

    Checks run side by side in threads; one that takes longer than `check_seconds` counts as not working.
    """
    router = APIRouter(tags=["Health"])

    @router.get("/healthz", summary="Is the process alive?")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @router.get(
        "/readyz",
        summary="Can it serve requests?",
        responses={503: {"description": "A part that is needed does not work; the answer says which."}},
    )
    async def readyz() -> JSONResponse:
        states: dict[str, str] = {}

        async def ask(part: str, check: Check) -> None:
            states[part] = await _state(part, check, check_seconds)

        async with anyio.create_task_group() as group:
            for part, check in checks.items():
                group.start_soon(ask, part, check)
        ready = all(state == "working" for state in states.values())
        body = {"status": "ready" if ready else "not ready", "parts": {part: states[part] for part in checks}}
        return JSONResponse(body, 200 if ready else 503)

    return router


async def _state(part: str, check: Check, seconds: float) -> str:
    try:
        with anyio.fail_after(seconds):
            await anyio.to_thread.run_sync(check, abandon_on_cancel=True)
    except TimeoutError:
        return f"did not answer within {seconds:g} seconds"
    except DomainError as error:
        return error.message
    except Exception as error:
        _log.warning("not ready", part=part, exc_info=error)
        return "not working; the log of this process says why"
    return "working"
