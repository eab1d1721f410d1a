"""Making the archive of a data export."""

from __future__ import annotations

import tempfile
import uuid
from typing import IO

from app.accounts.models import Account
from app.accounts.standing import refuse_banned
from app.billing.customers import customer_of
from app.billing.gateway import GatewayDown, GatewayRefused
from app.core.errands import CannotBeDone, ErrandFacts
from app.core.errors import Forbidden
from app.privacy import contents, exports
from app.privacy.archive import Archive, Writer
from app.privacy.models import DataExport, ExportState
from workers.tools import Tools

MOST_TRIES = 10
"""Tries before the holder is told that it did not work: together they take more than two hours."""
FAILED = "The copy could not be made. Please ask for it again tomorrow, or ask for help."


def export(errand: ErrandFacts, tools: Tools) -> None:
    """Make, store and announce one archive. A repeated try writes over what an earlier one has stored."""
    export_id = uuid.UUID(errand.payload["export"])
    with tools.databases.reading() as session:
        row = session.get(DataExport, export_id)
    if row is None or row.state is not ExportState.WAITING:
        return
    try:
        _make(row, tools)
    except Forbidden as error:
        _give_up(export_id, error.message, tools)
        raise CannotBeDone(error.message) from error
    except Exception:
        if errand.attempt >= MOST_TRIES:
            _give_up(export_id, FAILED, tools)
        raise


def _give_up(export_id: uuid.UUID, problem: str, tools: Tools) -> None:
    with tools.databases.writing() as session:
        exports.give_up(session, export_id, problem)


def _make(row: DataExport, tools: Tools) -> None:
    key = f"exports/{row.id}.zip"
    with tempfile.TemporaryFile() as file:  # has no name, so nothing stays behind, even when this process is killed
        archive = _write(row.account_id, file, tools)
        tools.storage.put(key, file)
    with tools.databases.writing() as session:
        exports.ready(session, row.id, archive, key, tools.settings)


def _write(account_id: uuid.UUID, file: IO[bytes], tools: Tools) -> Archive:
    with Writer(file, tools.storage) as writer:
        with tools.databases.reading() as session:
            account = session.get_one(Account, account_id)
            refuse_banned(account)
            contents.write_rows(session, account, writer)
            contents.write_recordings(session, account, writer)
            contents.write_clips(session, account, writer)
        _write_invoices(account_id, writer, tools)
        return writer.finish(account.public_id)


def _write_invoices(account_id: uuid.UUID, writer: Writer, tools: Tools) -> None:
    with tools.databases.reading() as session:
        customer = customer_of(session, account_id)
    if customer is None or tools.gateway is None:
        return
    try:
        invoices = tools.gateway.invoices(customer.external_id, limit=100)
    except (GatewayDown, GatewayRefused):
        writer.note("The payment provider did not answer, so the invoices are missing. They are on its own pages.")
        return
    contents.write_invoices(invoices, writer)
