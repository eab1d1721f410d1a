"""Mails about exports and deletion. Each is posted in the transaction that gives cause for it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from app.accounts.models import Account
from app.core import mail
from app.settings import Settings

PAGE = "/account/data"


def closing(session: Session, account: Account, settings: Settings) -> None:
    """The deletion was asked for: when it happens, and how to undo it."""
    assert account.closing_at is not None
    text = (
        f"Your account and everything in it will be deleted on {_day(account.closing_at)}. Until then it can't speak, "
        "its API keys do not work, and a subscription that it had is ended.\n\n"
        "If you want to keep it, sign in before that and undo the deletion on this page:\n"
        f"{settings.public_url}{PAGE}\n\n"
        f"If it was not you who asked for this, undo it, choose a new password, and tell {settings.contact}."
    )
    key = f"mail:closing:{account.id}:{account.closing_at.isoformat()}"
    _post(session, account, "Your account will be deleted", text, key, settings)


def kept(session: Session, account: Account, undone_at: datetime, settings: Settings) -> None:
    """The deletion was undone."""
    text = (
        "The deletion of your account was undone: it stays as it was. API keys that were switched off stay off, and a "
        f"subscription that was ended does not come back by itself.\n\nNew keys: {settings.public_url}/account/keys\n"
        f"Plans: {settings.public_url}/account/plan"
    )
    _post(session, account, "Your account stays", text, f"mail:kept:{account.id}:{undone_at.isoformat()}", settings)


def erased(session: Session, account: Account, settings: Settings) -> None:
    """The last mail. It is not the account's own, so that its erasure leaves it; its text goes when it is sent."""
    text = (
        "Your account was deleted: your data, voices, recordings and clips are being removed now. "
        f"What has to stay, and why, is described in the documentation. Questions: {settings.contact}"
    )
    subject = f"{settings.voices.service_name}: Your account was deleted"
    mail.post(session, to=account.email, subject=subject, text=text, key=f"mail:erased:{account.id}")


def export_ready(session: Session, account: Account, export: str, until: datetime, settings: Settings) -> None:
    """The archive can be fetched; `export` is its public id."""
    text = (
        f"The copy of your data is ready. Sign in to fetch it, until {_day(until)}:\n{settings.public_url}{PAGE}\n\n"
        "If you did not ask for it, choose a new password: somebody may be using your account."
    )
    _post(session, account, "The copy of your data is ready", text, f"mail:export:{export}", settings)


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def _post(session: Session, account: Account, subject: str, text: str, key: str, settings: Settings) -> None:
    subject = f"{settings.voices.service_name}: {subject}"
    mail.post(session, to=account.email, subject=subject, text=text, key=key, owner_id=account.id)
