"""Errors over HTTP: every path answers in the shape that its clients read, and no answer holds a trace."""

from __future__ import annotations

import errno
import logging
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, SecretStr
from sqlalchemy import create_engine, text

from app.core.errors import Conflict, DomainError, NotFound, RateLimited, Refused, Unavailable
from app.core.health import health_router
from app.core.limits import BodyLimit, SameOrigin, SecurityHeaders
from app.core.rendering import install_error_rendering
from app.core.telemetry import RequestContext, configure_logging
from app.settings import Settings
from tests.http_server import serve

LIMIT = 200_000
EVERYWHERE = ("/v1/voices/x", "/v1/audio/x", "/v1/trace/x", "/page/x")
REFUSED = Refused("voice.no_consent", "This voice has no consent.", rule="consent.in_force", fix="Record it.")


class Body(BaseModel):
    name: str
    password: SecretStr = SecretStr("")


def full_sqlite(folder: Path) -> None:
    with create_engine(f"sqlite:///{folder / 'small.db'}").begin() as connection:
        connection.execute(text("PRAGMA max_page_count=3"))
        connection.execute(text("CREATE TABLE t (v BLOB)"))
        connection.execute(text("INSERT INTO t VALUES (zeroblob(1000000))"))


def read_only_sqlite(folder: Path) -> None:
    sqlite3.connect(folder / "ro.db").close()
    (folder / "ro.db").touch()
    connection = sqlite3.connect(f"file:{folder / 'ro.db'}?mode=ro", uri=True)
    try:
        connection.execute("CREATE TABLE t (v)")
    finally:
        connection.close()


def busy_sqlite(folder: Path) -> None:
    engine = create_engine(f"sqlite:///{folder / 'busy.db'}", connect_args={"timeout": 0})
    with engine.connect() as first, engine.connect() as second:
        first.exec_driver_sql("BEGIN IMMEDIATE")
        second.exec_driver_sql("BEGIN IMMEDIATE")


def no_connection_left(folder: Path) -> None:
    engine = create_engine(f"sqlite:///{folder / 'pool.db'}", pool_size=1, max_overflow=0, pool_timeout=0)
    with engine.connect():
        engine.connect()


def no_postgresql(_: Path) -> None:
    with socket.socket() as taken:  # bound and not listening: nothing answers there
        taken.bind(("127.0.0.1", 0))
        create_engine(f"postgresql+psycopg://vouch@127.0.0.1:{taken.getsockname()[1]}/vouch").connect()


DATABASES = {
    "sqlite-full": full_sqlite,
    "sqlite-read-only": read_only_sqlite,
    "sqlite-busy": busy_sqlite,
    "no-connection-left": no_connection_left,
    "no-postgresql": no_postgresql,
}


def application(folder: Path) -> FastAPI:
    app = FastAPI()
    failures: dict[str, Any] = {
        "refused": REFUSED,
        "missing": NotFound("voice.not_found", "There is no such voice."),
        "conflict": Conflict("case.moved_on", "Somebody else decided this case."),
        "busy": RateLimited("speech.busy", "Too many at once.", retry_after=7),
        "bug": RuntimeError("secret detail"),
        "enospc": OSError(errno.ENOSPC, "No space left on device"),
        "erofs": OSError(errno.EROFS, "Read-only file system"),
    }

    def fail(kind: str) -> None:
        if kind in DATABASES:
            DATABASES[kind](folder)
        raise failures[kind]

    async def read(request: Request) -> dict[str, int]:
        return {"bytes": sum([len(chunk) async for chunk in request.stream()])}

    def take(body: Body) -> Body:
        return body

    for base in ("/v1/voices", "/v1/audio", "/v1/trace", "/page"):
        app.get(base + "/fail/{kind}")(fail)
        app.post(base + "/read")(read)
        app.post(base + "/take")(take)

    def page(request: Request, error: DomainError) -> HTMLResponse:
        if error.code == "case.moved_on":
            raise RuntimeError("the template is broken")
        return HTMLResponse(f"<h1>{error.message}</h1>", error.status)

    def broken() -> None:
        raise Unavailable("database.down", "The database does not answer.")

    app.include_router(health_router({"database": broken, "storage": lambda: None}))
    install_error_rendering(app, page)
    app.add_middleware(SameOrigin, public_url="https://vouch.example")
    app.add_middleware(BodyLimit, max_bytes=LIMIT)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RequestContext)
    return app


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    folder = tmp_path_factory.mktemp("errors")
    root = logging.getLogger()
    level = root.level
    configure_logging(Settings(data_dir=folder), "web")  # unset, structlog draws traces for seconds
    with serve(application(folder)) as url, httpx2.Client(base_url=url) as client:
        yield client
    root.handlers.clear()
    root.setLevel(level)
    structlog.reset_defaults()


