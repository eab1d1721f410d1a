"""Recovery codes: shown once, used once, each replaced by a new set."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from app.accounts import recovery
from app.accounts.factor_models import RecoveryCode
from app.accounts.models import Account
from app.core import crypto
from app.core.audit import AuditEntry
from tests.world import World, actor_of


def renew(world: World, account: Account) -> list[str]:
    key = crypto.web_secret(world.settings)
    with world.databases.writing() as session:
        return recovery.renew(session, session.get_one(Account, account.id), key, actor_of(account))


def use(world: World, account: Account, code: str) -> bool:
    key = crypto.web_secret(world.settings)
    with world.databases.writing() as session:
        return recovery.use(session, session.get_one(Account, account.id), code, key, actor_of(account))


def left(world: World, account: Account) -> int:
    with world.databases.reading() as session:
        return recovery.left(session, account.id)


def test_ten_codes_each_works_once(world: World) -> None:
    account = world.account()
    codes = renew(world, account)
    assert len(set(codes)) == recovery.CODES == 10
    assert all(re.fullmatch(r"[0-9a-hjkmnp-tv-z]{4}(-[0-9a-hjkmnp-tv-z]{4}){2}", code) for code in codes)
    for number, code in enumerate(codes):
        assert use(world, account, code)
        assert not use(world, account, code)
        assert left(world, account) == 9 - number


def test_one_code_sent_several_times_at_once_is_used_once(world: World) -> None:
    account = world.account()
    code = renew(world, account)[0]
    with ThreadPoolExecutor(4) as threads:
        used = list(threads.map(lambda _: use(world, account, code), range(4)))
    assert sorted(used) == [False, False, False, True]
    assert left(world, account) == 9


def test_a_code_is_for_its_own_account(world: World) -> None:
    account, other = world.account(), world.account()
    codes = renew(world, account)
    renew(world, other)
    assert not use(world, other, codes[0])
    assert use(world, account, codes[0])


def test_new_codes_end_the_old_ones(world: World) -> None:
    account = world.account()
    old = renew(world, account)
    new = renew(world, account)
    assert not use(world, account, old[0])
    assert use(world, account, new[0])


def test_a_code_may_be_typed_as_people_type(world: World) -> None:
    account = world.account()
    code = renew(world, account)[0]
    misread = code.replace("0", "o").replace("1", "l").upper().replace("-", " ")
    assert recovery.looks_like_one(misread)
    assert use(world, account, f" {misread} ")


@pytest.mark.parametrize("odd", ["", "-", "123456", "a" * 11, "a" * 13, "u" * 12, "ａ" * 12, "\x00" * 12, "x" * 9000])
def test_what_is_no_code(world: World, odd: str) -> None:
    account = world.account()
    renew(world, account)
    assert not use(world, account, odd)
    assert not recovery.looks_like_one(odd)


def test_codes_are_stored_nowhere(world: World) -> None:
    account = world.account()
    codes = renew(world, account)
    use(world, account, codes[0])
    stored = str(world.rows(select(RecoveryCode.code_digest))) + str(world.rows(select(AuditEntry.facts)))
    for code in codes:
        plain = code.replace("-", "")
        assert plain not in stored
        assert crypto.digest(plain) not in stored  # nor what a copy of the database alone could try out
