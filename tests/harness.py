"""The whole product in one process for tests that speak HTTP: a real server, and a real worker in a thread.

The worker does what `workers.relay` and `workers.tasks` do together, without a broker: it waits for doorbells in the
outbox, works the rung queues off and does the errands.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2

from app.core import errands, migrate, outbox
from app.core.db import Databases
from app.core.storage import Storage, open_storage
from app.main import create_app
from app.settings import Settings
from app.voices.models import Voice, VoiceState
from tests.http_server import serve
from tests.world import World
from workers.engines.registry import get_engine
from workers.errands import run_due
from workers.keys import init_keys
from workers.runtime import work_off
from workers.tools import Tools

Found = TypeVar("Found")
PATIENCE = 90.0  # seconds that a test waits for the product before it fails
STOCK = "fake-low"


@dataclass(frozen=True)
class Service:
    """A running Vouch."""

    settings: Settings
    app: Any
    url: str
    world: World
    storage: Storage

    def client(self, key: str | None = None) -> httpx2.Client:
        """An HTTP client, with an API key."""
        return httpx2.Client(base_url=self.url, headers={"xi-api-key": key} if key else {}, timeout=PATIENCE)


@contextmanager
def running(settings: Settings, *, worker: bool = True, port: int = 0) -> Iterator[Service]:
    """Serve `settings`, whose database is migrated if it is not yet. Without `worker` nothing is ever made."""
    databases = Databases(settings)
    migrate.upgrade(databases.engine)
    init_keys(settings.key_directory, settings.voices.service_name)
    app = create_app(settings)
    with serve(app, port) as url:
        service = Service(settings, app, url, World(settings, databases), open_storage(settings))
        if worker:
            with working(settings):
                yield service
        else:
            yield service
    databases.close()


@contextmanager
def working(settings: Settings) -> Iterator[None]:
    """A worker for all queues in a thread. What it raises outside of a job, it raises here at the end."""
    tools = Tools(settings)
    stop = threading.Event()
    broken: list[BaseException] = []

    def work() -> None:
        try:
            while not stop.wait(0.02):
                for queue in _rung(tools.databases):
                    if queue == errands.QUEUE:
                        run_due(tools)
                    else:
                        work_off(queue, tools)
        except BaseException as error:
            broken.append(error)

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        tools.databases.close()
    if broken:
        raise broken[0]


def _rung(databases: Databases) -> list[str]:
    """The queues that doorbells wait for; takes the doorbells away."""
    with databases.reading() as session:
        if not outbox.has_unsent(session):
            return []
    with databases.writing() as session:
        messages = outbox.unsent(session)
        outbox.mark_sent(session, messages)
        return sorted({message.queue for message in messages})


def until(look: Callable[[], Found | None], what: str) -> Found:
    """What `look` gives once it gives anything. Fails the test, saying `what` was waited for, after PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {PATIENCE:.0f} s in vain for {what}")


def stock_voice(service: Service) -> Voice:
    """A stock voice of the fake engine that can really speak."""
    key = f"stock/{STOCK}.npz"
    service.storage.put(key, get_engine("fake").stock_voice(STOCK))
    with service.world.databases.writing() as session:
        voice = Voice(stock_id=STOCK, name="Low", language="en-us", state=VoiceState.READY, artefact_key=key)
        session.add(voice)
    return voice
