"""Sessions: how long they last, which there are, how they end; and mail about strange browsers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.accounts import browsers, sessions
from app.accounts.models import Account, KnownBrowser, LoginSession
from app.accounts.rules import Capability
from app.accounts.standing import capabilities_of, require
from app.core.errors import Forbidden, NotFound, Unauthenticated
from tests.accounts.conftest import GOOD, Accounts
from tests.world import actor_of

ADA = "ada@example.org"


def strange(door: Accounts) -> int:
    return len([mail for mail in door.mails(ADA) if "A new browser has signed in" in mail.subject])


def test_a_session_that_is_not_used_ends(door: Accounts) -> None:
    account = door.member(ADA)
    token = door.enter(ADA).token
    idle = door.settings.web.session_idle
    door.age(LoginSession, "seen_at", idle - timedelta(minutes=1))
    door.who(token)
    assert len(door.sessions_of(account)) == 1
    door.age(LoginSession, "seen_at", timedelta(minutes=1))
    with pytest.raises(Unauthenticated):
        door.who(token)
    assert door.sessions_of(account) == []


def test_a_session_ends_however_much_it_is_used(door: Accounts) -> None:
    account = door.member(ADA)
    started = door.enter(ADA)
    door.age(LoginSession, "expires_at", door.settings.web.session_lifetime - timedelta(minutes=1))
    door.who(started.token)
    door.age(LoginSession, "expires_at", timedelta(minutes=1))
    with pytest.raises(Unauthenticated):
        door.who(started.token)
    assert door.sessions_of(account) == []


def test_use_is_written_down_every_five_minutes(door: Accounts) -> None:
    door.member(ADA)
    login = door.enter(ADA).login
    idle = door.settings.web.session_idle
    for minutes, stale in ((4, False), (6, True)):
        row = door.world.get(LoginSession, login.id)
        row.seen_at = row.seen_at - timedelta(minutes=minutes)
        assert sessions.seen_is_stale(row, idle) is stale
    row = door.world.get(LoginSession, login.id)
    row.seen_at = row.seen_at - timedelta(seconds=20)
    assert sessions.seen_is_stale(row, timedelta(minutes=1))  # so that a short limit does not end what is in use
    door.age(LoginSession, "seen_at", timedelta(hours=1))
    before = door.world.get(LoginSession, login.id).seen_at
    with door.world.databases.writing() as session:
        sessions.note_seen(session, login.id)
    assert door.world.get(LoginSession, login.id).seen_at - before >= timedelta(hours=1)


def test_ending_one_and_all_others(door: Accounts) -> None:
    account = door.member(ADA)
    mine, second, third = (door.enter(ADA) for _ in range(3))
    with door.world.databases.writing() as session:
        row = session.get_one(Account, account.id)
        sessions.end_session(session, row, second.login.id, actor_of(row))
    with pytest.raises(Unauthenticated):
        door.who(second.token)
    assert {login.id for login in door.sessions_of(account)} == {mine.login.id, third.login.id}
    with door.world.databases.writing() as session:
        row = session.get_one(Account, account.id)
        assert sessions.end_other_sessions(session, row, actor_of(row), keep=mine.login.id) == 1
    with pytest.raises(Unauthenticated):
        door.who(third.token)
    assert door.who(mine.token).id == account.id


def test_the_sessions_of_others_are_out_of_reach(door: Accounts) -> None:
    door.member(ADA)
    bob = door.member("bob@example.org")
    mine = door.enter(ADA)
    with door.world.databases.writing() as session:
        row = session.get_one(Account, bob.id)
        with pytest.raises(NotFound):
            sessions.end_session(session, row, mine.login.id, actor_of(row))
        assert sessions.end_other_sessions(session, row, actor_of(row), keep=None) == 0
    door.who(mine.token)


def test_a_strange_browser_is_told_of_but_not_the_very_first(door: Accounts) -> None:
    door.member(ADA)
    known = door.enter(ADA).known_browsers
    assert strange(door) == 0
    door.enter(ADA, browser=known)
    assert strange(door) == 0
    door.enter(ADA, address="198.51.100.4")
    assert strange(door) == 1
    said = door.mails(ADA)[-1].text
    assert "Firefox on Linux" in said
    assert "198.51.100.4" in said
    assert f"{door.settings.public_url}/password/forgotten" in said


def test_a_browser_is_known_for_180_days_after_its_last_use(door: Accounts) -> None:
    door.member(ADA)
    known = door.enter(ADA).known_browsers
    door.age(KnownBrowser, "used_at", timedelta(days=179))
    door.enter(ADA, browser=known)
    door.age(KnownBrowser, "used_at", timedelta(days=179))
    door.enter(ADA, browser=known)
    assert strange(door) == 0
    door.age(KnownBrowser, "used_at", timedelta(days=181))
    door.enter(ADA, browser=known)
    assert strange(door) == 1
    door.age(KnownBrowser, "used_at", timedelta(days=181))
    with door.world.databases.writing() as session:
        browsers.forget_old(session)
    assert door.world.count(KnownBrowser) == 0


def test_tokens_are_stored_as_digests_only(door: Accounts) -> None:
    door.member(ADA)
    started = door.enter(ADA)
    with door.world.databases.reading() as session:
        for table in ("login_session", "known_browser", "login_event", "failed_login", "audit_entry"):
            kept = repr(session.connection().exec_driver_sql(f"SELECT * FROM {table}").all())
            assert started.token not in kept
            assert started.known_browsers not in kept
            assert GOOD not in kept


def test_a_second_factor_is_written_into_session_and_history(door: Accounts) -> None:
    account = door.member(ADA)
    with door.world.databases.writing() as session:
        started = sessions.start_session(
            session,
            account.id,
            address="",
            user_agent="x" * 10_000 + "\x00",
            settings=door.settings,
            means="passkey",
            second_factor=True,
        )
    assert started.login.second_factor
    assert len(started.login.user_agent) == 200


def test_an_account_that_closes_may_sign_in_and_nothing_else(door: Accounts) -> None:
    account = door.member(ADA)
    door.world.change(account, closing_at=account.created_at + timedelta(days=7))
    again = door.who(door.enter(ADA).token)
    assert capabilities_of(again) == {Capability.SIGN_IN}
    require(again, Capability.SIGN_IN)
    with pytest.raises(Forbidden, match="will be deleted on") as said:
        require(again, Capability.SPEAK)
    assert "undo the deletion" in (said.value.fix or "")


def test_an_erased_account_is_over(door: Accounts) -> None:
    account = door.member(ADA)
    token = door.enter(ADA).token
    door.world.change(account, erased_at=account.created_at)
    for attempt in (lambda: door.who(token), lambda: door.enter(ADA)):
        with pytest.raises(Forbidden, match="deleted"):
            attempt()
    before = len(door.mails())
    door.ask_reset(ADA)
    assert len(door.mails()) == before
