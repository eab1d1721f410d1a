"""The keys that a process holds, put into the register and so into the log, before they are first used."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import structlog

from app.core.errors import DomainError
from app.provenance.ledger import keys as register
from workers.marks.certificates import issuers_pem
from workers.tools import Tools

if TYPE_CHECKING:
    from workers.keys import Keys

log = structlog.get_logger(__name__)

_done: WeakKeyDictionary[Tools, Keys] = WeakKeyDictionary()


def register_held(tools: Tools) -> None:
    """Register the keys of mark, credentials and signing. Called by workers before each ring; works once a process
    and again when an epoch was added.

    Never raises for keys that are missing or unusable: whoever needs them says so.
    """
    try:
        held = tools.keys
    except (RuntimeError, OSError, ValueError) as error:
        log.warning("keys.not_registered", problem=str(error))
        return
    if _done.get(tools) is held:
        return
    with tools.databases.writing() as session:
        for epoch, key in sorted(held.epochs.items()):
            register.register_mark_key(session, epoch, key)
        for chain in held.own_chains:  # not the further authorities of the settings: those are others' keys
            register.register_authorities(session, issuers_pem(chain))
    register_signing(tools)
    _done[tools] = held


def register_signing(tools: Tools) -> None:
    """Register the key that signs checkpoints, receipts and evidence."""
    try:
        key = tools.signing
    except DomainError as error:
        log.warning("keys.not_registered", problem=error.message)
        return
    with tools.databases.writing() as session:
        register.register_signing_key(session, key)
