"""Errands: from a due row to something done in the outside world. See app.core.errands for their rows.

A new kind is one line in HANDLERS, a new regular duty one line in PERIODIC.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import structlog

from app.accounts import holds, housekeeping
from app.billing import disputes, incoming, outgoing, sandbox_world, subscriptions
from app.billing.gateway import Gateway
from app.core import erasing, errands, mail
from app.core.db import now
from app.core.errands import LEASE, CannotBeDone, Errand, ErrandFacts
from app.core.errors import DomainError
from app.core.telemetry import bound
from app.privacy import deletion, exports
from app.provenance.evidence.service import EVIDENCE
from workers import checkpoints, erase, evidence, export, retention
from workers.runtime import STUCK
from workers.tools import Tools

Handler = Callable[[ErrandFacts, Tools], None]
"""Does one errand, outside of any transaction; may be called again after it has succeeded. Raises to be called again
later, or CannotBeDone."""

TRY_A_DUTY_AGAIN = 300.0
"""Seconds after a failure, for duties that are done less often than that."""

log = structlog.get_logger(__name__)


def _send_mail(errand: ErrandFacts, tools: Tools) -> None:
    mail.deliver(tools.settings, errand)


def _handle_event(errand: ErrandFacts, tools: Tools) -> None:
    incoming.handle(tools.databases, _gateway(tools), tools.settings, errand.payload)


def _make_call(errand: ErrandFacts, tools: Tools) -> None:
    outgoing.handle(tools.databases, _gateway(tools), errand.payload)


def _gateway(tools: Tools) -> Gateway:
    if tools.gateway is None:
        raise LookupError("no payment provider is set up, but there is something to tell one")
    return tools.gateway


HANDLERS: Mapping[str, Handler] = {
    mail.KIND: _send_mail,
    incoming.EVENT: _handle_event,
    outgoing.CALL: _make_call,
    exports.EXPORT: export.export,
    EVIDENCE: evidence.make,
    deletion.ERASE: erase.erase,
    erasing.KIND: erase.erase_objects,
}


def _forget_done(tools: Tools) -> None:
    with tools.databases.writing() as session:
        held = holds.held_accounts(session)
        errands.forget_done(session, now() - tools.settings.retention.errands, keep=held)


def _follow_subscriptions(tools: Tools) -> None:
    with tools.databases.writing() as session:
        subscriptions.end_graces(session, tools.settings)
        disputes.restrict_after_suspensions(session)
        if tools.settings.billing_provider == "sandbox":
            sandbox_world.renew_due(session, tools.settings)


def _tidy_accounts(tools: Tools) -> None:
    with tools.databases.writing() as session:
        housekeeping.tidy(session)


PERIODIC: tuple[tuple[str, timedelta, Callable[[Tools], None]], ...] = (
    ("forget errands", timedelta(hours=1), _forget_done),
    ("follow subscriptions", timedelta(minutes=1), _follow_subscriptions),
    ("tidy accounts", timedelta(hours=1), _tidy_accounts),
    ("end retention", timedelta(hours=1), retention.end_retention),
    ("remove orphans", timedelta(days=1), retention.remove_orphans),
    ("catch the ledger up", timedelta(days=1), checkpoints.catch_up),
    ("sign the ledger", checkpoints.LOOK_EVERY, checkpoints.sign_when_due),
)
"""What the sweep does now and then: name, how often, and what. Each is done at start, too, and may be done by several
processes at once, so it must be safe to repeat."""


def run_due(tools: Tools) -> int:
    """Do the errands that are due, one after the other, until none is; gives how many were tried."""
    tried = 0
    while (errand := _take(tools)) is not None:
        _run(errand, tools)
        tried += 1
    return tried


def _take(tools: Tools) -> Errand | None:
    with tools.databases.writing() as session:
        return errands.take(session)


def _run(errand: Errand, tools: Tools) -> None:
    facts = ErrandFacts(errand.id, errand.key, errand.owner_id, errand.payload, errand.attempts)
    with bound(errand_id=str(errand.id), kind=errand.kind):
        try:
            handler = HANDLERS.get(errand.kind)
            if handler is None:
                raise LookupError(f"nothing here knows how to do errands of the kind {errand.kind!r}")
            with _kept(facts, tools):
                handler(facts, tools)
        except CannotBeDone as reason:
            log.warning("errand.given_up", problem=str(reason))
            _finish(facts, tools, problem=str(reason))
        except DomainError as error:
            log.warning("errand.failed", attempt=facts.attempt, problem=error.message)
            _fail(facts, tools, error.message)
        except Exception as error:
            log.exception("errand.broke", attempt=facts.attempt)
            _fail(facts, tools, f"{type(error).__name__}: {error}")
        else:
            _finish(facts, tools)


def _finish(errand: ErrandFacts, tools: Tools, problem: str | None = None) -> None:
    with tools.databases.writing() as session:
        errands.finish(session, errand.id, errand.attempt, problem=problem)


def _fail(errand: ErrandFacts, tools: Tools, problem: str) -> None:
    with tools.databases.writing() as session:
        errands.fail(session, errand.id, errand.attempt, problem)


@contextmanager
def _kept(errand: ErrandFacts, tools: Tools) -> Iterator[None]:
    """Keep others away from an errand for as long as the block takes, up to `jobs.time_limit`.

    Then the process ends itself, as for jobs: what hangs there can't be stopped in any other way.
    """
    stop = threading.Event()
    deadline = time.monotonic() + tools.settings.jobs.time_limit.total_seconds()

    def keep() -> None:
        while not stop.wait(LEASE.total_seconds() / 3):
            if time.monotonic() > deadline:
                log.error("errands.stuck", errand_id=str(errand.id))
                os._exit(STUCK)
            try:
                with tools.databases.writing() as session:
                    errands.renew(session, errand.id, errand.attempt)
            except Exception as error:  # the database is away: the attempt number decides once it is back
                log.warning("errand.not_renewed", error=str(error))

    thread = threading.Thread(target=keep, name="errand keeper", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class Duties:
    """Remembers when each regular duty was last done in this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: dict[str, float] = {}
        self._busy = threading.Lock()

    def run_due(self, tools: Tools) -> None:
        """Do those whose time has come. One that fails is logged and does not keep the others from being done."""
        if not self._busy.acquire(blocking=False):
            return
        try:
            for name, every, duty in PERIODIC:
                if self._clock() >= self._due.get(name, -math.inf):
                    rest = every.total_seconds()
                    done = self._run(name, duty, tools)
                    self._due[name] = self._clock() + (rest if done else min(rest, TRY_A_DUTY_AGAIN))
        finally:
            self._busy.release()

    @staticmethod
    def _run(name: str, duty: Callable[[Tools], None], tools: Tools) -> bool:
        with bound(duty=name):
            try:
                duty(tools)
            except Exception:
                log.exception("duty.broke")
                return False
            return True
