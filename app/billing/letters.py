"""Mails about plans, payments and proofs of identity. Each is posted in the transaction that gives cause for it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from app.accounts.models import Account
from app.billing.models import Subscription, Verification
from app.billing.plans import plan_of
from app.core import mail
from app.settings import Settings

PLAN_PAGE = "/account/plan"
IDENTITY_PAGE = "/account/identity"


def payment_missing(session: Session, account: Account, row: Subscription, settings: Settings) -> None:
    """A payment has failed, and until when the plan goes on."""
    assert row.grace_until is not None
    text = (
        f"A payment for your {plan_of(account).name} plan did not go through.\n\n"
        f"Your voices stay until {_day(row.grace_until)}, with a small allowance of characters. "
        "Please check your card or choose another one until then:\n"
        f"{settings.public_url}{PLAN_PAGE}\n\n"
        "After that your account moves to the Free plan. Voices that it has no room for are switched off, not deleted, "
        "and come back when the payment does."
    )
    key = f"mail:payment-missing:{row.id}:{row.grace_until.isoformat()}"
    _post(session, account, "A payment did not go through", text, key)


def plan_changed(session: Session, account: Account, row: Subscription, settings: Settings) -> None:
    """Another plan holds, because the subscription began, changed or ended."""
    plan = plan_of(account)
    if plan.paid:
        subject = f"You are on the {plan.name} plan"
        text = (
            f"Your account is on the {plan.name} plan: {plan.characters_a_month:,} characters a month and "
            f"{plan.voice_slots} cloned voices."
        )
    else:
        subject = f"You are on the {plan.name} plan again"
        text = (
            f"Your subscription has ended, so your account is on the {plan.name} plan. Voices that it has no room for "
            "are switched off, not deleted. They come back when you choose a paid plan again."
        )
    text += f"\n\nPlan, invoices and use: {settings.public_url}{PLAN_PAGE}"
    _post(session, account, subject, text, f"mail:plan:{row.id}:{plan.id}:{row.read_at.isoformat()}")


def second_subscription(session: Session, account: Account, external_id: str, settings: Settings) -> None:
    """Two subscriptions were begun; the smaller one is ended."""
    text = (
        f"Two subscriptions were begun for your account. You have the {plan_of(account).name} plan; we end the other "
        f"subscription now, so it is not billed again.\n\nFor the money that you paid for it, ask {settings.contact}, "
        f"and name this number: {external_id}"
    )
    _post(session, account, "You had two subscriptions", text, f"mail:second:{external_id}")


def recheck_wanted(session: Session, account: Account, why: str, by: datetime, key: str, settings: Settings) -> None:
    """The proof of identity must be repeated. `why` is a sentence."""
    text = (
        f"{why} So please show once more who is behind your account, by {_day(by)}:\n"
        f"{settings.public_url}{IDENTITY_PAGE}\n\n"
        "Until you have, after that time, your cloned voices can't speak and no new ones can be made. "
        "Nothing is deleted.\n\nIf it was not you who changed this, change your password and tell us: "
        f"{settings.contact}"
    )
    _post(session, account, "Please show again who you are", text, key)


def verified(session: Session, account: Account, row: Verification, settings: Settings) -> None:
    """The person is proved."""
    text = (
        "You have shown who is behind your account. With a paid plan you can now clone voices.\n\n"
        f"{settings.public_url}/"
    )
    _post(session, account, "Your identity is verified", text, f"mail:verified:{row.id}")


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def _post(session: Session, account: Account, subject: str, text: str, key: str) -> None:
    if account.erased_at is None:
        mail.post(session, to=account.email, subject=subject, text=text, key=key, owner_id=account.id)