def test_the_shape_follows_the_path(client: httpx2.Client) -> None:
    answers = {path: client.get(path.replace("x", "fail/refused")) for path in EVERYWHERE}
    assert {answer.status_code for answer in answers.values()} == {403}
    assert answers["/v1/voices/x"].json() == {
        "detail": {
            "status": "voice.no_consent",
            "message": "This voice has no consent.",
            "rule": "consent.in_force",
            "fix": "Record it.",
        }
    }
    assert answers["/v1/audio/x"].json() == {
        "error": {
            "message": "This voice has no consent. Record it.",
            "type": "permission_error",
            "code": "voice.no_consent",
            "param": None,
        }
    }
    problem = answers["/v1/trace/x"]
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["detail"] == "This voice has no consent."
    assert (problem.json()["status"], problem.json()["rule"]) == (403, "consent.in_force")
    assert answers["/page/x"].headers["content-type"] == "application/problem+json"


def test_people_get_a_page_and_programs_never_do(client: httpx2.Client) -> None:
    browser = {"accept": "text/html,*/*"}
    page = client.get("/page/fail/missing", headers=browser)
    assert (page.status_code, page.text) == (404, "<h1>There is no such voice.</h1>")
    assert client.get("/nothing", headers=browser).text == "<h1>There is nothing at this address.</h1>"
    api = client.get("/v1/voices/fail/missing", headers=browser)
    assert api.json()["detail"]["status"] == "voice.not_found"


def test_a_broken_error_page_is_no_dead_end(client: httpx2.Client) -> None:
    answer = client.get("/page/fail/conflict", headers={"accept": "text/html"})
    assert answer.status_code == 500
    assert "request id" in answer.text
    assert "template" not in answer.text


@pytest.mark.parametrize("base", ["/v1/voices", "/v1/audio", "/v1/trace", "/page"])
def test_a_bug_shows_a_request_id_and_nothing_else(client: httpx2.Client, base: str) -> None:
    answer = client.get(f"{base}/fail/bug", headers={"x-request-id": "support-4711"})
    assert answer.status_code == 500
    assert "support-4711" in answer.text
    assert answer.headers["request-id"] == "support-4711"
    assert "secret detail" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("enospc", 507, "storage.full"),
        ("sqlite-full", 507, "storage.full"),
        ("erofs", 503, "storage.read_only"),
        ("sqlite-read-only", 503, "storage.read_only"),
        ("sqlite-busy", 503, "database.unavailable"),
        ("no-connection-left", 503, "database.unavailable"),
        ("no-postgresql", 503, "database.unavailable"),
    ],
)
def test_a_disk_or_database_that_fails_is_said_plainly(
    client: httpx2.Client, kind: str, status: int, code: str
) -> None:
    answer = client.get(f"/v1/voices/fail/{kind}")
    assert (answer.status_code, answer.json()["detail"]["status"]) == (status, code)
    assert "operator" in answer.json()["detail"]["fix"]


def test_wrong_requests_are_listed_without_what_was_sent(client: httpx2.Client) -> None:
    wrong = {"name": 5, "password": ["hunter2"]}
    fields = [["body", "name"], ["body", "password"]]
    compatible = client.post("/v1/voices/take", json=wrong)
    assert compatible.status_code == 422
    assert [item["loc"] for item in compatible.json()["detail"]] == fields
    own = client.post("/v1/trace/take", json=wrong)
    assert own.headers["content-type"] == "application/problem+json"
    assert [item["loc"] for item in own.json()["errors"]] == fields
    openai = client.post("/v1/audio/take", json=wrong)
    assert openai.json()["error"]["type"] == "invalid_request_error"
    assert "name" in openai.json()["error"]["message"]
    assert not any("hunter2" in answer.text for answer in (compatible, own, openai))


