"""`vouch up`: the whole service on this machine, from one command."""

from __future__ import annotations

import http.client
import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import settings_with
from app.cli.prepare import (
    bring_up_to_date,
    check_certificates,
    free_port,
    have_keys,
    lock_data_directory,
    make_data_directory,
    make_keys,
)
from app.cli.processes import Guard
from app.cli.supervisor import Part, Supervisor
from app.settings import Settings

_ASK_SECONDS = 0.5


def up(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = None,
    data: Annotated[Path | None, typer.Option(help="Directory for everything that is kept.")] = None,
) -> None:
    """Start web, relay, workers and beat; restart what dies; stop all with Ctrl-C."""
    os.umask(0o077)
    settings = settings_with(data=data, host=host, port=port)
    make_data_directory(settings.data_dir)
    lock = lock_data_directory(settings.data_dir)
    settings = settings_with(port=free_port(settings.web.host, settings.web.port))
    if settings.environment == "development" and not have_keys(settings):
        for line in make_keys(settings):
            _say(line)
    check_certificates(settings)
    _say(bring_up_to_date(settings))
    guard = Guard(keep_open=[lock])
    try:
        supervisor = Supervisor(parts_of(settings), guard, prefix=settings.log_format == "console")
        code = supervisor.run(lambda: _answers(settings), lambda: _say(f"ready: open {address_of(settings)}"))
    finally:
        guard.close()
    raise typer.Exit(code)


def parts_of(settings: Settings) -> list[Part]:
    """The programs of the service. Stopped last to first: no new requests, no new work, then the work itself."""
    python = [sys.executable, "-m"]
    celery = [*python, "celery", "--quiet", "-A", "workers.celery_app"]
    level = f"--loglevel={settings.log_level}"
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")  # one worker has nobody to talk to
    threads = ("-P", "threads", "-c", "4")  # errands wait for others and load no model: no child process for them
    web = ("--factory", "app.main:create_app", "--host", settings.web.host, "--port", str(settings.web.port))
    return [
        Part("relay", [*python, "workers.relay"], grace=5),
        Part("worker", [*celery, "worker", "-Q", "cpu,gpu", "-c", "1", "-n", "worker@%h", *quiet, level], grace=10),
        Part("errands", [*celery, "worker", "-Q", "errands", *threads, "-n", "errands@%h", *quiet, level], grace=10),
        Part("beat", [*celery, "beat", "--pidfile=", level], grace=5),
        Part("web", [*python, "uvicorn", *web, "--no-access-log", "--timeout-graceful-shutdown", "3"], grace=8),
    ]


def address_of(settings: Settings) -> str:
    """What to open in a browser on this machine."""
    return settings.public_url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def _answers(settings: Settings) -> bool:
    """Whether the web process says that it can serve requests."""
    try:
        # without this look, a server that accepts and never answers would hold up the supervisor
        host = "127.0.0.1" if settings.web.host in ("0.0.0.0", "::") else settings.web.host  # noqa: S104
        connection = http.client.HTTPConnection(host, settings.web.port, timeout=_ASK_SECONDS)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.client.OK
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, socket.gaierror):
        return False


def _say(text: str) -> None:
    if text:
        sys.stderr.write(f"up      | {text}\n")
        sys.stderr.flush()
