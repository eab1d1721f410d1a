"""A new password by mail, for who has forgotten the old one. It works whatever log-in limits others have used up."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts import browsers, history, letters, links, passwords, registration
from app.accounts.addresses import clean_email
from app.accounts.models import Account, LoginOutcome, TokenPurpose
from app.core import crypto, mail
from app.core.audit import Actor
from app.core.states import lock
from app.settings import Settings

MAILS_PER_HOUR = 3
_HOUR = timedelta(hours=1)


def ask(session: Session, *, email: str, settings: Settings) -> None:
    """Mail a link to a new password, at most three an hour; the older links die.

    Does nothing, and says nothing, where there is no account. Raises Invalid for what is no address.
    """
    email = clean_email(email)
    account = session.scalar(select(Account).where(Account.email == email, Account.erased_at.is_(None)))
    if account is None:
        return
    lock(session, account)
    if links.issued_since(session, account.id, TokenPurpose.RESET_PASSWORD, _HOUR) >= MAILS_PER_HOUR:
        return
    links.kill(session, account.id, TokenPurpose.RESET_PASSWORD)
    token = links.issue(session, account.id, TokenPurpose.RESET_PASSWORD, settings.accounts.reset_lifetime)
    letter = letters.new_password(settings, token)
    key = f"reset:{crypto.digest(token)}"
    mail.post(session, to=account.email, subject=letter.subject, text=letter.text, key=key, owner_id=account.id)


def holder(session: Session, token: str) -> Account:
    """Whose password a link may set, without using it up. Raises Invalid for a link that does not work."""
    return session.get_one(Account, links.look(session, token, TokenPurpose.RESET_PASSWORD).account_id)


def set_password(
    session: Session,
    token: str,
    password_hash: str,
    *,
    address: str,
    user_agent: str,
    settings: Settings,
    known_browsers: str = "",
) -> str:
    """Use the link up and replace the password, with everything that `passwords.replace` does.

    The hash is that of `passwords.prepare`. The address is proved by it. Gives the cookie that makes this browser
    known to the account, so that signing in works from here even while somebody else is guessing. Raises Invalid for a
    link that does not work.
    """
    account = holder(session, token)
    lock(session, account)
    links.use(session, token, TokenPurpose.RESET_PASSWORD)
    registration.prove_address(session, account)
    passwords.replace(
        session,
        account,
        password_hash,
        Actor("account", str(account.id)),
        settings=settings,
        known_browsers=known_browsers,
    )
    history.note(session, account.id, LoginOutcome.PASSWORD_RESET, means="mail", address=address, user_agent=user_agent)
    return browsers.remember(session, account.id, known_browsers)
