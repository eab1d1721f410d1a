"""Errands of erasing: accounts whose time is over, and stored objects that nothing names any more."""

from __future__ import annotations

import uuid

import structlog

from app.accounts import holds
from app.accounts.models import Account
from app.core.errands import ErrandFacts
from app.privacy import erasure
from workers.tools import Tools

log = structlog.get_logger(__name__)


def erase(errand: ErrandFacts, tools: Tools) -> None:
    """Erase the account, unless that was undone or a hold is in force: then a regular duty asks again."""
    with tools.databases.writing() as session:
        account = session.get(Account, uuid.UUID(errand.payload["account"]))
        whole = account is None or erasure.erase(session, account, tools.settings)
    if not whole:
        log.info("erasure.waits", account_id=errand.payload["account"])


def erase_objects(errand: ErrandFacts, tools: Tools) -> None:
    """Delete objects. Those of an account on hold stay where they are; the search for orphans takes them later."""
    account_id = errand.payload["account"]
    if account_id is not None:
        with tools.databases.reading() as session:
            if holds.is_held(session, uuid.UUID(account_id)):
                log.info("erasing.held", account_id=account_id)
                return
    for key in errand.payload["keys"]:
        tools.storage.delete(key)
