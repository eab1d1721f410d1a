"""Logs and metrics: what operators see of a process.

Every line carries the ids that are bound at the time (request, job), in one format for our own code and the libraries'.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, TextIO
from uuid import uuid4

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.settings import Settings

_SECRET = re.compile(r"(^|_)(password|passwd|secret|api_?key|authorization|token|cookie)s?$")
_MASK = "***"
_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
# The first three write whole addresses, which may hold a token; RequestContext writes the line of each request, by
# route. Alembic writes two lines whenever somebody asks whether the schema is current.
_QUIET = ("uvicorn.access", "httpx", "httpx2", "alembic.runtime.migration")
_log = structlog.get_logger("vouch.http")

HTTP_REQUESTS = Counter("vouch_http_requests_total", "HTTP requests answered.", ["route", "method", "status"])
HTTP_SECONDS = Histogram(
    "vouch_http_request_duration_seconds",
    "From the first byte of a request to the last of its answer.",
    ["route", "method"],
    # up to 200 s: text-to-speech holds its request open while it works
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 200),
)


def configure_logging(settings: Settings, process: str) -> None:
    """Send all logs of this process to stderr, ours and the libraries', as `settings.log_format` says.

    `process` ("web", "worker", ...) is on every line. Start uvicorn with `log_config=None` and Celery with
    `worker_hijack_root_logger=False`, or they put their own handlers back.
    """
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _named(process),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        mask_secrets,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # a later call, as after a fork, must take effect
    )
    handler = _StandardError()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(settings)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "celery", "sqlalchemy"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True


def bind(**ids: object) -> None:
    """Put `ids` (request_id, job_id, ...) on every later line of this task or thread."""
    structlog.contextvars.bind_contextvars(**ids)


def bound(**ids: object) -> AbstractContextManager[None]:
    """Put `ids` on the lines logged inside `with bound(job_id=...):`."""
    return structlog.contextvars.bound_contextvars(**ids)


def mask_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Processor: hide values whose key names a secret, such as password, api_key or cookie, at any depth."""
    return {key: _masked(key, value) for key, value in event.items()}


def metrics() -> Response:
    """Route of `/metrics`: everything that Prometheus collects of this process."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


class RequestContext:
    """Outermost middleware: names each request, answers with the name, counts it, and logs one line about it.

    The name is the caller's `x-request-id` when that has 8 to 64 letters, digits or hyphens. It is at
    `request.state.request_id`, on every log line, and in the answer's `x-request-id` and `request-id`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope).get("x-request-id", ""))
        scope.setdefault("state", {})["request_id"] = request_id
        status = 500  # what the server answers when nothing was sent
        started = time.perf_counter()

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = headers["request-id"] = request_id
            await send(message)

        with bound(request_id=request_id):
            try:
                await self.app(scope, receive, named)
            finally:
                _record(scope, status, time.perf_counter() - started)


def route_template(scope: Scope) -> str:
    """The matched route as it was declared, such as `/v1/voices/{voice_id}`; "unmatched" when there is none."""
    # FastAPI keeps the path with the prefixes of included routers here; `route.path` lacks them.
    included = scope.get("fastapi", {}).get("effective_route_context")
    path = getattr(included, "path_format", None) or getattr(scope.get("route"), "path", None)
    return str(path) if path else "unmatched"


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at the time, so that a redirected or closed one is no trouble."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # a plain attribute in the base class
        return sys.stderr


def _record(scope: Scope, status: int, seconds: float) -> None:
    route = route_template(scope)
    method = scope["method"] if scope["method"] in _METHODS else "OTHER"
    HTTP_REQUESTS.labels(route, method, f"{status // 100}xx").inc()
    HTTP_SECONDS.labels(route, method).observe(seconds)
    _log.info("request", method=method, route=route, status=status, seconds=round(seconds, 4))


def _request_id(offered: str) -> str:
    return offered if _REQUEST_ID.fullmatch(offered) else uuid4().hex


def _named(process: str) -> structlog.types.Processor:
    def add(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["process"] = process
        return event

    return add


def _renderers(settings: Settings) -> list[structlog.types.Processor]:
    if settings.log_format == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    # The plain trace: the pretty one prints local variables, and those hold secrets.
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]


def _masked(key: object, value: Any) -> Any:
    if _SECRET.search(str(key).lower().replace("-", "_")):
        return _MASK
    if isinstance(value, Mapping):
        return {name: _masked(name, inner) for name, inner in value.items()}
    if type(value) in (list, tuple):
        return [_masked("", inner) for inner in value]
    return value
