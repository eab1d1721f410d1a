"""Errors to bodies: which shape a client gets follows from the path it called.

ElevenLabs' clients read `{"detail": {...}}`, OpenAI's read `{"error": {...}}`, everything of our own is RFC 9457
problem+json, and people who came with a browser get a page.
"""

from __future__ import annotations

import http
import sqlite3
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

import psycopg.errors
import structlog
from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import (
    DomainError,
    RateLimited,
    database_away,
    disk_failed,
    disk_full,
    from_errno,
    read_only,
)

PageRenderer = Callable[[Request, DomainError], Response]

_log = structlog.get_logger("vouch.errors")
_OPENAI = ("/v1/audio",)
_OWN_API = ("/v1/moderation", "/v1/trace", "/v1/detect", "/v1/keys", "/v1/ledger")
_PROBES = ("/healthz", "/readyz", "/metrics")
_COMPATIBLE = ("/v1", "/v2")
_QUOTA = "quota_exceeded"  # ElevenLabs says this with 401, and clients look for the two together
_SQLITE_READ_ONLY = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}


class Shape(StrEnum):
    """The bodies that an error can take."""

    ELEVENLABS = "elevenlabs"
    OPENAI = "openai"
    PROBLEM = "problem"
    PAGE = "page"


class HttpError(DomainError):
    """An error of the web framework, such as an unknown address, with the status that it chose."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code, message)
        self.status = status  # type: ignore[misc]  # the framework's choice, not this class's


class UnexpectedErrors:
    """Innermost middleware: whatever no handler knew becomes a 500 with a request id, and its trace goes to the log."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except ClientDisconnect:
            return  # nobody is left to answer
        except Exception as error:
            if started:  # too late for another answer: the server must break the connection
                raise
            await _unexpected(Request(scope), error)(scope, receive, send)


def install_error_rendering(app: FastAPI, page_renderer: PageRenderer | None = None) -> None:
    """Answer every error of `app` in the shape that its path asks for. Call it before any other `add_middleware`.

    `page_renderer(request, error)` draws the page for people; it must set the status to `error.status`. Without it,
    people get problem+json as well.
    """
    app.state.page_renderer = page_renderer
    app.add_exception_handler(DomainError, _domain_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_middleware(UnexpectedErrors)


def shape_of(request: Request) -> Shape:
    """The body that the caller of this path can read."""
    path = request.url.path
    if _under(path, _OPENAI):
        return Shape.OPENAI
    if _under(path, _OWN_API) or _under(path, _PROBES):
        return Shape.PROBLEM
    if _under(path, _COMPATIBLE):
        return Shape.ELEVENLABS
    wants_page = "text/html" in request.headers.get("accept", "")
    return Shape.PAGE if wants_page and _page_renderer(request) else Shape.PROBLEM


def error_response(request: Request, error: DomainError) -> Response:
    """The answer that says `error`, in the shape that the path asks for."""
    shape = shape_of(request)
    renderer = _page_renderer(request)
    if shape is Shape.PAGE and renderer is not None:
        response = renderer(request, error)
    elif shape is Shape.OPENAI:
        response = JSONResponse(_openai_body(error), error.status)
    elif shape is Shape.ELEVENLABS:
        response = JSONResponse(_elevenlabs_body(error), 401 if error.code == _QUOTA else error.status)
    else:
        response = _problem(error)
    if isinstance(error, RateLimited):
        response.headers["Retry-After"] = str(error.retry_after)
    if response.status_code == 401 and shape is not Shape.PAGE:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def as_domain_error(error: BaseException) -> DomainError | None:
    """The plain words for what is wrong with disk, database or a value, found along the causes; else None."""
    for cause in _causes(error):
        if isinstance(cause, DomainError):
            return cause
        if isinstance(cause, DBAPIError) and cause.orig is not None:
            cause = cause.orig
        known = _known_failure(cause)
        if known is not None:
            return known
    return None


def _known_failure(error: BaseException) -> DomainError | None:
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # extended codes keep the primary one in the low byte
        if code == sqlite3.SQLITE_FULL or "database or disk is full" in str(error):
            return disk_full()
        if code == sqlite3.SQLITE_IOERR:  # a quota or a failing disk, which SQLite doesn't tell apart
            return disk_failed()
        if code == sqlite3.SQLITE_BUSY:  # others kept the write lock for longer than SQLITE_BUSY_SECONDS
            return database_away()
        return read_only() if code in _SQLITE_READ_ONLY else None
    if isinstance(error, psycopg.errors.DiskFull):
        return disk_full()
    if isinstance(error, psycopg.OperationalError | PoolTimeout):
        return database_away()
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return read_only()
    if isinstance(error, psycopg.DataError):  # a NUL in an address or a form field, say: nothing can have that name
        return HttpError(422, "request.invalid", "What was sent has characters or numbers that can’t be kept.")
    return from_errno(error.errno) if isinstance(error, OSError) else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _domain_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DomainError)
    if error.facts:
        _log.info("refused", code=error.code, rule=error.rule, facts=error.facts)
    return error_response(request, error)


