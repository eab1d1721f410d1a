"""The password that the operator hands over is for the first days: it can't become the one for good."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.accounts import passwords
from app.accounts.models import Account
from app.core.errors import Forbidden, Unauthenticated
from tests.accounts.conftest import GOOD, OTHER, Accounts


def test_it_works_for_a_week(door: Accounts) -> None:
    made = door.world.newcomer()
    email = made.account.email
    door.age(Account, "created_at", passwords.TEMPORARY_FOR - timedelta(minutes=1))
    door.enter(email, made.password)
    door.age(Account, "created_at", timedelta(minutes=1))
    with pytest.raises(Forbidden) as refused:
        door.enter(email, made.password)
    assert refused.value.code == "login.temporary_over"
    with pytest.raises(Unauthenticated):  # who guesses learns nothing of it
        door.enter(email, "wrong")


def test_the_link_by_mail_helps_whoever_comes_later(door: Accounts) -> None:
    made = door.world.newcomer()
    door.age(Account, "created_at", timedelta(days=30))
    door.ask_reset(made.account.email)
    door.reset(door.mails(made.account.email)[-1].token)
    assert door.who(door.enter(made.account.email, OTHER).token).id == made.account.id


def test_a_password_of_ones_own_has_no_end(door: Accounts) -> None:
    door.member("ada@example.org")
    door.age(Account, "created_at", timedelta(days=4000))
    assert door.who(door.enter("ada@example.org", GOOD).token).email == "ada@example.org"
