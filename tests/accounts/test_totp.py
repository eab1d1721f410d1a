"""Authenticator apps: which codes are taken, and each only once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from sqlalchemy import select, update

from app.accounts import totp
from app.accounts.factor_models import TotpFactor
from app.accounts.models import Account
from app.core import crypto
from app.core.audit import AuditEntry
from app.core.errors import Invalid
from tests.world import World, actor_of

NOON = datetime(2026, 8, 5, 12, 0, 10, tzinfo=UTC)
STEP = timedelta(seconds=totp.STEP_SECONDS)


class Clock:
    """The time that the service sees."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(NOON)
    monkeypatch.setattr(totp, "now", clock)
    return clock


@pytest.fixture
def key(world: World) -> bytes:
    return crypto.web_secret(world.settings)


def code_at(secret: str, at: datetime) -> str:
    return pyotp.TOTP(secret).at(at)


def enrolled(world: World, key: bytes) -> tuple[Account, str]:
    """An account with an app whose last code is long past, and its secret."""
    account = world.account()
    secret = pyotp.random_base32()
    with world.databases.writing() as session:
        totp.store(session, session.get_one(Account, account.id), secret, key, actor_of(account))
    return account, secret


def accept(world: World, account: Account, code: str, key: bytes) -> bool:
    with world.databases.writing() as session:
        return totp.accept(session, account.id, code, key)


@pytest.mark.parametrize(("steps", "right"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_code_is_good_for_its_step_and_one_to_each_side(
    world: World, clock: Clock, key: bytes, steps: int, right: bool
) -> None:
    account, secret = enrolled(world, key)
    assert accept(world, account, code_at(secret, NOON + steps * STEP), key) is right


def test_a_code_works_once_and_no_older_one_after_it(world: World, clock: Clock, key: bytes) -> None:
    account, secret = enrolled(world, key)
    code = code_at(secret, NOON)
    assert accept(world, account, code, key)
    assert not accept(world, account, code, key)
    assert not accept(world, account, code_at(secret, NOON - STEP), key)
    clock.at = NOON + STEP
    assert accept(world, account, code_at(secret, NOON + STEP), key)


def test_one_code_sent_twice_at_the_same_time_is_taken_once(world: World, clock: Clock, key: bytes) -> None:
    account, secret = enrolled(world, key)
    code = code_at(secret, NOON)
    with ThreadPoolExecutor(4) as threads:
        taken = list(threads.map(lambda _: accept(world, account, code, key), range(4)))
    assert sorted(taken) == [False, False, False, True]


@pytest.mark.parametrize(
    "odd", ["", "0", "abcdef", "12345", "1234567", "\uff11\uff12\uff13\uff14\uff15\uff16", "\x00" * 6, "9" * 5000]
)
def test_what_is_no_code(world: World, clock: Clock, key: bytes, odd: str) -> None:
    account, _ = enrolled(world, key)
    assert not accept(world, account, odd, key)


def test_a_code_may_have_spaces_as_the_app_shows_it(world: World, clock: Clock, key: bytes) -> None:
    account, secret = enrolled(world, key)
    code = code_at(secret, NOON)
    assert accept(world, account, f" {code[:3]} {code[3:]} ", key)


def test_an_app_is_stored_only_after_its_first_code(world: World, clock: Clock, key: bytes) -> None:
    account = world.account()
    enrolment = totp.begin(account.id, key)
    assert enrolment.groups.replace(" ", "") == enrolment.secret
    back = totp.resume(account.id, enrolment.ticket, key)
    assert back.secret == enrolment.secret
    wrong = code_at(pyotp.random_base32(), NOON)
    with pytest.raises(Invalid, match="That code does not fit"), world.databases.writing() as session:
        totp.confirm(session, session.get_one(Account, account.id), back, wrong, key, actor_of(account))
    assert world.count(TotpFactor) == 0
    first = code_at(enrolment.secret, NOON)
    with world.databases.writing() as session:
        totp.confirm(session, session.get_one(Account, account.id), back, first, key, actor_of(account))
    assert not accept(world, account, first, key)  # it was used up by setting up
    clock.at = NOON + STEP
    assert accept(world, account, code_at(enrolment.secret, clock.at), key)


def test_a_ticket_is_for_one_account_and_half_an_hour(world: World, clock: Clock, key: bytes) -> None:
    account, other = world.account(), world.account()
    ticket = totp.begin(account.id, key).ticket
    bent = ticket[:-6] + ("AAAAAA" if ticket[-6:] != "AAAAAA" else "BBBBBB")
    for whose, sent in ((other, ticket), (account, bent), (account, ""), (account, "ü"), (account, "x" * 4000)):
        with pytest.raises(Invalid, match="Start it again"):
            totp.resume(whose.id, sent, key)
    clock.at = NOON + totp.TICKET_LIFETIME + timedelta(seconds=1)
    with pytest.raises(Invalid, match="Start it again"):
        totp.resume(account.id, ticket, key)


def test_a_new_app_replaces_the_old_one(world: World, clock: Clock, key: bytes) -> None:
    account, old = enrolled(world, key)
    new = pyotp.random_base32()
    with world.databases.writing() as session:
        totp.store(session, session.get_one(Account, account.id), new, key, actor_of(account))
    assert world.count(TotpFactor) == 1
    assert not accept(world, account, code_at(old, NOON), key)
    assert accept(world, account, code_at(new, NOON), key)


def test_the_secret_is_stored_sealed_and_for_its_account_only(world: World, clock: Clock, key: bytes) -> None:
    account, secret = enrolled(world, key)
    other, _ = enrolled(world, key)
    (factor,) = world.rows(select(TotpFactor).where(TotpFactor.account_id == account.id))
    assert secret.encode() not in factor.sealed_secret
    with world.databases.writing() as session:
        session.execute(
            update(TotpFactor).where(TotpFactor.account_id == other.id).values(sealed_secret=factor.sealed_secret)
        )
    with pytest.raises(ValueError, match="not sealed"):
        accept(world, other, code_at(secret, NOON), key)
    facts = world.rows(select(AuditEntry.facts).where(AuditEntry.action == "totp_factor.added"))
    assert secret not in str(facts)


def test_the_address_and_its_drawing(world: World, key: bytes) -> None:
    account = world.account()
    secret = pyotp.random_base32()
    address = totp.address(account, secret, "Vouch")
    read = pyotp.parse_uri(address)
    assert (read.secret, read.name, read.issuer) == (secret, account.email, "Vouch")
    drawn = totp.qr_code(address)
    assert drawn.startswith("<svg")
    assert "style=" not in drawn  # our own rules forbid styles inside pages