def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    shape = shape_of(request)
    # What was sent is not sent back: it may hold a password, and it may be as long as the limit.
    details = jsonable_encoder([{key: item[key] for key in ("loc", "msg", "type")} for item in error.errors()])
    if shape is Shape.ELEVENLABS:
        return JSONResponse({"detail": details}, 422)
    if shape is Shape.PAGE:
        return error_response(request, _unreadable_form(details))
    said = HttpError(422, "request.invalid", "; ".join(f"{_place(item)}: {item['msg']}" for item in details))
    return _problem(said, errors=details) if shape is Shape.PROBLEM else error_response(request, said)


def _unreadable_form(details: list[dict[str, Any]]) -> DomainError:
    """What people are told: the framework's words are for programs."""
    if any(item["loc"][0] == "path" for item in details):
        return HttpError(404, "not_found", "There is nothing at this address.")
    return HttpError(
        422,
        "request.invalid",
        "Part of what was sent is missing, too long or not what it should be, so nothing was done. "
        "Go back, check what you filled in, and send it again.",
    )


def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code in (204, 304):
        return Response(status_code=error.status_code, headers=error.headers)
    known = as_domain_error(error)  # a form that found no room on the disk while it was read
    if known is not None:
        _log.error("storage failed", code=known.code, exc_info=error)
        return error_response(request, known)
    code = {400: "request.unreadable", 404: "not_found", 405: "method_not_allowed", 413: "body.too_large"}.get(
        error.status_code
    )
    sentence = {
        400: "What was sent could not be read. Please send it again.",
        404: "There is nothing at this address.",
        405: "This address does not take that method.",
    }.get(error.status_code, str(error.detail))
    said = HttpError(error.status_code, code or f"http.{error.status_code}", sentence)
    response = error_response(request, said)
    response.headers.update(error.headers or {})
    return response


def _unexpected(request: Request, error: Exception) -> Response:
    known = as_domain_error(error)
    if known is not None:
        _log.error("storage failed", code=known.code, exc_info=error)
        return error_response(request, known)
    _log.error("unexpected error", exc_info=error)
    said = HttpError(
        500,
        "internal_error",
        "Something went wrong on our side. "
        f"If it happens again, tell the operator this request id: {_request_id(request)}.",
    )
    try:
        return error_response(request, said)
    except Exception as page_error:  # the page itself may be what is broken
        _log.error("error page failed", exc_info=page_error)
        return _problem(said)


def _elevenlabs_body(error: DomainError) -> dict[str, Any]:
    return {"detail": {"status": error.code, "message": error.message, **_extras(error)}}


def _openai_body(error: DomainError) -> dict[str, Any]:
    kind = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}.get(error.status)
    kind = kind or ("server_error" if error.status >= 500 else "invalid_request_error")
    message = f"{error.message} {error.fix}" if error.fix else error.message
    return {"error": {"message": message, "type": kind, "code": error.code, "param": None}}


def _problem(error: DomainError, **members: object) -> JSONResponse:
    body = {
        "type": "about:blank",
        "title": http.HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.message,
        "code": error.code,
        **_extras(error),
        **members,
    }
    return JSONResponse(body, error.status, media_type="application/problem+json")


def _extras(error: DomainError) -> dict[str, str]:
    return {name: said for name, said in (("rule", error.rule), ("fix", error.fix)) if said}


def _place(item: dict[str, Any]) -> str:
    return ".".join(str(part) for part in item["loc"] if part != "body") or "body"


def _under(path: str, prefixes: tuple[str, ...]) -> bool:
    return any(path == prefix or path.startswith(prefix + "/") for prefix in prefixes)


def _page_renderer(request: Request) -> PageRenderer | None:
    application = request.scope.get("app")
    return getattr(application.state, "page_renderer", None) if application else None


def _request_id(request: Request) -> str:
    return str(request.scope.get("state", {}).get("request_id", "unknown"))
