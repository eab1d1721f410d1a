"""A new password by mail, and everything that a new password ends."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.accounts import links, passwords, resets, throttle
from app.accounts.history import history_of
from app.accounts.models import Account, LoginOutcome, OneTimeToken, TokenPurpose
from app.core.audit import AuditEntry
from app.core.errors import Invalid, RateLimited, Unauthenticated
from app.core.states import lock
from tests.accounts.conftest import GOOD, OTHER, Accounts, Hashing
from tests.flows.test_ban import somebody_waits
from tests.harness import until
from tests.world import actor_of

ADA = "ada@example.org"


def change(door: Accounts, account: Account, present: str, new: str, **given: object) -> None:
    """What the account page does."""
    with door.world.databases.reading() as session:
        row = session.get_one(Account, account.id)
        passwords.check_present(session, row, present, account.id)
    hashed = passwords.prepare(new, email=row.email, name=row.name)
    with door.world.databases.writing() as session:
        row = session.get_one(Account, account.id)
        passwords.replace(session, row, hashed, actor_of(row), settings=door.settings, **given)  # type: ignore[arg-type]


def test_from_the_question_to_a_new_password(door: Accounts) -> None:
    account = door.member(ADA)
    elsewhere = door.enter(ADA)
    door.ask_reset(" ADA@Example.org ")
    link = door.mails(ADA)[-1]
    assert f"{door.settings.public_url}/password/new?token=" in link.text
    door.reset(link.token)
    with pytest.raises(Unauthenticated):
        door.who(elsewhere.token)
    with pytest.raises(Unauthenticated):
        door.enter(ADA, GOOD)
    assert door.who(door.enter(ADA, OTHER).token).id == account.id
    assert "Your password was changed" in door.mails(ADA)[-2].subject  # the last is of the sign-in
    with door.world.databases.reading() as session:
        outcomes = {(line.outcome, line.means) for line in history_of(session, account.id)}
    assert (LoginOutcome.PASSWORD_RESET, "mail") in outcomes
    with pytest.raises(Invalid, match="used already"):
        door.reset(link.token)


def test_known_and_unknown_addresses_are_answered_alike(door: Accounts, hashing: Hashing) -> None:
    door.member(ADA)
    before, hashing.checks, hashing.hashes = len(door.mails()), 0, 0
    for email in ("nobody@example.org", ADA):
        assert door.ask_reset(email) is None  # type: ignore[func-returns-value]
    assert (hashing.checks, hashing.hashes) == (0, 0)
    assert len(door.mails()) == before + 1
    with pytest.raises(Invalid) as said:
        door.ask_reset("nonsense")
    assert said.value.code == "account.email"


def test_three_mails_an_hour_and_only_the_newest_works(door: Accounts) -> None:
    door.member(ADA)
    for _ in range(5):
        door.ask_reset(ADA)
    tokens = [mail.token for mail in door.mails(ADA) if "Choose a new password" in mail.subject]
    assert len(tokens) == 3
    for old in tokens[:-1]:
        with pytest.raises(Invalid, match="newer one"):
            door.reset(old)
    door.age(OneTimeToken, "created_at", timedelta(hours=1))
    door.ask_reset(ADA)
    newest = door.mails(ADA)[-1].token
    with pytest.raises(Invalid, match="newer one"):
        door.reset(tokens[-1])
    door.reset(newest)


def test_it_proves_the_address(door: Accounts) -> None:
    door.sign_up(ADA)
    first = door.mails(ADA)[0].token
    door.ask_reset(ADA)
    door.reset(door.mails(ADA)[-1].token)
    assert door.who(door.enter(ADA, OTHER).token).email_verified_at is not None
    with pytest.raises(Invalid, match="newer one"):
        door.finish(first, OTHER)


def test_a_weak_password_uses_nothing_up(door: Accounts) -> None:
    door.member(ADA)
    door.ask_reset(ADA)
    token = door.mails(ADA)[-1].token
    with pytest.raises(Invalid, match="easy to guess"):
        door.reset(token, "password1234")
    door.reset(token)


@pytest.mark.parametrize("how", ["changed", "reset"])
def test_a_new_password_ends_every_way_in_that_was_open(door: Accounts, how: str) -> None:
    account = door.member(ADA)
    with door.world.databases.writing() as session:
        tokens = {
            purpose: links.issue(session, account.id, purpose, timedelta(hours=1), {"email": "x@example.org"})
            for purpose in (TokenPurpose.RESET_PASSWORD, TokenPurpose.CHANGE_EMAIL, TokenPurpose.SECOND_STEP)
        }
    if how == "reset":
        door.reset(tokens[TokenPurpose.RESET_PASSWORD])
        del tokens[TokenPurpose.RESET_PASSWORD]
    else:
        change(door, account, GOOD, OTHER)
    for purpose, token in tokens.items():
        with pytest.raises(Invalid, match="too old"), door.world.databases.reading() as session:
            links.look(session, token, purpose)
    assert "account.password_changed" in door.world.rows(select(AuditEntry.action))


def test_a_change_keeps_this_browser_only(door: Accounts) -> None:
    account = door.member(ADA)
    mine = door.enter(ADA)
    other = door.enter(ADA)
    assert door.browsers_of(account) == 2
    before = len(door.mails(ADA))
    change(door, account, GOOD, OTHER, keep=mine.login.id, known_browsers=mine.known_browsers)
    assert door.who(mine.token).id == account.id
    with pytest.raises(Unauthenticated):
        door.who(other.token)
    assert [mail.subject for mail in door.mails(ADA)[before:]] == ["Vouch: Your password was changed"]
    door.enter(ADA, OTHER, browser=mine.known_browsers)
    assert len(door.mails(ADA)) == before + 1
    door.enter(ADA, OTHER, browser=other.known_browsers)  # no longer known
    assert "A new browser has signed in" in door.mails(ADA)[-1].subject


def test_the_present_password_is_not_guessed_with_a_stolen_session(door: Accounts) -> None:
    account = door.member(ADA)
    for _ in range(throttle.CONFIRMATIONS):
        with pytest.raises(Invalid, match="present password is wrong") as wrong:
            change(door, account, "guess", OTHER)
        with door.world.databases.writing() as session:
            throttle.note(session, wrong.value.facts["who"])
    with pytest.raises(RateLimited):
        change(door, account, GOOD, OTHER)
    door.enter(ADA)  # the owner is not slowed down


def test_asking_again_beside_using_the_link_ends_well(door: Accounts) -> None:
    """Both change the account and its links: in opposite orders each would wait for the other."""
    if door.world.databases.engine.dialect.name == "sqlite":
        pytest.skip("one writer at a time: nobody can come in between")
    account = door.member(ADA)
    door.ask_reset(ADA)
    token = door.mails(ADA)[-1].token
    with ThreadPoolExecutor(1) as pool:
        with door.world.databases.writing() as session:
            lock(session, session.get_one(Account, account.id))
            beside = pool.submit(door.reset, token)
            until(lambda: somebody_waits(door.world) or None, "the reset to wait")
            resets.ask(session, email=ADA, settings=door.settings)
        with pytest.raises(Invalid, match="newer one"):
            beside.result()
