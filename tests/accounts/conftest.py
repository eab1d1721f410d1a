"""Verbs of the account services, each in the transactions that the edge uses, and the mail that they cause."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select

from app.accounts import passwords, registration, resets, sessions, sign_in
from app.accounts.models import Account, KnownBrowser, LoginSession, OneTimeToken
from app.accounts.sessions import Started
from app.core import crypto
from app.core.db import now
from app.core.errands import Errand
from app.core.errors import Unauthenticated
from app.settings import Settings
from tests.world import World

HOME = "192.0.2.1"
GOOD = "purple monkey dishwasher 9"
OTHER = "seven green kettles sing"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@dataclass(frozen=True)
class Mailed:
    """One mail, as it is to be sent."""

    to: str
    subject: str
    text: str

    @property
    def token(self) -> str:
        """The token of the link in it."""
        return re.findall(r"\?token=([\w-]+)", self.text)[0]


@dataclass
class Accounts:
    """People at the door."""

    world: World

    @property
    def settings(self) -> Settings:
        """Those of the world."""
        return self.world.settings

    def mails(self, to: str | None = None) -> list[Mailed]:
        """All mails, or those to an address, oldest first."""
        rows = self.world.rows(select(Errand).where(Errand.kind == "mail").order_by(Errand.id))
        found = [Mailed(row.payload["to"], row.payload["subject"], row.payload["text"]) for row in rows]
        return [mail for mail in found if to in (None, mail.to)]

    def sign_up(self, email: str, password: str = GOOD, name: str = "Ada", **changes: Any) -> None:
        """Fill in the form."""
        settings = changes.pop("settings", self.settings)
        address = changes.pop("address", HOME)
        with self.world.databases.reading() as session:
            registration.may_sign_up(session, address=address, settings=settings)
        hashed = passwords.prepare(password, email=email, name=name)
        with self.world.databases.writing() as session:
            registration.register(
                session, email=email, name=name, password_hash=hashed, address=address, settings=settings
            )

    def finish(self, token: str, password: str = GOOD) -> Account:
        """Open the link and type the password."""
        with self.world.databases.reading() as session:
            registration.check_sign_up(session, token, password)
        with self.world.databases.writing() as session:
            return registration.finish(session, token)

    def member(self, email: str = "ada@example.org", password: str = GOOD) -> Account:
        """Somebody whose sign-up is finished."""
        self.sign_up(email, password)
        return self.finish(self.mails(email)[-1].token, password)

    def check(self, email: str, password: str, address: str = HOME, browser: str = "") -> Account:
        """The first step of signing in; a failure is counted."""
        try:
            with self.world.databases.reading() as session:
                return sign_in.check_password(
                    session, email=email, password=password, address=address, known_browsers=browser
                )
        except Unauthenticated as error:
            with self.world.databases.writing() as session:
                sign_in.note_failure(session, error.facts, address=address, user_agent=FIREFOX)
            raise

    def enter(self, email: str, password: str = GOOD, address: str = HOME, browser: str = "") -> Started:
        """Sign in with the password alone."""
        account = self.check(email, password, address, browser)
        with self.world.databases.writing() as session:
            return sessions.start_session(
                session,
                account.id,
                address=address,
                user_agent=FIREFOX,
                settings=self.settings,
                known_browsers=browser,
            )

    def who(self, token: str) -> Account:
        """Whose session a cookie is."""
        with self.world.databases.reading() as session:
            return sessions.account_of_session(session, token, self.settings.web.session_idle)[0]

    def ask_reset(self, email: str) -> None:
        """Fill in the form for a new password."""
        with self.world.databases.writing() as session:
            resets.ask(session, email=email, settings=self.settings)

    def reset(self, token: str, password: str = OTHER, browser: str = "") -> str:
        """Follow the link to a new password; gives the cookie of known browsers."""
        with self.world.databases.reading() as session:
            account = resets.holder(session, token)
        hashed = passwords.prepare(password, email=account.email, name=account.name)
        with self.world.databases.writing() as session:
            return resets.set_password(
                session,
                token,
                hashed,
                address=HOME,
                user_agent=FIREFOX,
                settings=self.settings,
                known_browsers=browser,
            )

    def age(self, table: type[Any], column: str, by: Any, *where: Any) -> None:
        """Let time pass for a column of all (or some) rows."""
        with self.world.databases.writing() as session:
            for row in session.scalars(select(table).where(*where)):
                setattr(row, column, getattr(row, column) - by)

    def forget_time(self) -> None:
        """Let every link be too old."""
        with self.world.databases.writing() as session:
            for row in session.scalars(select(OneTimeToken)):
                row.expires_at = now()

    def sessions_of(self, account: Account) -> list[LoginSession]:
        """Those that are not over."""
        with self.world.databases.reading() as session:
            return sessions.sessions_of(session, account.id, self.settings.web.session_idle)

    def browsers_of(self, account: Account) -> int:
        """In how many browsers the account is known."""
        return self.world.count(KnownBrowser, KnownBrowser.account_id == account.id)


@pytest.fixture
def door(world: World) -> Accounts:
    """The account services on a real database, one after the other kind."""
    return Accounts(world)


@dataclass
class Hashing:
    """How much password work was done."""

    checks: int = 0
    hashes: int = 0


@pytest.fixture
def hashing(monkeypatch: pytest.MonkeyPatch) -> Hashing:
    """Counts the real hash calls, the decoys too."""
    done, hasher = Hashing(), crypto._passwords

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(hasher, name)

        def verify(self, hashed: str, password: str) -> bool:
            done.checks += 1
            return hasher.verify(hashed, password)

        def hash(self, password: str) -> str:
            done.hashes += 1
            return hasher.hash(password)

    monkeypatch.setattr(crypto, "_passwords", Counting())
    return done
