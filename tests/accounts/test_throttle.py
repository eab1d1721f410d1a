"""Guessing is slowed down, and nobody can lock anybody else out by it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.accounts import housekeeping, throttle
from app.accounts.models import FailedLogin
from app.core.errors import RateLimited, Unauthenticated
from tests.accounts.conftest import GOOD, OTHER, Accounts, Hashing

ADA = "ada@example.org"
EVIL = "203.0.113.9"


def guess(door: Accounts, times: int, *, email: str = ADA, address: str = EVIL, browser: str = "") -> None:
    for _ in range(times):
        with pytest.raises(Unauthenticated):
            door.check(email, "guess", address, browser)


def guess_from_everywhere(door: Accounts, times: int) -> None:
    for number in range(times):
        guess(door, 1, address=f"203.0.113.{number}")


@pytest.mark.parametrize("email", [ADA, "nobody@example.org", "no address"])
def test_ten_an_hour_for_account_and_network_whether_it_exists_or_not(door: Accounts, email: str) -> None:
    door.member(ADA)
    guess(door, 10, email=email)
    for typed in (email, email.upper() if "@" in email else email):
        with pytest.raises(RateLimited, match=r"Try again in an hour\.") as said:
            door.check(typed, GOOD, EVIL)
        assert 3500 < said.value.retry_after <= 3600
        assert "link to a new password" in (said.value.fix or "")
    door.enter(ADA)  # the owner, from elsewhere
    guess(door, 1, email="bob@example.org")  # another account, from there


def test_the_wait_is_until_the_next_one_may_pass(door: Accounts) -> None:
    door.member(ADA)
    guess(door, 1)
    door.age(FailedLogin, "at", timedelta(minutes=50))
    guess(door, 9)
    with pytest.raises(RateLimited, match=r"Try again in 10 minutes\.") as said:
        door.check(ADA, GOOD, EVIL)
    assert 590 < said.value.retry_after <= 600
    door.age(FailedLogin, "at", timedelta(minutes=10))
    door.check(ADA, GOOD, EVIL)


def test_a_network_that_tries_many_accounts(door: Accounts) -> None:
    for number in range(100):
        guess(door, 1, email=f"p{number}@example.org", address=f"2001:db8::{number:x}")
    with pytest.raises(RateLimited):
        door.check("new@example.org", "guess", "2001:db8:0:0:ffff::1")
    guess(door, 1, email="new@example.org", address="2001:db8:0:1::1")


def test_an_attack_from_everywhere_does_not_lock_the_owner_out(door: Accounts) -> None:
    door.member(ADA)
    known = door.enter(ADA).known_browsers
    guess_from_everywhere(door, 50)
    with pytest.raises(RateLimited):
        door.check(ADA, "guess", "198.51.100.1")
    door.enter(ADA, browser=known)
    door.enter(ADA, address=EVIL, browser=known)  # even from the attacker's own network


def test_the_reset_by_mail_lets_the_owner_in_even_with_a_strange_browser(door: Accounts) -> None:
    door.member(ADA)
    guess_from_everywhere(door, 50)
    with pytest.raises(RateLimited):
        door.enter(ADA)
    door.ask_reset(ADA)
    now_known = door.reset(door.mails(ADA)[-1].token)
    assert door.who(door.enter(ADA, OTHER, browser=now_known).token).email == ADA


def test_a_known_browser_counts_its_own_failures(door: Accounts) -> None:
    door.member(ADA)
    known = door.enter(ADA).known_browsers
    guess(door, 10, browser=known)
    with pytest.raises(RateLimited):
        door.check(ADA, GOOD, browser=known)
    door.check(ADA, GOOD)  # without the cookie it is any browser


def test_a_browser_known_to_one_account_is_strange_to_another(door: Accounts) -> None:
    door.member(ADA)
    bob = door.member("bob@example.org")
    bobs = door.enter(bob.email).known_browsers
    guess_from_everywhere(door, 50)
    with pytest.raises(RateLimited):
        door.check(ADA, "guess", browser=bobs)
    both = door.enter(bob.email, browser=bobs).known_browsers
    assert both == bobs


def test_one_browser_is_known_to_several_accounts(door: Accounts) -> None:
    for email in (ADA, "bob@example.org"):
        door.member(email)
    cookie = door.enter(ADA).known_browsers
    cookie = door.enter("bob@example.org", browser=cookie).known_browsers
    guess_from_everywhere(door, 50)
    assert door.enter(ADA, browser=cookie).known_browsers == cookie


@pytest.mark.parametrize("cookie", ["x" * 5000, "." * 100, "a.b.c.d.e.f", "\u20ac", "\x00", "' OR 1=1 --"])
def test_made_up_cookies(door: Accounts, cookie: str) -> None:
    door.member(ADA)
    guess(door, 10, browser=cookie)
    with pytest.raises(RateLimited):
        door.check(ADA, GOOD, EVIL, cookie)
    assert len(door.enter(ADA, browser=cookie).known_browsers) < 300


def test_known_and_unknown_addresses_cost_the_same_work(door: Accounts, hashing: Hashing) -> None:
    door.member(ADA)
    for email in (ADA, "nobody@example.org", "no address", "\x00"):
        hashing.checks = 0
        guess(door, 1, email=email)
        assert hashing.checks == 1


def test_who_is_slowed_down_costs_no_work(door: Accounts, hashing: Hashing) -> None:
    guess(door, 10)
    hashing.checks = 0
    with pytest.raises(RateLimited):
        door.check(ADA, GOOD, EVIL)
    assert hashing.checks == 0


def test_failures_are_forgotten_after_a_day(door: Accounts) -> None:
    guess(door, 3)
    door.age(FailedLogin, "at", timedelta(days=1, minutes=1))
    guess(door, 1, email="bob@example.org")
    with door.world.databases.writing() as session:
        housekeeping.tidy(session)
    assert door.world.count(FailedLogin) == 3  # account with network, network, account


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("x" * 100, "x" * 64),
    ],
)
def test_what_counts_as_one_network(address: str, place: str) -> None:
    assert throttle.network(address) == place
