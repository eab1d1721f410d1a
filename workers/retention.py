"""Regular duties of privacy: what is over goes, and stored objects that nothing needs."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from app.core.db import now
from app.privacy import deletion, retention, stored
from workers.tools import Tools

log = structlog.get_logger(__name__)


def end_retention(tools: Tools) -> None:
    """End what is over, in short transactions, and remind of erasures that wait."""
    more = True
    while more:
        with tools.databases.writing() as session:
            ended = retention.end_retention(session, tools.settings)
        more = max(ended.values()) >= retention.AT_ONCE
        if any(ended.values()):
            log.info("retention.ended", **ended)
    with tools.databases.writing() as session:
        deletion.remind(session)


def remove_orphans(tools: Tools) -> None:
    """Delete stored objects that no row needs and that are older than `retention.orphans`."""

    def needed(keys: Sequence[str]) -> set[str]:
        with tools.databases.reading() as session:
            return stored.needed(session, keys)

    removed = 0
    for keys in stored.orphans(tools.storage, needed, now() - tools.settings.retention.orphans):
        for key in keys:
            tools.storage.delete(key)
        removed += len(keys)
    log.info("orphans.removed", objects=removed)
