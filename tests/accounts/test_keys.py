"""API keys: what they look like, on which terms they work, how they end."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.accounts import keys
from app.accounts.key_format import MOST_FOUND, find_keys, looks_like_key, new_key
from app.accounts.key_models import ApiKey, KeyEnd, Scope
from app.accounts.keys import Terms
from app.accounts.models import Account, Role, Standing
from app.core import crypto
from app.core.audit import AuditEntry
from app.core.db import now
from app.core.errors import DomainError, Forbidden, Invalid, NotFound, Refused, Unauthenticated
from app.speech.service import ask_for_speech
from tests.world import World, actor_of

READ = frozenset({Scope.READ})
HOUR = timedelta(hours=1)


def make(world: World, account: Account, terms: Terms | None = None, name: str = "robot") -> tuple[ApiKey, str]:
    with world.databases.writing() as session:
        return keys.create_key(session, session.get_one(Account, account.id), name, actor_of(account), terms)


def use(world: World, key: str, address: str = "198.51.100.7") -> Account:
    with world.databases.reading() as session:
        return keys.account_of_key(session, key, address=address)[0]


def rotate(world: World, account: Account, row: ApiKey, grace: timedelta = timedelta(0)) -> tuple[ApiKey, str]:
    with world.databases.writing() as session:
        mine = session.get_one(Account, account.id)
        return keys.rotate_key(session, mine, row.id, actor_of(account), grace=grace)


def revoke(world: World, account: Account, row: ApiKey) -> None:
    with world.databases.writing() as session:
        keys.revoke_key(session, session.get_one(Account, account.id), row.id, actor_of(account))


def change(world: World, row: ApiKey, **columns: Any) -> None:
    """Time passes: move the moments of a key."""
    with world.databases.writing() as session:
        fresh = session.get_one(ApiKey, row.id)
        for name, value in columns.items():
            setattr(fresh, name, value)


def why_not(world: World, key: str) -> tuple[str, str | None]:
    with pytest.raises(Unauthenticated) as refused:
        use(world, key)
    assert refused.value.code == "invalid_api_key"
    return refused.value.message, refused.value.rule


# what a key looks like


def test_a_key_is_recognised_by_its_checksum_alone() -> None:
    for key in {new_key() for _ in range(200)}:
        assert looks_like_key(key)
        assert len(key) == 42
        for place in (4, 20, 35, 36, 41):
            other = "b" if key[place] != "b" else "c"
            assert not looks_like_key(key[:place] + other + key[place + 1 :])
    for odd in ("", "vch_", new_key()[:-1], new_key() + "a", " " + new_key(), new_key().upper(), "é" * 42):
        assert not looks_like_key(odd)


def test_the_checksum_is_the_documented_one() -> None:
    """CRC-32 of what comes before, base 62 with digits, capitals, small letters: others have built scanners on it."""
    assert looks_like_key("vch_" + "0" * 32 + "4EuajC")


def test_keys_are_found_in_any_text_once_and_look_alikes_are_not() -> None:
    first, second = new_key(), new_key()
    before = "vch_" + crypto.secret_token()
    fake = "vch_" + "a" * 38
    text = f'x{first}y {{"key":"{second}"}} vch_{first}\n{fake} {before} https://x.example/?k={second}&'
    assert find_keys(text) == [*dict.fromkeys([first, second]), before]
    assert find_keys("vch_ " * 100 + "nothing") == []


def test_a_text_is_searched_for_so_many_keys_and_no_more() -> None:
    assert len(find_keys("\n".join("vch_" + f"{number:043}" for number in range(MOST_FOUND + 50)))) == MOST_FOUND


# terms


@pytest.mark.parametrize(
    ("role", "scopes"),
    [
        (Role.CUSTOMER, {Scope.READ, Scope.SPEAK, Scope.VOICES}),
        (Role.MODERATOR, {Scope.READ, Scope.MODERATE}),
        (Role.SENIOR, {Scope.READ, Scope.MODERATE}),
        (Role.OPERATOR, set(Scope)),
    ],
)
def test_a_key_may_have_only_scopes_that_its_holder_has_a_use_for(world: World, role: Role, scopes: set[Scope]) -> None:
    account = world.account(role=role)
    assert set(make(world, account)[0].scopes) == scopes
    for scope in Scope:
        if scope in scopes:
            assert make(world, account, Terms(frozenset({scope})))[0].scopes == [scope]
        else:
            with pytest.raises(Invalid, match="can't give a key"):
                make(world, account, Terms(READ | {scope}))


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        (Terms(frozenset()), "at least one"),
        (Terms(READ, character_cap=0), "whole number from 1"),
        (Terms(READ, character_cap=-5), "whole number from 1"),
        (Terms(READ, character_cap=10**10), "whole number from 1"),
        (Terms(READ, expires_at=now() - HOUR), "That day is over"),
    ],
)
def test_terms_that_can_not_be(world: World, terms: Terms, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        make(world, world.account(), terms)


def test_a_missing_scope_is_named_and_who_can_mend_it(world: World) -> None:
    customer = world.account()
    row, _ = make(world, customer, Terms(READ))
    keys.require_scopes(customer, row, ["read"])
    for scope, fix in (("speak", "make one on your account page"), ("moderate", "use an account that has this right")):
        with pytest.raises(Forbidden, match=scope) as refused:
            keys.require_scopes(customer, row, ["read", scope])
        assert refused.value.code == "missing_permissions"
        assert fix in (refused.value.fix or "")


def test_a_key_works_only_from_its_networks_and_does_not_say_which_those_are(world: World) -> None:
    account = world.account()
    _, key = make(world, account, Terms(READ, networks=("203.0.113.0/24", "2001:db8::/32")))
    for inside in ("203.0.113.9", "2001:db8:1::1", "::ffff:203.0.113.9"):
        assert use(world, key, inside).id == account.id
    for outside in ("203.0.114.1", "2001:db9::1", "", "unix:", "203.0.113.9.1"):
        with pytest.raises(Refused) as refused:
            use(world, key, outside)
        said = f"{refused.value.message} {refused.value.fix}"
        assert refused.value.rule == "key.network"
        assert "203.0.113" not in said
        assert "2001" not in said


def test_twenty_keys_and_no_more_even_at_the_same_time(world: World) -> None:
    account = world.newcomer().account
    gone = [make(world, account)[0] for _ in range(3)]
    revoke(world, account, gone[0])
    change(world, gone[1], expires_at=now() - HOUR)
    change(world, gone[2], revoked_at=now() - HOUR, ended_for=KeyEnd.ROTATED)

    def try_one(_: int) -> bool:
        try:
            make(world, account)
        except Invalid as error:
            return error.code != "key.too_many"
        return True

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(try_one, range(24))) == 19  # with the first key that every account gets
    with world.databases.reading() as session:
        assert keys.count_live(session, account.id) == keys.MOST_KEYS == len(keys.live_keys(session, account.id))


# ends


def test_an_ended_key_says_why_and_an_unknown_one_nothing(world: World) -> None:
    account = world.account()
    ends: list[tuple[dict[str, Any], str, str]] = [
        ({"revoked_at": now(), "ended_for": KeyEnd.REVOKED}, "was revoked", "key.revoked"),
        ({"revoked_at": now(), "ended_for": None}, "was revoked", "key.revoked"),
        ({"revoked_at": now(), "ended_for": KeyEnd.ROTATED}, "replaced by a new one", "key.rotated"),
        ({"revoked_at": now(), "ended_for": KeyEnd.LEAKED}, "found in public", "key.leaked"),
        ({"expires_at": now()}, "has expired", "key.expired"),
    ]
    for columns, words, rule in ends:
        row, key = make(world, account)
        change(world, row, **columns)
        message, said = why_not(world, key)
        assert (words in message, said) == (True, rule)
    unknown = {why_not(world, key) for key in (new_key(), "", "vch_", "x" * 9000, "vch_" + crypto.secret_token())}
    assert unknown == {("The API key is not valid. Make one on your account page.", None)}


def test_a_key_made_before_there_was_a_checksum_still_works(world: World) -> None:
    account = world.account()
    row, _ = make(world, account)
    before = "vch_" + crypto.secret_token()
    change(world, row, key_digest=crypto.digest(before))
    assert use(world, before).id == account.id


def test_rotation_gives_a_key_on_the_same_terms_and_ends_the_old_one_at_once(world: World) -> None:
    account = world.account()
    terms = Terms(READ | {Scope.SPEAK}, 500, ("203.0.113.0/24",), now() + timedelta(days=30))
    row, old = make(world, account, terms, "clock")
    change(world, row, created_at=now() - timedelta(days=20), expires_at=now() + timedelta(days=10))
    made, key = rotate(world, account, row)
    assert use(world, key, "203.0.113.5").id == account.id
    assert why_not(world, old)[1] == "key.rotated"
    assert (made.name, made.scopes, made.character_cap, made.allowed_networks) == (
        "clock", ["read", "speak"], 500, ["203.0.113.0/24"],
    )  # fmt: skip
    assert made.expires_at is not None
    assert abs(made.expires_at - now() - timedelta(days=30)) < timedelta(minutes=1)
    actions = set(world.rows(select(AuditEntry.action).where(AuditEntry.subject_id == str(row.id))))
    assert actions == {"api_key.created", "api_key.rotated"}


def test_with_grace_the_old_key_works_on_for_a_day_and_can_be_cut_short(world: World) -> None:
    account = world.account()
    row, old = make(world, account)
    rotate(world, account, row, keys.ROTATION_GRACE)
    assert use(world, old).id == account.id
    with pytest.raises(Invalid, match="ending already"):
        rotate(world, account, row)
    change(world, row, revoked_at=world.get(ApiKey, row.id).revoked_at - timedelta(hours=24))
    assert why_not(world, old)[1] == "key.rotated"
    other, key = make(world, account)
    rotate(world, account, other, keys.ROTATION_GRACE)
    revoke(world, account, other)
    assert why_not(world, key)[1] == "key.revoked"


def test_rotation_with_grace_is_no_way_to_a_key_too_many(world: World) -> None:
    account = world.account()
    rows = [make(world, account)[0] for _ in range(keys.MOST_KEYS - 1)]
    with pytest.raises(Invalid, match="You have 20 keys"):
        rotate(world, account, rows[0], keys.ROTATION_GRACE)
    assert world.get(ApiKey, rows[0].id).revoked_at is None
    rotate(world, account, rows[0])


def test_nobody_touches_anothers_key(world: World) -> None:
    owner, stranger = world.account(), world.account()
    row, key = make(world, owner)
    attempts: list[Callable[[], object]] = [
        lambda: revoke(world, stranger, row),
        lambda: rotate(world, stranger, row),
        lambda: revoke(world, stranger, ApiKey(id=uuid.uuid4())),
    ]
    for attempt in attempts:
        with pytest.raises(NotFound):
            attempt()
    with pytest.raises(NotFound), world.databases.writing() as session:
        keys.rename_key(session, session.get_one(Account, stranger.id), row.id, "mine", actor_of(stranger))
    assert use(world, key).id == owner.id


# the account behind it


def test_a_key_stops_with_its_account(world: World) -> None:
    account = world.account()
    _, key = make(world, account)
    world.set_standing(account, Standing.BANNED)
    with pytest.raises(Forbidden, match="closed"):
        use(world, key)
    world.set_standing(account, Standing.ACTIVE)
    world.change(account, closing_at=now() + timedelta(days=7))
    assert use(world, key).id == account.id  # it may still look,
    with pytest.raises(DomainError) as refused:  # but not speak
        world.speak(account, world.stock_voice())
    assert refused.value.status == 403
    world.change(account, erased_at=now())
    with pytest.raises(Forbidden, match="deleted"):
        use(world, key)


# the cap


def speak(world: World, account: Account, voice: str, key: uuid.UUID, words: str) -> None:
    with world.databases.writing() as session:
        ask_for_speech(
            session,
            session.get_one(Account, account.id),
            voice_id=voice,
            text=words,
            output_format="wav_24000",
            settings=world.settings,
            api_key_id=key,
        )


def test_twenty_requests_at_once_never_pass_the_cap_of_a_key(world: World) -> None:
    account = world.account(plan="studio")
    voice = world.stock_voice().public_id
    row, _ = make(world, account, Terms(frozenset({Scope.SPEAK}), character_cap=250))

    def ask(_: int) -> str | None:
        try:
            speak(world, account, voice, row.id, "x" * 100)
        except Refused as refused:
            return refused.rule
        return None

    with ThreadPoolExecutor(8) as threads:
        rules = list(threads.map(ask, range(20)))
    assert rules.count(None) == 2
    assert set(rules) == {None, "speak.key_cap"}
    speak(world, account, voice, row.id, "y" * 50)
    other, _ = make(world, account)
    speak(world, account, voice, other.id, "z" * 500)  # the cap is that key's alone
