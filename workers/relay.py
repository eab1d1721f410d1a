"""Outbox to broker: the only sender of doorbells. Run one with `python -m workers.relay`; more do no harm.

A message is marked as sent in the transaction that locks it; if the broker does not take it, it stays for the next
round. So a message may be sent twice and is never lost.
"""

from __future__ import annotations

import signal
import threading

import structlog

from app.core import errands, outbox
from app.core.db import Databases
from app.core.telemetry import configure_logging
from app.jobs import service as jobs
from app.settings import get_settings
from workers.celery_app import ERRANDS_TASK, RING_TASK, app, make_broker_directory

LOOK_EVERY = 0.1  # seconds between looks at the outbox: adds half of that to a job's start on average
REST_AFTER_FAILURE = 1.0

log = structlog.get_logger(__name__)


def relay_once(databases: Databases) -> int:
    """Send what waits; gives the number of messages. Raises what the broker raises; nothing is lost then."""
    with databases.reading() as session:
        if not outbox.has_unsent(session):
            return 0
    with databases.writing() as session:
        messages = outbox.unsent(session)
        for topic, queue in sorted({(message.topic, message.queue) for message in messages}):
            _send(topic, queue)
        outbox.mark_sent(session, messages)
    return len(messages)


def _send(topic: str, queue: str) -> None:
    if topic == jobs.RING:
        app.send_task(RING_TASK, args=(queue,), queue=queue, retry=False)
    elif topic == errands.RING:
        app.send_task(ERRANDS_TASK, queue=queue, retry=False)
    else:  # of another version of Vouch; the sweeper of that version rings again
        log.error("relay.unknown_topic", topic=topic, queue=queue)


def main() -> None:
    """Relay until told to stop."""
    settings = get_settings()
    configure_logging(settings, process="relay")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    databases = Databases(settings)
    failing = False
    while not stop.wait(REST_AFTER_FAILURE if failing else LOOK_EVERY):
        try:
            make_broker_directory(settings)
            relay_once(databases)
        except Exception as error:  # the broker or the database is away: say it once, keep trying
            if not failing:
                log.warning("relay.waiting", error=str(error))
            failing = True
        else:
            if failing:
                log.info("relay.recovered")
            failing = False
    databases.close()


if __name__ == "__main__":
    main()
