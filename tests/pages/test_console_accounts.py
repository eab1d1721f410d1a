"""The console's pages of signals and accounts: what they show, what closes, and who may decide what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from app.accounts.models import Account, Role, Standing
from app.accounts.registration import NewAccount
from app.accounts.signals import Signal, SignalKind, raise_signal
from app.billing.models import CardSeen
from app.core.audit import AuditEntry
from app.core.db import now
from tests.conftest import make_settings
from tests.harness import Service, running
from tests.pages.browsing import Page, Visitor
from tests.world import OPERATOR

Visit = Callable[[Service, NewAccount], Visitor]


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Service]:
    """A service of the test's own: the list of signals is everybody's."""
    with running(make_settings(tmp_path), worker=False) as service:
        yield service


@pytest.fixture
def moderator_here(fresh: Service, visit: Visit) -> Visitor:
    return visit(fresh, fresh.world.newcomer(role=Role.MODERATOR))


@pytest.fixture
def operator_here(fresh: Service, visit: Visit) -> Visitor:
    return visit(fresh, fresh.world.newcomer(role=Role.OPERATOR))


def signal(service: Service, account: Account, *, restricted: bool, reference: str = "du_1") -> Signal:
    with service.world.databases.writing() as session:
        made = raise_signal(
            session, account.id, SignalKind.DISPUTE, reference, "A payment is disputed.", actor=OPERATOR
        )
        made.restricted = restricted
    return made


def test_a_signal_is_shown_and_closed_with_a_note(fresh: Service, moderator_here: Visitor) -> None:
    account = fresh.world.account(standing=Standing.RESTRICTED)
    made = signal(fresh, account, restricted=True)
    shown = Page.read(moderator_here.get("/console/signals").text)
    assert "A payment is disputed." in shown.text
    assert account.email in shown.text
    close = f"/console/signals/{made.id}/close"
    empty = moderator_here.post(close, note="  ")
    assert (empty.status_code, "the note is kept" in empty.text) == (422, True)
    assert fresh.world.get(Account, account.id).state is Standing.RESTRICTED
    assert moderator_here.post(close, note="The customer has shown the bank's letter.").status_code == 303
    assert fresh.world.get(Account, account.id).state is Standing.ACTIVE
    closed = fresh.world.get(Signal, made.id)
    assert str(moderator_here.account.id) in closed.closed_by
    assert "Nothing waits" in moderator_here.get("/console/signals").text
    assert "bank" in moderator_here.get(f"/console/accounts/{account.public_id}").text


def test_closing_one_of_two_lifts_nothing(fresh: Service, moderator_here: Visitor) -> None:
    account = fresh.world.account(standing=Standing.RESTRICTED)
    first, _ = signal(fresh, account, restricted=True), signal(fresh, account, restricted=True, reference="du_2")
    moderator_here.post(f"/console/signals/{first.id}/close", note="Seen.")
    assert fresh.world.get(Account, account.id).state is Standing.RESTRICTED


def test_an_account_is_found_by_its_whole_address_and_looking_is_kept(fresh: Service, moderator_here: Visitor) -> None:
    account = fresh.world.account()
    found = moderator_here.get("/console/accounts", params={"q": f" {account.email.upper()} "})
    assert (found.status_code, found.headers["location"]) == (303, f"/console/accounts/{account.public_id}")
    assert moderator_here.get("/console/accounts", params={"q": account.email[:-1]}).status_code == 404
    shown = Page.read(moderator_here.get(found.headers["location"]).text)
    assert account.email in shown.text
    looked = select(AuditEntry).where(
        AuditEntry.action == "account.looked_at", AuditEntry.subject_id == str(account.id)
    )
    assert [entry.actor_id for entry in fresh.world.rows(looked)] == [str(moderator_here.account.id)]


def test_accounts_with_the_same_card_are_shown(fresh: Service, moderator_here: Visitor) -> None:
    account, other = fresh.world.account(), fresh.world.account(standing=Standing.BANNED)
    with fresh.world.databases.writing() as session:
        session.add_all([CardSeen(account_id=each.id, fingerprint="same") for each in (account, other)])
    shown = Page.read(moderator_here.get(f"/console/accounts/{account.public_id}").text)
    assert other.email in shown.text
    assert f"/console/accounts/{other.public_id}" in shown.links


def test_an_operator_verifies_withdraws_and_sets_a_plan_with_reasons(fresh: Service, operator_here: Visitor) -> None:
    account = fresh.world.account(plan="free", verified=False)
    at = f"/console/accounts/{account.public_id}"
    assert operator_here.post(f"{at}/verify", reason="").status_code == 422
    assert operator_here.post(f"{at}/verify", reason="Saw the passport in a call.").status_code == 303
    assert fresh.world.get(Account, account.id).verified_at is not None
    assert "Saw the passport in a call." in operator_here.get(at).text
    assert operator_here.post(f"{at}/plan", plan="studio", reason="A gift.").status_code == 303
    assert fresh.world.get(Account, account.id).plan == "studio"
    assert operator_here.post(f"{at}/plan", plan="gold", reason="A gift.").status_code == 422
    assert operator_here.post(f"{at}/unverify", reason="It was somebody else's.").status_code == 303
    assert fresh.world.get(Account, account.id).verified_at is None


def test_nobody_decides_about_themselves(fresh: Service, operator_here: Visitor) -> None:
    own = f"/console/accounts/{operator_here.account.public_id}"
    answer = operator_here.post(f"{own}/plan", plan="studio", reason="Because I can.")
    assert answer.status_code == 422
    assert "Somebody else" in answer.text


@pytest.mark.parametrize("decision", ["verify", "unverify", "plan"])
def test_moderators_do_not_decide_for_the_operator(fresh: Service, moderator_here: Visitor, decision: str) -> None:
    account = fresh.world.account(plan="free", verified=False)
    path = f"/console/accounts/{account.public_id}"
    assert decision not in {action.rpartition("/")[2] for _, action in Page.read(moderator_here.get(path).text).forms}
    answer = moderator_here.post(f"{path}/{decision}", plan="studio", reason="I would like to.")
    assert answer.status_code == 403
    fresh_row = fresh.world.get(Account, account.id)
    assert (fresh_row.plan, fresh_row.verified_at) == ("free", None)


def test_nobody_closes_a_signal_about_themselves(fresh: Service, moderator_here: Visitor) -> None:
    made = signal(fresh, moderator_here.account, restricted=False)
    answer = moderator_here.post(f"/console/signals/{made.id}/close", note="Nothing to see here.")
    assert (answer.status_code, "Somebody else" in answer.text) == (422, True)
    assert fresh.world.get(Signal, made.id).closed_at is None


def test_an_erased_account_is_only_looked_at(fresh: Service, operator_here: Visitor) -> None:
    account = fresh.world.account(plan="free", verified=False)
    with fresh.world.databases.writing() as session:
        session.get_one(Account, account.id).erased_at = now()
    at = f"/console/accounts/{account.public_id}"
    for decision in ("verify", "plan"):
        assert ("post", f"{at}/{decision}") not in Page.read(operator_here.get(at).text).forms
        answer = operator_here.post(f"{at}/{decision}", plan="studio", reason="They came back.")
        assert (answer.status_code, "has been erased" in answer.text) == (422, True)
    kept = fresh.world.get(Account, account.id)
    assert (kept.plan, kept.verified_at) == ("free", None)


def test_customers_see_none_of_it(fresh: Service, visit: Visit) -> None:
    customer = visit(fresh, fresh.world.newcomer())
    made = signal(fresh, customer.account, restricted=False)
    paths = ("/console/signals", "/console/accounts", f"/console/accounts/{customer.account.public_id}")
    assert {customer.get(path).status_code for path in paths} == {403}
    assert customer.post(f"/console/signals/{made.id}/close", note="Mine.").status_code == 403
    assert fresh.world.get(Signal, made.id).closed_at is None
