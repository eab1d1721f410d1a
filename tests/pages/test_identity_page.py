"""The identity page over HTTP: the check and its ends, a changed card or name, and a provider that does not answer."""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlalchemy import select

from app.accounts.registration import NewAccount
from app.billing.models import Verification
from app.billing.verification import STARTS_A_DAY, vouch_for
from app.core.db import now
from tests.harness import Service
from tests.pages.browsing import Page, Visitor
from tests.pages.paying import Payer, provider_down
from tests.world import OPERATOR

Visit = Callable[[Service, NewAccount], Visitor]
IDENTITY = "/account/identity"
START = ("post", IDENTITY)


def read(person: Payer | Visitor, path: str = IDENTITY) -> Page:
    answer = (person.visitor if isinstance(person, Payer) else person).get(path)
    assert answer.status_code == 200
    return Page.read(answer.text)


def test_from_the_button_to_verified_with_nothing_kept_of_the_document(payer: Payer) -> None:
    assert "Not verified yet" in read(payer).text
    started = payer.visitor.post(IDENTITY)
    assert re.fullmatch(r"/sandbox/identity/\S+", started.headers["location"])
    assert payer.visitor.post(IDENTITY).headers["location"] == started.headers["location"], "the same check goes on"
    back = payer.visitor.post(started.headers["location"], outcome="verified", name="Ada Lovelace")
    assert back.headers["location"] == f"{IDENTITY}?back=1"
    assert payer.account.verified_at is None, "nobody has told us yet"
    shown = read(payer, back.headers["location"])  # the page asks the provider itself
    assert "Verified since" in shown.text
    assert START not in shown.forms
    assert payer.account.verified_at is not None
    (kept,) = payer.service.world.rows(select(Verification).where(Verification.account_id == payer.id))
    assert "ada" not in str({key: value for key, value in vars(kept).items() if key != "id"}).lower()


def test_a_refused_document_says_why_and_the_check_goes_on(payer: Payer) -> None:
    payer.show_bad_document()
    shown = read(payer)
    assert "The check needs you" in shown.text
    assert "The document is no longer valid. Start again with one that is." in shown.text
    assert "Go on with the check" in shown.text
    assert START in shown.forms


def test_while_it_is_looked_at_there_is_nothing_to_press(payer: Payer) -> None:
    payer.have_it_looked_at()
    shown = read(payer)
    assert "Being looked at" in shown.text
    assert START not in shown.forms
    again = payer.visitor.post(IDENTITY)
    assert (again.status_code, "being looked at" in again.text) == (422, True)


def test_another_card_asks_for_a_new_check_and_takes_nothing_away_until_then(payer: Payer) -> None:
    payer.subscribe().prove().press("card", "other")
    shown = read(payer)
    assert "Please verify again by" in shown.text
    assert START in shown.forms
    payer.prove()
    assert "Please verify again by" not in read(payer).text
    assert payer.account.recheck_by is None


def test_a_new_check_that_needs_input_does_not_hide_that_the_old_one_counts(payer: Payer) -> None:
    payer.subscribe().prove().press("card", "other").show_bad_document()
    said = read(payer).text
    assert "Verified since" in said
    assert "The document is no longer valid." in said


def test_the_check_can_be_begun_only_so_often(payer: Payer) -> None:
    with payer.tools.databases.writing() as session:
        for number in range(STARTS_A_DAY):
            begun = Verification(
                account_id=payer.id, method="sandbox", state="canceled", external_id=f"{payer.id}{number}"
            )
            begun.finished_at = now()
            session.add(begun)
    answer = payer.visitor.post(IDENTITY)
    assert answer.status_code == 429
    assert "Please try again tomorrow." in Page.read(answer.text).text


def test_a_provider_that_does_not_answer_is_said_on_the_page(payer: Payer, service: Service) -> None:
    payer.check_page()
    with provider_down(service):
        assert "Not verified yet" in read(payer, f"{IDENTITY}?back=1").text
        answer = payer.visitor.post(IDENTITY)
        assert answer.status_code == 503
        assert "does not answer" in Page.read(answer.text).text
    assert payer.visitor.post(IDENTITY).status_code == 303, "and what was begun goes on afterwards"


def test_who_will_be_deleted_shows_no_document_to_anybody(payer: Payer) -> None:
    payer.show_bad_document()
    payer.visitor.post("/account/data/delete", email=payer.account.email)
    answer = payer.visitor.post(IDENTITY)
    assert (answer.status_code, "will be deleted" in Page.read(answer.text).text) == (422, True)
    payer.visitor.post("/account/data/keep")
    assert payer.visitor.post(IDENTITY).status_code == 303


def test_where_the_operator_verifies_people_the_page_says_whom_to_ask(without_provider: Service, visit: Visit) -> None:
    person = visit(without_provider, without_provider.world.newcomer(verified=False))
    shown = read(person)
    assert "The operator of this service verifies people. Ask your administrator" in shown.text
    assert START not in shown.forms
    answer = person.post(IDENTITY)
    assert (answer.status_code, "The operator verifies people here." in answer.text) == (422, True)
    with without_provider.world.databases.writing() as session:
        vouch_for(session, session.merge(person.account), "I know her.", OPERATOR)
    said = read(person).text
    assert "by the operator" in said
    assert "I know her." not in said, "the reason is for the record"