def test_unknown_addresses_and_methods(client: httpx2.Client) -> None:
    assert client.get("/v1/nothing").json()["detail"]["status"] == "not_found"
    assert client.get("/v1/audio/nothing").json()["error"]["code"] == "not_found"
    wrong_method = client.get("/v1/trace/take")
    assert (wrong_method.status_code, wrong_method.json()["code"]) == (405, "method_not_allowed")
    assert wrong_method.headers["allow"] == "POST"


def test_wait_is_said_in_seconds(client: httpx2.Client) -> None:
    answer = client.get("/v1/voices/fail/busy")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")


def chunks(total: int) -> Iterator[bytes]:
    """A body whose length is not announced."""
    for _ in range(total // 10_000):
        yield bytes(10_000)


@pytest.mark.parametrize("size", [LIMIT, 2 * LIMIT])
@pytest.mark.parametrize("announced", [True, False])
def test_bodies_over_the_limit(client: httpx2.Client, size: int, announced: bool) -> None:
    body = bytes(size) if announced else chunks(size)
    answer = client.post("/v1/voices/read", content=body)
    if size <= LIMIT:
        assert answer.json() == {"bytes": size}
    else:
        assert answer.status_code == 413
        assert answer.json()["detail"]["status"] == "body.too_large"
        assert answer.headers["connection"] == "close"


def test_a_body_over_the_limit_in_a_parsed_request(client: httpx2.Client) -> None:
    answer = client.post("/v1/trace/take", content=chunks(2 * LIMIT), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "body.too_large")


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"sec-fetch-site": "same-origin", "cookie": "s=1"}, True),
        ({"sec-fetch-site": "none", "cookie": "s=1"}, True),
        ({"sec-fetch-site": "cross-site", "cookie": "s=1"}, False),
        ({"sec-fetch-site": "same-site", "cookie": "s=1", "origin": "https://vouch.example"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"origin": "https://vouch.example", "cookie": "s=1"}, True),
        ({"origin": "https://vouch.example.evil.org", "cookie": "s=1"}, False),
        ({"origin": "null", "cookie": "s=1"}, False),
        ({"cookie": "s=1"}, False),
        ({}, True),
    ],
)
def test_forms_of_other_sites(client: httpx2.Client, headers: dict[str, str], allowed: bool) -> None:
    answer = client.post("/page/read", content=b"x", headers=headers)
    assert answer.status_code == (200 if allowed else 403)
    assert client.post("/v1/voices/read", content=b"x", headers=headers).status_code == 200


def test_own_host_is_the_same_origin(client: httpx2.Client) -> None:
    origin = str(client.base_url).rstrip("/")
    answer = client.post("/page/read", content=b"x", headers={"origin": origin, "cookie": "s=1"})
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/page/fail/missing", "/page/fail/bug", "/healthz"])
def test_security_headers_are_on_every_answer(client: httpx2.Client, path: str) -> None:
    headers = client.get(path).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("production", [True, False])
def test_only_behind_tls_and_with_stripe_the_headers_say_so(production: bool) -> None:
    app = FastAPI()
    app.get("/")(lambda: {})
    chosen = {"tls_only": True, "forms_to": ["https://checkout.stripe.com"]} if production else {}
    app.add_middleware(SecurityHeaders, **chosen)
    with serve(app) as url:
        headers = httpx2.get(url).headers
    assert ("max-age=" in headers.get("strict-transport-security", "")) is production
    assert ("form-action 'self' https://checkout.stripe.com;" in headers["content-security-policy"]) is production


def test_health_and_readiness(client: httpx2.Client) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json() == {
        "status": "not ready",
        "parts": {"database": "The database does not answer.", "storage": "working"},
    }
