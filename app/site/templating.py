"""The Jinja environment that site and console render with, and the words that its filters produce.

`app.site.pages` builds it once for each application with `environment()`. Undefined names raise, so that a page which
is missing something fails in a test and not in front of a person.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

APP = Path(__file__).resolve().parent.parent
STATIC = APP / "site" / "static"
TEMPLATES = (APP / "site" / "templates", APP / "console" / "templates")


def environment(contact: str) -> Environment:
    """The environment of every page. `contact` is whom a refused person can ask."""
    built = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    built.globals.update(contact=contact, static=static, has_vendor=(STATIC / "vendor" / "htmx.min.js").is_file())
    built.filters.update(
        duration=duration,
        spoken_length=spoken_length,
        bytes=human_bytes,
        when=when,
        clock=clock,
        iso=iso,
        number=number,
        money=money,
        percent=percent,
    )
    return built


@lru_cache
def static(path: str) -> str:
    """Address of a static file, with its content's hash so that browsers may keep it for good."""
    digest = hashlib.sha256((STATIC / path).read_bytes()).hexdigest()[:10]
    return f"/static/{path}?v={digest}"


def duration(seconds: float) -> str:
    """Seconds as people say them: `0:07`, `1:05`, `1:02:05`."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def spoken_length(seconds: int) -> str:
    """A round length in words: `30 seconds`, `3 minutes`."""
    if seconds < 60 or seconds % 60:
        return f"{seconds} seconds"
    return "1 minute" if seconds == 60 else f"{seconds // 60} minutes"


def human_bytes(size: float) -> str:
    """A size in decimal units: `640 B`, `48 kB`, `3.2 MB`."""
    if size < 1000:
        return f"{size:.0f} B"
    if size < 1_000_000:
        return f"{size / 1000:.0f} kB"
    return f"{size / 1_000_000:.1f} MB"


def when(moment: datetime) -> str:
    """A moment in words, in UTC: `5 Aug 2026, 14:32 UTC`."""
    moment = _utc(moment)
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"


def clock(moment: datetime) -> str:
    """The time of day alone, in UTC: `14:32 UTC`."""
    return f"{_utc(moment):%H:%M} UTC"


def iso(moment: datetime) -> str:
    """A moment for `<time datetime>`."""
    return _utc(moment).isoformat(timespec="seconds")


def number(value: float) -> str:
    """A count with thousands separated: `12,400`."""
    return f"{value:,.0f}"


def money(cents: float) -> str:
    """An amount in the unit of its currency: `1,234.50`."""
    return f"{cents / 100:,.2f}"


def percent(share: float) -> str:
    """A share in 0..1: `93%`."""
    return f"{share:.0%}"


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
