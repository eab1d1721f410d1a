"""Regular duties of the ledger: catch up with leaves, register keys, sign checkpoints and copy them outside."""

from __future__ import annotations

from datetime import timedelta

import structlog

from app.core import timestamps
from app.core.errors import Unavailable
from app.provenance.ledger import checkpoints, exports, leaves, proofs
from app.provenance.ledger.checkpoints import Forked
from app.provenance.ledger.models import Checkpoint, LeafKind
from workers.held_keys import register_signing
from workers.tools import Tools

LOOK_EVERY = timedelta(seconds=10)
"""How often it is looked whether `provenance.checkpoint_every` is over."""

log = structlog.get_logger(__name__)


def catch_up(tools: Tools) -> None:
    """Give leaves to rows that have none, such as those from before the log, in short transactions.

    At the start of the process and daily; safe to be cut off, and to be done by several at once.
    """
    for kind in LeafKind:
        behind, added = None, 0
        while True:
            with tools.databases.reading() as session:
                found = leaves.unlogged(session, kind, behind)
            if not found:
                break
            with tools.databases.writing() as session:
                added += leaves.append(session, [(kind, each) for each in found])
            behind = found[-1]
        if added:
            log.warning("ledger.caught_up", kind=kind.value, leaves=added)
    exports.export_missing(tools.databases, tools.settings.checkpoint_directory, tools.storage)


def sign_when_due(tools: Tools) -> None:
    """Sign the ledger when it has grown and the last checkpoint is old enough; copy out what is not outside yet."""
    with tools.databases.reading() as session:
        due = checkpoints.is_due(session, tools.settings.provenance.checkpoint_every)
        last = proofs.latest_checkpoint(session)
    if due:
        sign_now(tools)
    elif last is not None and not exports.is_outside(tools.settings.checkpoint_directory, last.size):
        exports.export_missing(tools.databases, tools.settings.checkpoint_directory, tools.storage)


def sign_now(tools: Tools) -> Checkpoint | None:
    """Sign the ledger as it is; None when the newest checkpoint covers all of it.

    Raises Forked, and signs nothing, when the ledger does not continue what was signed before.
    """
    register_signing(tools)
    key, settings = tools.signing, tools.settings
    try:
        with tools.databases.reading() as session:
            trusted = checkpoints.trusted_keys(session, key)
        exported = exports.heads(settings.checkpoint_directory, tools.storage, trusted)
        with tools.databases.reading() as session:  # begun last: it sees all that those checkpoints cover
            checkpoint = checkpoints.sign(session, settings, key, exported)
    except Forked as error:
        log.error("ledger.fork", problem=str(error))
        raise
    if checkpoint is not None:
        checkpoint.timestamp_token = _timestamp(tools, checkpoint.note)
        with tools.databases.writing() as session:
            checkpoints.add(session, checkpoint)
    exports.export_missing(tools.databases, settings.checkpoint_directory, tools.storage)
    return checkpoint


def _timestamp(tools: Tools, note: str) -> bytes | None:
    """The authority's word for when the note existed. A checkpoint without one is better than none at all."""
    url = tools.settings.provenance.timestamp_url
    if not url:
        return None
    try:
        return timestamps.token(url, note.encode())
    except Unavailable as error:
        log.warning("ledger.not_timestamped", problem=error.message)
        return None
