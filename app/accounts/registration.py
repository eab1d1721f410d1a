"""How accounts come to be: made by the operator, or by sign-up with proof of the address.

Sign-up says the same to everybody, whether there is an account for the address or not; only the mailbox learns it.
A sign-up is finished by the link in the mail together with the password: so nobody can prepare an account with a
password of their own for somebody else's address, to have it brought to life by an absent-minded click.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.accounts import holds, keys, letters, links, passwords, throttle
from app.accounts.addresses import clean_email
from app.accounts.models import Account, LegalHold, LoginEvent, OneTimeToken, Role, TokenPurpose
from app.accounts.passwords import TemporaryPassword
from app.core import audit, crypto, mail
from app.core.audit import Actor
from app.core.db import now
from app.core.errors import Forbidden, Invalid
from app.core.states import lock
from app.core.text import one_line
from app.settings import Settings

UNPROVED_KEPT = timedelta(days=7)
LINKS_PER_HOUR = 3
_HOUR = timedelta(hours=1)
_BATCH = 500


@dataclass(frozen=True)
class NewAccount:
    """What the operator hands over: shown once, stored nowhere."""

    account: Account
    password: str
    api_key: str


def create_account(
    session: Session,
    *,
    email: str,
    name: str,
    role: Role,
    plan: str,
    verified: bool,
    password: TemporaryPassword,
    actor: Actor,
) -> NewAccount:
    """Make an account, whose address the operator answers for, with a temporary password and an API key.

    Raises Invalid for a bad or taken address.
    """
    email = clean_email(email)
    forget_unfinished(session, email)
    account = _add(session, email, name, password.hashed, role=role, plan=plan)
    if account is None:
        raise Invalid("account.exists", f"There is already an account for {email}.")
    account.password_is_temporary = True
    account.email_verified_at = now()
    account.verified_at = now() if verified else None
    facts = {"role": role.value, "plan": plan, "verified": verified}
    audit.record(session, actor, "account.created", account, facts=facts)
    _, key = keys.create_key(session, account, "first key", actor)
    return NewAccount(account, password.text, key)


def may_sign_up(session: Session, *, address: str, settings: Settings) -> None:
    """To be asked before the password is hashed. Raises Forbidden when sign-up is closed, RateLimited after many."""
    _refuse_closed(settings)
    throttle.refuse(session, throttle.of_sign_up(address), what="sign-ups from your network", fix=None)


def register(session: Session, *, email: str, name: str, password_hash: str, address: str, settings: Settings) -> None:
    """Sign somebody up: a customer without a plan, who can't sign in before `finish`. `address` is of the network.

    The hash is that of `passwords.prepare`. A sign-up that is not finished is replaced. For an address that has an
    account nothing is changed. Raises Invalid for what is no address, Forbidden when sign-up is closed.
    """
    _refuse_closed(settings)
    throttle.note(session, [limit.digest for limit in throttle.of_sign_up(address)])
    email = clean_email(email)
    account = _held(session, email)
    if account is None:
        account = _add(session, email, name, password_hash, role=Role.CUSTOMER, plan="free")
        if account is not None:
            audit.record(session, _itself(account), "account.signed_up", account)
            _send_link(session, account, settings)
            return
        account = _held(session, email)  # somebody was quicker
    if account is not None and account.email_verified_at is None:
        _start_again(session, account, name, password_hash, settings)
    elif account is not None:
        tell_known(session, account, settings)


def tell_known(session: Session, account: Account, settings: Settings) -> None:
    """Tell the holder of an account that somebody wanted to use its address; at most once in an hour of the clock."""
    letter = letters.already_known(settings)
    key = f"address-known:{account.id}:{now():%Y%m%d%H}"
    mail.post(session, to=account.email, subject=letter.subject, text=letter.text, key=key, owner_id=account.id)


def send_again(session: Session, *, email: str, settings: Settings) -> None:
    """Send the link of an unfinished sign-up again, at most three times an hour; the older links die.

    Does nothing, and says nothing, where there is no such sign-up. Raises Invalid for what is no address.
    """
    account = _held(session, clean_email(email))
    if account is not None and account.email_verified_at is None and _may_have_link(session, account):
        _send_link(session, account, settings)


def waiting_for(session: Session, token: str) -> str:
    """The address that a link would prove, without using it up. Raises Invalid for a link that does not work."""
    return session.get_one(Account, links.look(session, token, TokenPurpose.VERIFY_EMAIL).account_id).email


def check_sign_up(session: Session, token: str, password: str) -> Account:
    """The account that a link and its password finish. Takes a reading session: hashing is slow on purpose.

    Raises Invalid for a link that does not work, or another password than the one of the sign-up.
    """
    account = session.get_one(Account, links.look(session, token, TokenPurpose.VERIFY_EMAIL).account_id)
    if not passwords.matches(account, password):
        raise Invalid(
            "sign_up.password",
            "This is not the password that was chosen at sign-up.",
            fix="If you have forgotten it, or never chose one, choose a new password.",
        )
    return account


def finish(session: Session, token: str) -> Account:
    """Finish a sign-up after `check_sign_up`: the address is proved. Raises Invalid for a link that does not work."""
    account = session.get_one(Account, links.look(session, token, TokenPurpose.VERIFY_EMAIL).account_id)
    lock(session, account)
    links.use(session, token, TokenPurpose.VERIFY_EMAIL)
    prove_address(session, account)
    return account


def prove_address(session: Session, account: Account) -> None:
    """Note that the holder of the account reads the mail to its address."""
    links.kill(session, account.id, TokenPurpose.VERIFY_EMAIL)
    if account.email_verified_at is None:
        account.email_verified_at = now()
        audit.record(session, _itself(account), "account.email_verified", account)


def forget_unproved(session: Session) -> int:
    """Delete sign-ups that were not finished within a week; gives how many. For a periodic duty."""
    query = select(Account).where(
        Account.email_verified_at.is_(None),
        Account.erased_at.is_(None),
        Account.created_at < now() - UNPROVED_KEPT,
        ~holds.held(Account.id),
    )
    found = list(session.scalars(query.limit(_BATCH).with_for_update(skip_locked=True)))
    _forget(session, found)
    return len(found)


def forget_unfinished(session: Session, email: str) -> None:
    """Delete the sign-up of an address that was not finished, if there is one: its mailbox was proved otherwise.

    One that a legal hold is on stays, and keeps its address.
    """
    account = _held(session, email)
    if account is not None and account.email_verified_at is None and not holds.is_held(session, account.id):
        _forget(session, [account])


def _forget(session: Session, accounts: list[Account]) -> None:
    ids = [account.id for account in accounts]
    for account in accounts:
        audit.record(session, Actor.system("registration"), "account.sign_up_forgotten", account)
    for table in (OneTimeToken, LoginEvent, LegalHold):
        session.execute(delete(table).where(table.account_id.in_(ids)))
    session.execute(delete(Account).where(Account.id.in_(ids)))


def _refuse_closed(settings: Settings) -> None:
    if settings.accounts.sign_up == "closed":
        raise Forbidden(
            "sign_up.closed", "Nobody can sign up here by themselves.", fix=f"Ask {settings.contact} for an account."
        )


def _held(session: Session, email: str) -> Account | None:
    """The account of an address, kept from others until the commit."""
    account = session.scalar(select(Account).where(Account.email == email))
    if account is not None:
        lock(session, account)
    return account


def _add(session: Session, email: str, name: str, password_hash: str, *, role: Role, plan: str) -> Account | None:
    """A new account, or None when the address has one, even if that was made at the same time."""
    shown = one_line(name, 120) or email.split("@")[0]
    account = Account(
        email=email, name=shown, role=role, plan=plan, password_hash=password_hash, password_is_temporary=False
    )
    try:
        with session.begin_nested():
            session.add(account)
            session.flush()
    except IntegrityError:
        return None
    return account


def _start_again(session: Session, account: Account, name: str, password_hash: str, settings: Settings) -> None:
    """Let a new sign-up replace an unfinished one."""
    if not _may_have_link(session, account):
        return
    account.name = one_line(name, 120) or account.email.split("@")[0]
    account.password_hash = password_hash
    account.created_at = now()
    _send_link(session, account, settings)


def _may_have_link(session: Session, account: Account) -> bool:
    return links.issued_since(session, account.id, TokenPurpose.VERIFY_EMAIL, _HOUR) < LINKS_PER_HOUR


def _send_link(session: Session, account: Account, settings: Settings) -> None:
    links.kill(session, account.id, TokenPurpose.VERIFY_EMAIL)
    token = links.issue(session, account.id, TokenPurpose.VERIFY_EMAIL, settings.accounts.link_lifetime)
    letter = letters.confirm_address(settings, token)
    key = f"confirm-address:{crypto.digest(token)}"
    mail.post(session, to=account.email, subject=letter.subject, text=letter.text, key=key, owner_id=account.id)


def _itself(account: Account) -> Actor:
    return Actor("account", str(account.id))
