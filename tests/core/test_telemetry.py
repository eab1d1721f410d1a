"""Logs and metrics of a process, read as an operator reads them."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog
from fastapi import APIRouter, FastAPI

from app.core.errors import DomainError
from app.core.health import health_router
from app.core.rendering import install_error_rendering
from app.core.telemetry import RequestContext, bind, bound, configure_logging, metrics
from app.settings import Settings
from tests.http_server import serve


@pytest.fixture
def lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """A function that returns the JSON log lines written since its last call."""
    root = logging.getLogger()
    level = root.level
    configure_logging(Settings(data_dir=tmp_path, log_level="INFO", log_format="json"), "web")
    yield lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    root.handlers.clear()
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def application() -> FastAPI:
    app = FastAPI()
    router = APIRouter(prefix="/v1/voices")

    @router.get("/{voice_id}")
    def voice(voice_id: str) -> dict[str, str]:
        structlog.get_logger("vouch.test").info("inside", voice=voice_id)
        if voice_id == "bug":
            raise RuntimeError("the trace")
        return {"voice_id": voice_id}

    app.include_router(router)
    app.get("/metrics")(metrics)
    install_error_rendering(app)
    app.add_middleware(RequestContext)
    return app


def test_secrets_are_masked_at_any_depth(lines: Any) -> None:
    headers = {"Authorization": "Bearer s3cret", "xi-api-key": "s3cret", "Set-Cookie": "s3cret", "accept": "*/*"}
    nested = [{"session_token": "s3cret", "password": "s3cret"}]
    structlog.get_logger("vouch.test").info("call", headers=headers, nested=nested, api_key="s3cret", tokens_used=3)
    (line,) = lines()
    assert "s3cret" not in json.dumps(line)
    assert (line["headers"]["accept"], line["tokens_used"], line["process"]) == ("*/*", 3, "web")


def test_libraries_log_in_the_same_format_with_the_ids(lines: Any) -> None:
    with bound(job_id="job-1"):
        logging.getLogger("celery.worker").warning("lost %s", "a task")
        structlog.get_logger("vouch.test").warning("ours")
    logging.getLogger("uvicorn.error").warning("after")
    theirs, ours, after = lines()
    assert (theirs["event"], theirs["logger"], theirs["job_id"]) == ("lost a task", "celery.worker", "job-1")
    assert (ours["event"], ours["level"], ours["job_id"]) == ("ours", "warning", "job-1")
    assert "job_id" not in after
    bind(job_id="job-2")
    logging.getLogger("celery").warning("bound")
    assert lines()[0]["job_id"] == "job-2"


def test_console_traces_show_no_local_variables(tmp_path: Path, lines: Any, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Settings(data_dir=tmp_path, log_format="console"), "web")
    hidden = "local " + "variable"
    try:
        raise RuntimeError(str(len(hidden)))
    except RuntimeError:
        structlog.get_logger("vouch.test").exception("failed")
    said = capsys.readouterr().err
    assert "RuntimeError: 14" in said
    assert "local variable" not in said


def test_each_request_is_one_line_with_its_id(lines: Any) -> None:
    with serve(application()) as url:
        good = httpx2.get(f"{url}/v1/voices/v1?key=s3cret", headers={"x-request-id": "caller-0001"})
        odd = httpx2.get(f"{url}/nothing/s3cret", headers={"x-request-id": "bad id; rm"})
    assert good.headers["x-request-id"] == good.headers["request-id"] == "caller-0001"
    assert odd.headers["request-id"] != "bad id; rm"
    written = [line for line in lines() if line.get("logger", "").startswith("vouch.")]
    inside, first, second = written
    assert (inside["event"], inside["request_id"]) == ("inside", "caller-0001")
    assert (first["route"], first["status"], first["request_id"]) == ("/v1/voices/{voice_id}", 200, "caller-0001")
    assert (second["route"], second["status"]) == ("unmatched", 404)
    assert second["request_id"] == odd.headers["request-id"]
    assert "s3cret" not in json.dumps(written)


def test_the_trace_of_a_bug_is_in_the_log_once(lines: Any) -> None:
    with serve(application()) as url:
        answer = httpx2.get(f"{url}/v1/voices/bug")
    assert answer.status_code == 500
    traced = [line for line in lines() if "RuntimeError: the trace" in line.get("exception", "")]
    assert [line["request_id"] for line in traced] == [answer.headers["request-id"]]


def test_metrics_count_by_route_and_not_by_address(lines: Any) -> None:
    with serve(application()) as url:
        for name in ("one", "two", "bug"):
            httpx2.get(f"{url}/v1/voices/{name}")
        httpx2.request("BREW", f"{url}/v1/voices/one")
        text = httpx2.get(f"{url}/metrics").text
    route = 'method="GET",route="/v1/voices/{voice_id}"'
    assert f'vouch_http_requests_total{{{route},status="2xx"}}' in text
    assert f'vouch_http_requests_total{{{route},status="5xx"}}' in text
    assert f'vouch_http_request_duration_seconds_bucket{{le="0.005",{route}}}' in text
    assert "process_resident_memory_bytes" in text
    assert 'method="OTHER"' in text
    assert "BREW" not in text
    assert "voices/two" not in text


def test_readiness_waits_for_nobody_and_tells_no_details(lines: Any) -> None:
    release = threading.Event()

    def stuck() -> None:
        release.wait()

    def failing() -> None:
        raise ValueError("postgres://user:s3cret@host")

    def known() -> None:
        raise DomainError("broker.down", "The broker does not answer.")

    app = FastAPI()
    checks = {"database": failing, "storage": stuck, "broker": known}
    app.include_router(health_router(checks, check_seconds=0.2))
    with serve(app) as url:
        answer = httpx2.get(f"{url}/readyz")
        release.set()
    assert answer.status_code == 503
    assert answer.json()["parts"] == {
        "database": "not working; the log of this process says why",
        "storage": "did not answer within 0.2 seconds",
        "broker": "The broker does not answer.",
    }
