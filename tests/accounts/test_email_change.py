"""Moving to another address: both mailboxes are told, and only the account that asked may finish it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from app.accounts import email_change
from app.accounts.models import Account, OneTimeToken
from app.core.errors import Invalid, RateLimited, Unauthenticated
from tests.accounts.conftest import OTHER, Accounts
from tests.world import actor_of

ADA, NEW, BOB = "ada@example.org", "lovelace@example.org", "bob@example.org"


def ask(door: Accounts, account: Account, new: str) -> str:
    with door.world.databases.writing() as session:
        row = session.get_one(Account, account.id)
        return email_change.ask(session, row, new, actor_of(row), settings=door.settings)


def confirm(door: Accounts, account: Account, token: str) -> None:
    with door.world.databases.writing() as session:
        row = session.get_one(Account, account.id)
        email_change.confirm(session, row, token, actor_of(row), settings=door.settings)


def test_from_the_question_to_the_new_address(door: Accounts) -> None:
    account = door.member(ADA)
    assert ask(door, account, "Lovelace@Example.org") == NEW
    assert "It stays as it is until" in door.mails(ADA)[-1].text
    assert door.settings.contact in door.mails(ADA)[-1].text
    link = door.mails(NEW)[-1]
    assert door.world.get(Account, account.id).email == ADA
    with door.world.databases.reading() as session:
        assert email_change.wanted(session, session.get_one(Account, account.id), link.token) == NEW
    confirm(door, account, link.token)
    assert door.world.get(Account, account.id).email == NEW
    assert "has another e-mail address" in door.mails(ADA)[-1].text
    assert door.settings.contact in door.mails(ADA)[-1].text
    assert door.who(door.enter(NEW).token).id == account.id
    with pytest.raises(Unauthenticated):
        door.enter(ADA)
    with pytest.raises(Invalid, match="used already"):
        confirm(door, account, link.token)


def test_links_that_were_sent_to_the_old_address_die(door: Accounts) -> None:
    account = door.member(ADA)
    door.ask_reset(ADA)
    reset = door.mails(ADA)[-1].token
    ask(door, account, NEW)
    confirm(door, account, door.mails(NEW)[-1].token)
    with pytest.raises(Invalid, match="too old"):
        door.reset(reset)


def test_nobody_else_finishes_it(door: Accounts) -> None:
    account, bob = door.member(ADA), door.member(BOB)
    ask(door, account, NEW)
    token = door.mails(NEW)[-1].token
    with pytest.raises(Invalid, match="belongs to another account"):
        confirm(door, bob, token)
    confirm(door, account, token)


def test_whether_an_address_is_taken_is_told_to_its_mailbox_only(door: Accounts) -> None:
    account = door.member(ADA)
    door.member(BOB)
    assert ask(door, account, BOB) == BOB  # the same answer as for a free one
    assert "have an account already" in door.mails(BOB)[-1].subject
    assert "token=" not in door.mails(BOB)[-1].text


def test_an_address_that_was_taken_meanwhile(door: Accounts) -> None:
    account = door.member(ADA)
    ask(door, account, NEW)
    token = door.mails(NEW)[-1].token
    door.member(NEW)
    with pytest.raises(Invalid, match="already an account"):
        confirm(door, account, token)
    assert door.world.get(Account, account.id).email == ADA


def test_an_unfinished_sign_up_blocks_nobody(door: Accounts) -> None:
    account = door.member(ADA)
    door.sign_up(NEW, OTHER)  # by somebody who does not read that mail
    ask(door, account, NEW)
    confirm(door, account, door.mails(NEW)[-1].token)
    assert door.world.rows(select(Account.email)) == [NEW]


def test_asking_again_kills_the_older_link_and_has_an_end(door: Accounts) -> None:
    account = door.member(ADA)
    for number in range(3):
        ask(door, account, f"a{number}@example.org")
    with pytest.raises(Invalid, match="newer one"):
        confirm(door, account, door.mails("a0@example.org")[0].token)
    with pytest.raises(RateLimited):
        ask(door, account, NEW)
    door.age(OneTimeToken, "created_at", timedelta(hours=1))
    ask(door, account, NEW)


def test_the_present_address_and_what_is_none(door: Accounts) -> None:
    account = door.member(ADA)
    for wrong, code in (("ADA@example.org", "account.same_email"), ("nonsense", "account.email")):
        with pytest.raises(Invalid) as said:
            ask(door, account, wrong)
        assert said.value.code == code
