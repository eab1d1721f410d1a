"""The production topology by settings alone: PostgreSQL, a real broker, and every part a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from kombu import Connection

from app.settings import Settings
from tests.conftest import missing
from tests.harness import Service, running

REDIS_URL = "redis://127.0.0.1:6379"
AMQP_URL = "amqp://guest:guest@127.0.0.1:5672//"
QUEUES = ("cpu", "gpu", "errands")
COMMANDS = {
    "relay": ["workers.relay"],
    "beat": ["celery", "--quiet", "-A", "workers.celery_app", "beat", "--pidfile="],
    **{
        queue: [
            "celery",
            "--quiet",
            "-A",
            "workers.celery_app",
            "worker",
            "-Q",
            queue,
            *(("-P", "threads", "-c", "4") if queue == "errands" else ("-c", "1")),
            "-n",
            f"{queue}@test",
        ]
        for queue in QUEUES
    },
}


@dataclass
class Production:
    """A running service of several processes. The web process is a real server too, in a thread of the test."""

    service: Service
    broker: str
    folder: Path
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, part: str) -> None:
        """Start relay, beat, or the worker of a queue."""
        with (self.folder / f"{part}.log").open("ab") as log:
            self._processes[part] = subprocess.Popen(
                [sys.executable, "-m", *COMMANDS[part]],
                env={**os.environ, **environment(self.service.settings)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self, part: str) -> None:
        """End a part and its children as a crash does."""
        process = self._processes.pop(part)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        """End everything that still runs; a part that had ended by itself is a failure."""
        ended = {part: process.poll() for part, process in self._processes.items()}
        for part in list(self._processes):
            if ended[part] is None:
                self.kill(part)
        died = [part for part, code in ended.items() if code is not None]
        assert not died, f"{died} died: {[(self.folder / f'{part}.log').read_text()[-2000:] for part in died]}"

    def forget_messages(self) -> None:
        """The broker loses every message."""
        with Connection(self.broker, connect_timeout=5) as connection:
            for queue in QUEUES:  # one that nobody has asked for yet is an error that closes the channel
                with suppress(*connection.channel_errors), connection.channel() as channel:
                    channel.queue_purge(queue)


def environment(settings: Settings) -> dict[str, str]:
    """The variables that make a process read these settings."""

    def flat(values: dict[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
        for name, value in values.items():
            if isinstance(value, dict):
                yield from flat(value, f"{prefix}{name.upper()}__")
            else:
                yield prefix + name.upper(), str(value)

    return dict(flat(settings.model_dump(mode="json", exclude_unset=True), "VOUCH_"))


@contextmanager
def redis_database() -> Iterator[str]:
    """An empty database of a Redis server, emptied again in the end."""
    import redis

    server = os.environ.get("VOUCH_TEST_REDIS_URL", REDIS_URL).rstrip("/")
    try:
        for number in range(15, 0, -1):
            client = redis.Redis.from_url(f"{server}/{number}")
            if client.dbsize() == 0:
                break
            client.close()
        else:
            missing("Redis", "none of its databases 1 to 15 is empty")
    except redis.ConnectionError as error:
        missing("Redis", error)
    yield f"{server}/{number}"
    client.flushdb()
    client.close()


@contextmanager
def rabbit() -> Iterator[str]:
    """A RabbitMQ server, with the queues of Vouch deleted before and after."""
    url = os.environ.get("VOUCH_TEST_AMQP_URL", AMQP_URL)

    def clear() -> None:
        with Connection(url, connect_timeout=5) as connection, connection.channel() as channel:
            for queue in QUEUES:
                channel.queue_delete(queue)

    try:
        clear()
    except OSError as error:
        missing(f"RabbitMQ at {urlsplit(url).hostname}", error)
    yield url
    clear()


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def production(
    request: pytest.FixtureRequest, new_postgres: Callable[[str], str], tmp_path_factory: Any
) -> Iterator[Production]:
    """The service on PostgreSQL with one of the brokers: relay, beat, a worker for each queue, and the web server."""
    folder = tmp_path_factory.mktemp(request.param)
    with redis_database() if request.param == "redis" else rabbit() as broker:
        settings = Settings(
            data_dir=folder,
            log_format="json",
            test_consent_statement=request.module.STATEMENT,
            database={"url": new_postgres(request.param)},
            broker={"url": broker},
            jobs={"speech_queue": "gpu", "lease": "PT6S", "sweep_every": "PT1S", "ring_again_after": "PT3S"},
            speech={"engine": "fake"},
        )
        with running(settings, worker=False) as service:
            made = Production(service, broker, folder)
            try:
                for part in COMMANDS:
                    made.start(part)
                yield made
            finally:
                made.close()
