"""What is kept about a person, a copy of it, and the end of the account."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response
from sqlalchemy.orm import Session

from app.accounts import holds
from app.accounts.identity import Caller, Confirmed, SignedIn, acting, looking
from app.accounts.models import Account
from app.core.db import now
from app.core.errors import DomainError
from app.core.sending import send_object
from app.core.services import Services, services_of
from app.privacy import deletion, exports, kept
from app.privacy.models import DataExport, ExportState
from app.site.pages import page, see

router = APIRouter()
Parts = Annotated[Services, Depends(services_of)]
Typed = Annotated[str, Form(max_length=300)]
PATH = "/account/data"


@router.get(PATH)
def show_data(request: Request, caller: SignedIn, services: Parts) -> Response:
    """The page."""
    return _data(request, caller, services)


def _data(
    request: Request, caller: Caller, services: Services, *, field: str = "", error: DomainError | None = None
) -> Response:
    with looking(services, caller) as (session, account):
        return page(
            request,
            "data.html",
            account,
            error.status if error else 200,
            kept=kept.classes(services.settings),
            export=_export(exports.latest_of(session, account.id)),
            held=holds.is_held(session, account.id),
            closing_at=account.closing_at,
            grace_days=services.settings.retention.deletion_grace.days,
            email=account.email,
            errors={field: error.message} if error else {},
        )


def _export(export: DataExport | None) -> dict[str, Any] | None:
    if export is None:
        return None
    over = export.expires_at is not None and export.expires_at <= now()
    state = ExportState.EXPIRED if over and export.state is ExportState.READY else export.state
    return {
        "id": export.public_id,
        "state": state.value,
        "asked_at": export.created_at,
        "size": export.size,
        "files": export.files,
        "until": export.expires_at,
        "problem": export.problem,
    }


@router.post(f"{PATH}/export")
def ask_for_export(request: Request, caller: Confirmed, services: Parts) -> Response:
    """Have a copy made."""

    def work(session: Session, account: Account) -> None:
        exports.ask(session, account, caller.actor)

    return _done(request, caller, services, "export", work)


@router.get(PATH + "/export/{export_id}")
def fetch_export(request: Request, export_id: str, caller: Confirmed, services: Parts) -> Response:
    """The archive, for its owner."""
    with acting(services, caller) as (session, account):
        export = exports.fetchable(session, account, export_id, caller.actor)
    assert export.storage_key is not None, "the schema says so of ready ones"
    assert export.sha256 is not None
    name = f"vouch-data-{export.created_at:%Y-%m-%d}.zip"
    return send_object(
        request,
        services.storage,
        export.storage_key,
        mime="application/zip",
        file_name=name,
        etag=export.sha256,
        download=True,
        headers={"Cache-Control": "no-store"},
    )


@router.post(f"{PATH}/delete")
def delete_account(request: Request, caller: Confirmed, services: Parts, email: Typed = "") -> Response:
    """Ask for the end of the account."""

    def work(session: Session, account: Account) -> None:
        settings = services.settings
        deletion.ask(session, account, email, caller.actor, settings=settings, keep=caller.login_id)

    return _done(request, caller, services, "email", work)


@router.post(f"{PATH}/keep")
def keep_account(request: Request, caller: SignedIn, services: Parts) -> Response:
    """Undo that."""

    def work(session: Session, account: Account) -> None:
        deletion.undo(session, account, caller.actor, services.settings)

    return _done(request, caller, services, "keep", work)


def _done(
    request: Request, caller: Caller, services: Services, field: str, work: Callable[[Session, Account], None]
) -> Response:
    try:
        with acting(services, caller) as (session, account):
            work(session, account)
    except DomainError as error:
        return _data(request, caller, services, field=field, error=error)
    return see(PATH)
