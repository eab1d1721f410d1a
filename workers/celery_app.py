"""The Celery app: how a doorbell reaches a worker process. Each setting with its reason.

A message carries no work, only the name of a queue whose job rows should be looked at (see app.jobs). Losing one costs
a few seconds, a repeated one costs nothing.
"""

from __future__ import annotations

import logging
from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_process_init

from app.core import errands
from app.core.telemetry import configure_logging
from app.settings import Settings, get_settings

RING_TASK = "vouch.ring"
ERRANDS_TASK = "vouch.errands"
SWEEP_TASK = "vouch.sweep"
_EACH_DOORBELL = ("celery.beat", "celery.worker.strategy", "celery.app.trace")
"""Loggers that write a line for each message; what matters, the jobs, is logged by workers.runtime."""
POLL_FILES_EVERY = 0.2  # seconds; the broker of files has no other way to notice a message


def broker_options(settings: Settings) -> dict[str, Any]:
    """What the broker needs to know beyond its address."""
    if settings.broker.url.startswith("redis"):
        # Redis gives an unacknowledged message to somebody else after this time.
        return {"visibility_timeout": settings.broker.visibility_timeout.total_seconds()}
    if settings.broker.url:
        return {}
    folder = settings.broker_directory
    return {
        "data_folder_in": str(folder / "messages"),
        "data_folder_out": str(folder / "messages"),
        "control_folder": str(folder / "control"),
        "polling_interval": POLL_FILES_EVERY,
    }


def make_broker_directory(settings: Settings) -> None:
    """Have the folders of the broker of files, also after somebody deleted them."""
    if not settings.broker.url:
        for part in ("messages", "control"):
            (settings.broker_directory / part).mkdir(parents=True, exist_ok=True, mode=0o700)


def make_app(settings: Settings) -> Celery:
    """The Celery app for these settings."""
    make_broker_directory(settings)
    celery = Celery("vouch", broker=settings.broker.url or "filesystem://localhost//", include=["workers.tasks"])
    celery.conf.update(
        broker_transport_options=broker_options(settings),
        broker_connection_retry_on_startup=True,  # workers may start before the broker
        task_ignore_result=True,  # the job row holds the result
        task_default_queue="cpu",
        task_acks_late=False,  # a doorbell that is lost is rung again by the sweeper
        worker_prefetch_multiplier=1,  # never hold doorbells that an idle worker could answer
        worker_proc_alive_timeout=120,  # models load at the first job, but a slow disk may delay the child's start
        worker_cancel_long_running_tasks_on_connection_loss=False,  # the lease, not the broker, decides
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,  # nobody steers workers through the broker
        worker_send_task_events=False,
        broker_heartbeat=30,
        beat_schedule_filename=str(settings.data_dir.resolve() / "beat-schedule"),
        beat_schedule={
            "sweep": {
                "task": SWEEP_TASK,
                "schedule": settings.jobs.sweep_every.total_seconds(),
                # while nobody answers, one waiting sweep is enough
                "options": {"queue": errands.QUEUE, "expires": settings.jobs.sweep_every.total_seconds()},
            }
        },
        timezone="UTC",
    )
    return celery


app = make_app(get_settings())


@setup_logging.connect
def _configure_logging(**_: object) -> None:
    configure_logging(get_settings(), process="worker")
    for name in _EACH_DOORBELL:
        logging.getLogger(name).setLevel(logging.WARNING)


@worker_process_init.connect
def _fresh_process(**_: object) -> None:
    """A forked child must not share connections with its parent."""
    from workers.tools import tools

    tools.cache_clear()
