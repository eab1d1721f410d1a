"""Sign-up: the same answer to everybody, and an account for nobody but who reads the mail and knows the password."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import select

from app.accounts import holds, passwords, registration
from app.accounts.history import history_of
from app.accounts.models import Account, LegalHold, LoginOutcome, Role
from app.accounts.registration import create_account
from app.core.audit import AuditEntry
from app.core.errors import Forbidden, Invalid, RateLimited, Unauthenticated
from app.settings import Accounts as AccountSettings
from tests.accounts.conftest import FIREFOX, GOOD, OTHER, Accounts, Hashing
from tests.world import OPERATOR
from workers.errands import PERIODIC
from workers.tools import Tools

ADA = "ada@example.org"


def only(door: Accounts) -> Account:
    (account,) = door.world.rows(select(Account))
    found: Account = account
    return found


def test_from_the_form_to_the_first_session(door: Accounts) -> None:
    door.sign_up("Ada@Example.org", name="Ada\u202e <b>")
    account = only(door)
    assert (account.email, account.name, account.role, account.plan) == (ADA, "Ada <b>", Role.CUSTOMER, "free")
    assert (account.email_verified_at, account.verified_at, account.password_is_temporary) == (None, None, False)
    (mail,) = door.mails()
    assert mail.to == ADA
    assert f"{door.settings.public_url}/sign-up/confirm?token=" in mail.text
    with pytest.raises(Forbidden, match="open the link in the mail") as waits:
        door.check(ADA, GOOD)
    assert waits.value.code == "login.unproved"
    with pytest.raises(Unauthenticated):
        door.enter(ADA, OTHER)  # what waits is said only to who knows the password
    assert door.finish(mail.token).id == account.id
    assert door.who(door.enter(ADA).token).id == account.id
    assert "account.email_verified" in door.world.rows(select(AuditEntry.action))


def test_the_mail_holds_nothing_that_the_sender_chose(door: Accounts) -> None:
    door.sign_up(ADA, name="Win at https://evil.example now")
    assert "evil" not in door.mails()[0].text + door.mails()[0].subject


def test_the_link_alone_brings_no_account_to_life(door: Accounts) -> None:
    door.sign_up(ADA, GOOD)  # by somebody who does not read Ada's mail
    token = door.mails()[0].token
    with pytest.raises(Invalid, match="not the password that was chosen") as said:
        door.finish(token, OTHER)
    assert said.value.code == "sign_up.password"
    assert only(door).email_verified_at is None
    door.ask_reset(ADA)
    door.reset(door.mails()[-1].token, OTHER)
    assert door.who(door.enter(ADA, OTHER).token).email_verified_at is not None
    with pytest.raises(Unauthenticated):
        door.enter(ADA, GOOD)


def test_a_known_address_changes_nothing_and_only_the_mailbox_learns_it(door: Accounts) -> None:
    account = door.member(ADA)
    before = door.world.get(Account, account.id)
    for _ in range(3):
        door.sign_up("ADA@example.org", OTHER, name="Somebody else")
    after = door.world.get(Account, account.id)
    assert (after.password_hash, after.name) == (before.password_hash, before.name)
    assert door.world.count(Account) == 1
    told = [mail for mail in door.mails(ADA) if "have an account already" in mail.subject]
    assert len(told) == 1  # within an hour
    assert f"{door.settings.public_url}/login" in told[0].text
    assert f"{door.settings.public_url}/password/forgotten" in told[0].text
    assert "token=" not in told[0].text


def test_known_and_unknown_addresses_cost_the_same_work(door: Accounts, hashing: Hashing) -> None:
    door.member(ADA)
    work = []
    for email in (ADA, "new@example.org"):
        hashing.checks = hashing.hashes = 0
        door.sign_up(email, OTHER)
        work.append((hashing.checks, hashing.hashes))
    assert work == [(0, 1), (0, 1)]


def test_signing_up_again_replaces_what_was_not_finished(door: Accounts) -> None:
    door.sign_up(ADA, GOOD, name="First")
    door.sign_up(ADA, OTHER, name="Second")
    first, second = [mail.token for mail in door.mails(ADA)]
    with pytest.raises(Invalid, match="too old, or a newer one"):
        door.finish(first, OTHER)
    with pytest.raises(Invalid, match="not the password"):
        door.finish(second, GOOD)
    assert door.finish(second, OTHER).name == "Second"


def test_a_mailbox_is_not_flooded(door: Accounts) -> None:
    for _ in range(5):
        door.sign_up(ADA, GOOD)
    assert len(door.mails(ADA)) == 3
    door.sign_up(ADA, OTHER)  # too much within an hour: nothing is replaced, so the newest link still works
    assert door.finish(door.mails(ADA)[-1].token, GOOD).email == ADA


def test_the_link_can_be_sent_again(door: Accounts) -> None:
    door.sign_up(ADA)
    door.member("known@example.org")
    before = len(door.mails())
    for email in (ADA, ADA, ADA, "known@example.org", "nobody@example.org"):
        with door.world.databases.writing() as session:
            registration.send_again(session, email=email, settings=door.settings)
    assert len(door.mails()) == before + 2  # three in an hour, the first was that of the sign-up
    tokens = [mail.token for mail in door.mails(ADA)]
    for old in tokens[:-1]:
        with pytest.raises(Invalid, match="newer one"):
            door.finish(old)
    door.finish(tokens[-1])


def test_two_sign_ups_at_the_same_moment_make_one_account(door: Accounts) -> None:
    hashed, start = passwords.prepare(GOOD, email=ADA, name="Ada"), Barrier(4)

    def sign_up(number: int) -> None:
        start.wait()
        with door.world.databases.writing() as session:
            registration.register(
                session, email=ADA, name=f"Ada {number}", password_hash=hashed, address="", settings=door.settings
            )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(sign_up, range(4)))
    assert door.world.count(Account) == 1
    assert 1 <= len(door.mails(ADA)) <= 3
    door.finish(door.mails(ADA)[-1].token)


@pytest.mark.parametrize("email", ["nonsense", "аda@example.org", "ada@example.org\x00"])
def test_what_is_no_address_is_said_at_once(door: Accounts, email: str) -> None:
    with pytest.raises(Invalid) as said:
        door.sign_up(email)
    assert said.value.code == "account.email"
    assert door.world.count(Account) == 0


def test_one_network_may_not_sign_up_without_end(door: Accounts) -> None:
    for number in range(30):
        door.sign_up(f"p{number}@example.org", address="2001:db8::1")
    with pytest.raises(RateLimited, match="sign-ups from your network") as said:
        door.sign_up("late@example.org", address="2001:db8::ffff")
    assert 3500 < said.value.retry_after <= 3600
    door.sign_up("late@example.org", address="2001:db8:1::1")


def test_closed(door: Accounts) -> None:
    closed = door.settings.model_copy(update={"accounts": AccountSettings(sign_up="closed"), "contact": "Mary"})
    with pytest.raises(Forbidden) as said, door.world.databases.reading() as session:
        registration.may_sign_up(session, address="", settings=closed)
    assert said.value.fix == "Ask Mary for an account."
    with pytest.raises(Forbidden), door.world.databases.writing() as session:
        registration.register(session, email=ADA, name="", password_hash="x", address="", settings=closed)
    assert door.world.count(Account) == 0


def test_what_is_not_finished_within_a_week_is_forgotten(door: Accounts) -> None:
    kept = door.member("known@example.org")
    for email in ("old@example.org", "held@example.org", "young@example.org"):
        door.sign_up(email)
    with pytest.raises(Unauthenticated):
        door.enter("old@example.org", OTHER)  # leaves a line of history
    old_ones = Account.email.in_(["old@example.org", "held@example.org", "known@example.org"])
    door.age(Account, "created_at", timedelta(days=7, minutes=1), old_ones)
    with door.world.databases.writing() as session:
        held = session.scalars(select(Account).where(Account.email == "held@example.org")).one()
        session.add(LegalHold(account_id=held.id, reason="ordered"))
    do_regular_duties(door)
    emails = set(door.world.rows(select(Account.email)))
    assert emails == {kept.email, "held@example.org", "young@example.org"}
    with pytest.raises(Invalid, match="does not work"):
        door.finish(door.mails("old@example.org")[0].token)


def test_a_hold_that_is_over_keeps_no_sign_up_and_one_in_force_outlasts_whoever_proves_the_address(
    door: Accounts,
) -> None:
    for email in ("over@example.org", "held@example.org"):
        door.sign_up(email)
        with door.world.databases.writing() as session:
            account = session.scalars(select(Account).where(Account.email == email)).one()
            holds.place(session, account, "ordered", OPERATOR)
            if email.startswith("over"):
                holds.lift(session, account, "settled", OPERATOR)
    door.age(Account, "created_at", timedelta(days=8))
    with door.world.databases.writing() as session:
        assert registration.forget_unproved(session) == 1
        registration.forget_unfinished(session, "held@example.org")
    assert door.world.rows(select(Account.email)) == ["held@example.org"]


def do_regular_duties(door: Accounts) -> None:
    """What the sweeper does now and then."""
    tools = Tools(door.settings)
    for _, _, duty in PERIODIC:
        duty(tools)
    tools.databases.close()


def test_a_later_sign_up_has_its_whole_week(door: Accounts) -> None:
    door.sign_up(ADA)
    door.age(Account, "created_at", timedelta(days=6))
    door.sign_up(ADA)
    door.age(Account, "created_at", timedelta(days=6))
    with door.world.databases.writing() as session:
        assert registration.forget_unproved(session) == 0


def test_the_operator_uses_the_same_spelling_and_answers_for_the_address(door: Accounts) -> None:
    def create(email: str) -> Account:
        with door.world.databases.writing() as session:
            return create_account(
                session,
                email=email,
                name="",
                role=Role.CUSTOMER,
                plan="free",
                verified=False,
                password=passwords.temporary(),
                actor=OPERATOR,
            ).account

    door.sign_up("ada@bücher.example")  # unfinished: no reason to refuse the operator
    made = create("Ada@BÜCHER.example")
    assert made.email == "ada@xn--bcher-kva.example"
    assert made.email_verified_at is not None
    assert made.password_is_temporary
    with pytest.raises(Invalid, match="already an account"):
        create("ada@xn--bcher-kva.example")
    assert door.world.count(Account) == 1


def test_a_failed_sign_in_is_a_line_of_history_only_where_there_is_an_account(door: Accounts) -> None:
    account = door.member(ADA)
    for email in (ADA, "nobody@example.org"):
        with pytest.raises(Unauthenticated):
            door.enter(email, "wrong")
    door.enter(ADA)
    with door.world.databases.reading() as session:
        lines = history_of(session, account.id)
    assert [line.outcome for line in lines] == [LoginOutcome.SIGNED_IN, LoginOutcome.WRONG_PASSWORD]
    assert {line.user_agent for line in lines} == {FIREFOX}
