"""Copies of everything that an account has here: asking for one, and what has become of it."""

from __future__ import annotations

import uuid
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.accounts.models import Account
from app.core import audit, errands
from app.core.audit import Actor
from app.core.db import now
from app.core.errors import Conflict, NotFound, RateLimited
from app.core.states import lock, move
from app.privacy import letters
from app.privacy.archive import Archive
from app.privacy.models import DataExport, ExportState
from app.settings import Settings

EXPORT = "export"
"""Kind of the errand that makes an archive."""
A_DAY = 2
MAKER = Actor.system("export")


def ask(session: Session, account: Account, actor: Actor) -> DataExport:
    """Have an archive made. Raises Conflict while one is being made, RateLimited after A_DAY within a day."""
    lock(session, account)
    mine = DataExport.account_id == account.id
    waiting = select(DataExport.id).where(mine, DataExport.state == ExportState.WAITING)
    if session.scalar(waiting.limit(1)) is not None:
        raise Conflict("export.waiting", "A copy is being made already. You get a mail when it is ready.")
    day_ago = now() - timedelta(days=1)
    asked = session.scalar(select(func.count()).where(mine, DataExport.created_at > day_ago)) or 0
    if asked >= A_DAY:
        said = f"{A_DAY} copies were made within a day. Please try again tomorrow."
        raise RateLimited("export.too_many", said, retry_after=86_400)
    export = DataExport(account_id=account.id)
    session.add(export)
    session.flush()
    audit.record(session, actor, "data_export.asked", export)
    errands.add(session, EXPORT, f"export:{export.id}", {"export": str(export.id)}, owner_id=account.id)
    return export


def latest_of(session: Session, account_id: uuid.UUID) -> DataExport | None:
    """The newest one of an account, whatever has become of it."""
    query = select(DataExport).where(DataExport.account_id == account_id)
    return session.scalar(query.order_by(DataExport.id.desc()).limit(1))


def fetchable(session: Session, account: Account, public_id: str, actor: Actor) -> DataExport:
    """An archive of the account that can be fetched now; that it is goes into the record. Raises NotFound."""
    query = select(DataExport).where(DataExport.public_id == public_id, DataExport.account_id == account.id)
    export = session.scalar(query)
    over = export is None or export.expires_at is None or export.expires_at <= now()
    if export is None or over or export.state is not ExportState.READY:
        raise NotFound("export.not_found", "This copy is not here any more. Ask for a new one.")
    audit.record(session, actor, "data_export.fetched", export)
    return export


def ready(session: Session, export_id: uuid.UUID, archive: Archive, storage_key: str, settings: Settings) -> None:
    """The archive is stored. One whose account was erased meanwhile is an orphan, which nobody can fetch."""
    export = session.get(DataExport, export_id)
    if export is None or export.state is not ExportState.WAITING:
        return
    export.storage_key, export.size, export.sha256 = storage_key, archive.size, archive.sha256
    export.files, export.ready_at = archive.files, now()
    export.expires_at = now() + settings.retention.exports
    move(session, export, ExportState.READY, MAKER, facts={"files": archive.files, "size": archive.size})
    account = session.get_one(Account, export.account_id)
    letters.export_ready(session, account, export.public_id, export.expires_at, settings)


def give_up(session: Session, export_id: uuid.UUID, problem: str) -> None:
    """It can't be made; `problem` is a sentence for the holder."""
    export = session.get(DataExport, export_id)
    if export is not None and export.state is ExportState.WAITING:
        export.problem = problem
        move(session, export, ExportState.FAILED, MAKER, reason=problem)
