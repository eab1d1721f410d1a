"""Confirmation, and the second step when several requests come at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from app.accounts import confirmation, second_factor, second_step
from app.accounts.confirmation import NotConfirmed
from app.accounts.models import Account, LoginEvent, LoginOutcome, LoginSession
from app.accounts.second_factor import Visit
from app.accounts.sessions import account_of_session, start_session
from app.core.db import now
from app.core.errors import RateLimited, Unauthenticated
from tests.world import World, actor_of

HERE = Visit("198.51.100.7", "a browser")
IDLE = timedelta(days=1)


def log_in(world: World, account: Account) -> tuple[LoginSession, str]:
    with world.databases.writing() as session:
        started = start_session(session, account.id, address="", user_agent="", settings=world.settings)
    return started.login, started.token


def is_confirmed(world: World, login: LoginSession) -> bool:
    with world.databases.reading() as session:
        try:
            confirmation.demand(session, login.id, world.settings)
        except NotConfirmed:
            return False
        return True


def test_a_sign_in_counts_for_a_while(world: World) -> None:
    login, _ = log_in(world, world.account())
    assert is_confirmed(world, login)
    for ago, confirmed in ((timedelta(seconds=-5), True), (timedelta(seconds=5), False)):
        with world.databases.writing() as session:
            moment = now() - world.settings.web.confirm_for - ago
            session.execute(update(LoginSession).values(confirmed_at=moment))
        assert is_confirmed(world, login) is confirmed


def test_who_has_no_session_is_not_confirmed(world: World) -> None:
    with world.databases.reading() as session, pytest.raises(NotConfirmed):
        confirmation.demand(session, None, world.settings)


def test_confirming_gives_the_session_a_new_token(world: World) -> None:
    account = world.account()
    login, old = log_in(world, account)
    with world.databases.writing() as session:
        row = session.get_one(Account, account.id)
        new = confirmation.note(session, row, login.id, means="code", second_factor=True)
    with world.databases.reading() as session:
        assert account_of_session(session, new, IDLE)[1].second_factor
        with pytest.raises(Unauthenticated):
            account_of_session(session, old, IDLE)
    with world.databases.writing() as session:
        row = session.get_one(Account, account.id)
        newer = confirmation.note(session, row, login.id, means="password", second_factor=False)
        assert account_of_session(session, newer, IDLE)[1].second_factor  # once proved, it stays


def step_of(world: World) -> tuple[Account, str]:
    """An account with an app, whose password was right, and the token of its second step."""
    account = world.account()
    with world.databases.writing() as session:
        row = session.get_one(Account, account.id)
        second_factor.enrol_at_desk(session, row, world.settings, actor_of(account))
        token = second_step.begin(session, row, "/")
    return account, token


def test_wrong_codes_sent_at_once_are_all_counted(world: World) -> None:
    _, token = step_of(world)
    ready = threading.Barrier(8)

    def guess(_: int) -> bool:
        ready.wait()
        try:
            with world.databases.writing() as session:
                second_step.take_code(session, token, "000000", world.settings, HERE)
        except (Unauthenticated, RateLimited):
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(guess, range(8))) == second_step.MAX_WRONG
    assert world.count(LoginEvent, LoginEvent.outcome == LoginOutcome.WRONG_CODE) == second_step.MAX_WRONG


def test_one_code_sent_at_once_starts_one_session(world: World) -> None:
    account, token = step_of(world)
    code = world.code(account)
    ready = threading.Barrier(4)

    def sign_in(_: int) -> bool:
        ready.wait()
        try:
            with world.databases.writing() as session:
                taken = second_step.take_code(session, token, code, world.settings, HERE)
                if isinstance(taken, int):
                    return False
                second_step.finish(session, token)
                start_session(
                    session, account.id, address="", user_agent="", settings=world.settings, second_factor=True
                )
        except Unauthenticated:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(sign_in, range(4))) == [False, False, False, True]
    assert world.count(LoginSession, LoginSession.account_id == account.id) == 1


def test_a_right_code_does_not_help_a_dead_step(world: World) -> None:
    account, token = step_of(world)
    for _ in range(second_step.MAX_WRONG):
        with world.databases.writing() as session:
            second_step.take_code(session, token, "000000", world.settings, HERE)
    code = world.code(account)
    with pytest.raises(Unauthenticated, match="Please sign in again"), world.databases.writing() as session:
        second_step.take_code(session, token, code, world.settings, HERE)
    unused = select(LoginSession).where(LoginSession.account_id == account.id)
    assert world.rows(unused) == []
