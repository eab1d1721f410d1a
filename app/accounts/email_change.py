"""Moving an account to another e-mail address. The edge asks for a recent proof of the person first."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.accounts import letters, links, registration
from app.accounts.addresses import clean_email
from app.accounts.models import Account, TokenPurpose
from app.core import audit, crypto, mail
from app.core.audit import Actor
from app.core.db import new_id, now
from app.core.errors import Invalid, RateLimited
from app.core.states import lock
from app.settings import Settings

MAILS_PER_HOUR = 3
_HOUR = timedelta(hours=1)


def ask(session: Session, account: Account, new_email: str, actor: Actor, *, settings: Settings) -> str:
    """Mail a link to the new address and a notice to the present one; gives the new address as it will be stored.

    An address that has an account already gets a letter that says so, and the asker learns nothing of it. Raises
    Invalid for what is no address or is the present one, RateLimited after three in an hour.
    """
    email = clean_email(new_email)
    lock(session, account)
    if email == account.email:
        raise Invalid("account.same_email", "This is the address that your account has already.")
    if links.issued_since(session, account.id, TokenPurpose.CHANGE_EMAIL, _HOUR) >= MAILS_PER_HOUR:
        raise RateLimited("email.too_many", "You have asked for this often. Try again in an hour.", retry_after=3600)
    links.kill(session, account.id, TokenPurpose.CHANGE_EMAIL)
    facts = {"email": email}
    token = links.issue(session, account.id, TokenPurpose.CHANGE_EMAIL, settings.accounts.link_lifetime, facts)
    audit.record(session, actor, "account.email_change_asked", account)
    _tell_old(session, account, token, settings)
    taken_by = session.scalar(select(Account).where(Account.email == email))
    if taken_by is not None and taken_by.email_verified_at is not None:
        registration.tell_known(session, taken_by, settings)
        return email
    letter = letters.confirm_new_address(settings, token)
    key = f"email-change:{crypto.digest(token)}"
    mail.post(session, to=email, subject=letter.subject, text=letter.text, key=key, owner_id=account.id)
    return email


def _tell_old(session: Session, account: Account, token: str, settings: Settings) -> None:
    letter = letters.address_change_asked(settings)
    key = f"email-change-notice:{crypto.digest(token)}"
    mail.post(session, to=account.email, subject=letter.subject, text=letter.text, key=key, owner_id=account.id)


def wanted(session: Session, account: Account, token: str) -> str:
    """The address that a link of this account leads to, without using it up. Raises Invalid as `confirm` does."""
    row = links.look(session, token, TokenPurpose.CHANGE_EMAIL)
    if row.account_id != account.id:
        raise _not_yours()
    return str(row.facts["email"])


def confirm(session: Session, account: Account, token: str, actor: Actor, *, settings: Settings) -> None:
    """Use the link up: the account has the new address from now on, and the old one is told.

    Only the account that asked may do it: somebody else who follows the link is not the one who asked. Raises Invalid
    for a link that does not work or is another account's, and for an address that was taken meanwhile.
    """
    email = wanted(session, account, token)
    lock(session, account)
    old = account.email
    links.use(session, token, TokenPurpose.CHANGE_EMAIL)
    registration.forget_unfinished(session, email)
    try:
        with session.begin_nested():
            account.email, account.email_verified_at = email, now()
            session.flush()
    except IntegrityError as error:
        raise Invalid("account.exists", "There is already an account for this address.") from error
    links.kill(session, account.id, TokenPurpose.RESET_PASSWORD)
    audit.record(session, actor, "account.email_changed", account)
    letter = letters.address_changed(settings)
    key = f"email-changed:{new_id()}"
    mail.post(session, to=old, subject=letter.subject, text=letter.text, key=key, owner_id=account.id)


def _not_yours() -> Invalid:
    return Invalid(
        "link.not_yours",
        "This link belongs to another account than the one that you are signed in to.",
        fix="Sign in to the account that is to have the new address, and open the link again.",
    )
