"""What several commands share: settings with options on top, services, and runs of worker-side programs."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

import app.parts  # noqa: F401
from app.accounts.addresses import spelling
from app.accounts.models import Account
from app.core.audit import Actor
from app.core.errors import Invalid, NotFound, Unavailable
from app.core.services import Services
from app.core.text import one_line
from app.settings import Settings, get_settings

OPERATOR = Actor("operator", "operator")
"""Whoever may run commands on the server."""


def settings_with(*, data: Path | None = None, host: str | None = None, port: int | None = None) -> Settings:
    """The settings of this process with command-line options on top.

    The options go into the environment, so that every process started later has the same settings.
    """
    chosen = {"VOUCH_WEB__HOST": host, "VOUCH_WEB__PORT": port}
    os.environ |= {name: str(value) for name, value in chosen.items() if value is not None}
    os.environ["VOUCH_DATA_DIR"] = str((data or Settings().data_dir).resolve())
    get_settings.cache_clear()
    return get_settings()


@contextmanager
def opened_services() -> Iterator[Services]:
    """The services of this process, with a database that is there and current."""
    services = Services.open(settings_with())
    try:
        services.check_database()
        yield services
    finally:
        services.close()


@contextmanager
def deciding(email: str, reason: str) -> Iterator[tuple[Services, Session, Account, str]]:
    """Services, a writing transaction, the account of an address, and the reason as it is kept.

    Raises Invalid without a reason, and NotFound where there is no such account.
    """
    said = one_line(reason, 500)
    if not said:
        raise Invalid("admin.reason", "Give the reason: it is kept with the decision.")
    with opened_services() as services, services.databases.writing() as session:
        account = session.scalar(select(Account).where(Account.email == spelling(email)))
        if account is None:
            raise NotFound("account.not_found", f"There is no account for {email}.")
        yield services, session, account, said


def run_module(module: str, *arguments: str, timeout: float = 120.0) -> str:
    """Run a worker-side program to its end; gives what it wrote to stdout.

    Raises Unavailable with the end of what it wrote to stderr.
    """
    command = [sys.executable, "-m", module, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise Unavailable("cli.slow", f"{module} did not finish within {timeout:.0f} seconds.") from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()[-1:] or [f"it ended with code {done.returncode}"]
        raise Unavailable("cli.failed", f"{module} failed: {said[0]}")
    return done.stdout


def how_rare(false_match_rate: float) -> str:
    """The bound of a wrong match as a sentence; the rate is above 0 and at most 1."""
    once_in = 1 / false_match_rate
    number = f"{once_in:,.0f}" if once_in < 1e9 else f"10 to the power of {math.floor(math.log10(once_in))}"
    return f"Other audio gives such a match at most once in {number} searches."
