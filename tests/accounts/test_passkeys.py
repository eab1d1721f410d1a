"""Passkeys: which answers of a browser are taken, and that each challenge works once and for one thing."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app.accounts import passkeys
from app.accounts.factor_models import Passkey
from app.accounts.models import Account, OneTimeToken
from app.accounts.passkeys import Ceremony, Site
from app.core.audit import AuditEntry
from app.core.db import now
from app.core.errors import Invalid, NotFound
from app.settings import Settings
from tests.accounts.authenticator import Authenticator
from tests.world import World, actor_of

SITE = Site("vouch.example", "https://vouch.example", "Vouch")
LOGIN = uuid.uuid4()


def device(**given: Any) -> Authenticator:
    return Authenticator(SITE.origin, **given)


def ask_to_add(world: World, account: Account) -> dict[str, Any]:
    with world.databases.writing() as session:
        return passkeys.begin_adding(session, session.get_one(Account, account.id), SITE, holder=LOGIN)


def add(world: World, account: Account, sent: str, name: str = "Phone") -> Passkey:
    with world.databases.writing() as session:
        challenge = passkeys.take_challenge(session, sent, Ceremony.ADD, account_id=account.id, holder=LOGIN)
    with world.databases.writing() as session:
        row = session.get_one(Account, account.id)
        actor = actor_of(account)
        return passkeys.add(session, row, SITE, challenge=challenge, sent=sent, name=name, actor=actor)


def added(world: World, account: Account, authenticator: Authenticator) -> Passkey:
    return add(world, account, authenticator.create(ask_to_add(world, account)))


def ask(world: World, ceremony: Ceremony = Ceremony.SIGN_IN, account: Account | None = None) -> dict[str, Any]:
    with world.databases.writing() as session:
        return passkeys.begin_proving(session, SITE, ceremony, account_id=account.id if account else None)


def prove(world: World, sent: str, ceremony: Ceremony = Ceremony.SIGN_IN) -> Account | None:
    with world.databases.writing() as session:
        challenge = passkeys.take_challenge(session, sent, ceremony)
    with world.databases.writing() as session:
        return passkeys.holder_of(session, SITE, challenge=challenge, sent=sent)


def test_a_passkey_signs_its_account_in(world: World) -> None:
    account = world.account()
    mine = device()
    kept = added(world, account, mine)
    assert (kept.account_id, kept.name) == (account.id, "Phone")
    options = ask(world)
    assert options["userVerification"] == "required"
    assert not options.get("allowCredentials")  # nobody learns from the page who has one
    found = prove(world, mine.get(options))
    assert found is not None
    assert found.id == account.id
    assert world.get(Passkey, kept.id).used_at is not None


def test_what_the_browser_is_asked_for(world: World) -> None:
    account = world.account()
    mine = device()
    added(world, account, mine)
    options = ask_to_add(world, account)
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert options["authenticatorSelection"]["residentKey"] == "preferred"
    assert len(options["excludeCredentials"]) == 1
    assert account.email not in json.dumps(options["user"]["id"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "https://vouch.example.evil"},
        {"origin": "http://vouch.example"},
        {"verifies": False},
    ],
)
def test_answers_from_elsewhere_or_without_a_check_of_the_holder(world: World, wrong: dict[str, Any]) -> None:
    account = world.account()
    mine = device()
    added(world, account, mine)
    for name, value in wrong.items():
        setattr(mine, name, value)
    assert prove(world, mine.get(ask(world))) is None
    other = Authenticator(**{"origin": SITE.origin, **wrong})
    with pytest.raises(Invalid, match="did not work"):
        added(world, account, other)
    assert world.count(Passkey) == 1


def test_another_site_s_id_is_refused(world: World) -> None:
    account = world.account()
    mine = device()
    added(world, account, mine)
    options = {**ask(world), "rpId": "evil.example"}
    assert prove(world, mine.get(options)) is None


def test_a_key_that_is_not_the_one_known(world: World) -> None:
    account = world.account()
    mine = device()
    added(world, account, mine)
    forged = device(credential_id=mine.credential_id)
    assert prove(world, forged.get(ask(world))) is None
    assert prove(world, device().get(ask(world))) is None  # a credential that nobody has


def test_a_challenge_works_once(world: World) -> None:
    account = world.account()
    mine = device()
    added(world, account, mine)
    sent = mine.get(ask(world))
    assert prove(world, sent) is not None
    with pytest.raises(Invalid, match="did not work"):
        prove(world, sent)


def test_a_challenge_sent_several_times_at_once_works_once(world: World) -> None:
    account = world.account()
    mine = device()
    added(world, account, mine)
    sent = mine.get(ask(world))

    def take(_: int) -> bool:
        try:
            return prove(world, sent) is not None
        except Invalid:
            return False

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(take, range(4))) == [False, False, False, True]


def test_a_challenge_is_for_one_thing_one_account_and_five_minutes(world: World) -> None:
    account, other = world.account(), world.account()
    mine = device()
    added(world, account, mine)
    for_step = mine.get(ask(world, Ceremony.SECOND_STEP, account))
    with pytest.raises(Invalid, match="did not work"):
        prove(world, for_step)
    for_adding = device().create(ask_to_add(world, account))
    with pytest.raises(Invalid, match="did not work"):
        add(world, other, for_adding)
    made_up = mine.get({**ask(world), "challenge": "bWFkZSB1cA"})
    with pytest.raises(Invalid, match="did not work"):
        prove(world, made_up)
    late = mine.get(ask(world))
    with world.databases.writing() as session:
        session.execute(update(OneTimeToken).values(expires_at=now() - timedelta(seconds=1)))
    with pytest.raises(Invalid, match="did not work"):
        prove(world, late)
    ask(world)
    assert world.count(OneTimeToken) == 1  # asking takes the old ones away


def test_a_counter_that_goes_back_is_refused_and_recorded(world: World) -> None:
    account = world.account()
    mine = device(count=7)
    kept = added(world, account, mine)
    assert prove(world, mine.get(ask(world))) is not None
    assert world.get(Passkey, kept.id).sign_count == 8
    for count in (3, 6):  # it counts up before it answers
        mine.count = count
        assert prove(world, mine.get(ask(world))) is None
    facts = world.rows(select(AuditEntry.facts).where(AuditEntry.action == "passkey.count_went_back"))
    assert facts == [{"known": 8, "sent": 4}, {"known": 8, "sent": 7}]
    mine.count = 8
    assert prove(world, mine.get(ask(world))) is not None


def test_one_that_counts_nothing_may_stay_at_zero(world: World) -> None:
    account = world.account()
    mine = device()
    added(world, account, mine)
    assert [prove(world, mine.get(ask(world))) is not None for _ in range(2)] == [True, True]


def test_the_same_passkey_is_kept_once(world: World) -> None:
    account, other = world.account(), world.account()
    mine = device()
    added(world, account, mine)
    for whose in (account, other):
        with pytest.raises(Invalid, match="did not work"):
            added(world, whose, mine)
    assert world.count(Passkey) == 1


def test_there_is_an_end_to_passkeys(world: World) -> None:
    account = world.account()
    for _ in range(passkeys.MAX_PASSKEYS):
        added(world, account, device())
    with pytest.raises(Invalid, match="You have 20 passkeys"):
        added(world, account, device())


def test_they_are_one_s_own(world: World) -> None:
    account, other = world.account(), world.account()
    kept = added(world, account, device())
    with world.databases.writing() as session:
        stranger = session.get_one(Account, other.id)
        for change in (
            lambda: passkeys.rename(session, stranger, kept.id, "mine", actor_of(other)),
            lambda: passkeys.remove(session, stranger, kept.id, actor_of(other)),
        ):
            with pytest.raises(NotFound):
                change()
        own = session.get_one(Account, account.id)
        passkeys.rename(session, own, kept.id, " \x00 My <b>key</b> ", actor_of(account))
    assert world.get(Passkey, kept.id).name == "My <b>key</b>"
    with world.databases.writing() as session:
        passkeys.remove(session, session.get_one(Account, account.id), kept.id, actor_of(account))
    assert world.count(Passkey) == 0


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "{}",
        "[]",
        "null",
        "[" * 10_000,
        '{"response": 7}',
        '{"response": {"clientDataJSON": "ü"}}',
        "\x00",
        "9" * 5000,
    ],
)
def test_what_no_browser_sends(world: World, odd: str) -> None:
    with pytest.raises(Invalid, match="did not work"), world.databases.writing() as session:
        passkeys.take_challenge(session, odd, Ceremony.SIGN_IN)


def test_half_an_answer(world: World) -> None:
    account = world.account()
    mine = device()
    added(world, account, mine)
    for part in ("authenticatorData", "signature", "clientDataJSON"):
        sent = json.loads(mine.get(ask(world)))
        with world.databases.writing() as session:
            challenge = passkeys.take_challenge(session, json.dumps(sent), Ceremony.SIGN_IN)
            for broken in (None, "", "!!", 7, "AAAA"):
                sent["response"][part] = broken
                assert passkeys.holder_of(session, SITE, challenge=challenge, sent=json.dumps(sent)) is None
    sent = json.loads(device().create(ask_to_add(world, account)))
    challenge = passkeys._challenge_in(json.dumps(sent))
    for broken in (None, "", "!!", 7, "AAAA", "oWNmbXQ"):
        sent["response"]["attestationObject"] = broken
        answer, actor = json.dumps(sent), actor_of(account)
        with pytest.raises(Invalid, match="did not work"), world.databases.writing() as session:
            passkeys.add(session, account, SITE, challenge=challenge, sent=answer, name="x", actor=actor)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://vouch.example", ("vouch.example", "https://vouch.example")),
        ("https://Vouch.example:443/", ("vouch.example", "https://vouch.example")),
        ("https://vouch.example:8443", ("vouch.example", "https://vouch.example:8443")),
        ("http://localhost:8800", ("localhost", "http://localhost:8800")),
        ("http://vouch.example", None),
        ("http://127.0.0.1:8800", None),
        ("https://[::1]", None),
    ],
)
def test_where_browsers_allow_passkeys(sqlite_settings: Settings, url: str, expected: tuple[str, str] | None) -> None:
    web = sqlite_settings.web.model_copy(update={"public_url": url})
    site = passkeys.site_of(sqlite_settings.model_copy(update={"web": web}))
    assert (site and (site.rp_id, site.origin)) == expected
