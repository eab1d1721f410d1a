"""The profile over HTTP: a name that was verified, an address that is moved, links that are not one's own."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest
from sqlalchemy import select

from app.accounts.models import Account, OneTimeToken, TokenPurpose
from app.accounts.registration import NewAccount
from app.core.audit import AuditEntry
from tests.harness import Service
from tests.pages.browsing import Page, Visitor, log_in, visitor
from tests.pages.paying import Payer
from tests.pages.test_security_page import let_time_pass
from tests.pages.test_sign_up import last_mail, link_to

Visit = Callable[[Service, NewAccount], Visitor]
PROFILE = "/account/profile"
LINK_PAGE = "/account/email/confirm"


def account(service: Service, person: Visitor) -> Account:
    found: Account = service.world.get(Account, person.account.id)
    return found


def ask(person: Visitor, email: str) -> httpx2.Response:
    return person.post(f"{PROFILE}/email", new_email=email)


def test_a_new_name_has_a_verified_person_verified_again(payer: Payer) -> None:
    payer.subscribe("creator").prove()
    assert payer.visitor.get("/voices/new").status_code == 200
    assert payer.visitor.post(f"{PROFILE}/name", name="  Ada \u202e King\n ").status_code == 303
    assert payer.account.name == "Ada King"
    refused = payer.visitor.get("/voices/new")
    assert refused.status_code == 403
    assert "clone.recheck" in refused.text
    assert "name on your account has changed" in last_mail(payer.service, payer.account.email)
    payer.prove()
    assert payer.visitor.get("/voices/new").status_code == 200


def test_the_same_name_changes_nothing(payer: Payer) -> None:
    payer.subscribe("creator").prove()
    payer.visitor.post(f"{PROFILE}/name", name=payer.account.name)
    assert payer.account.recheck_by is None


@pytest.mark.parametrize("name", ["", "  ", "\u202e\n"])
def test_a_name_that_is_none_is_not_taken(service: Service, customer: Visitor, name: str) -> None:
    answer = customer.post(f"{PROFILE}/name", name=name)
    assert (answer.status_code, "Please give a name." in answer.text) == (422, True)
    assert account(service, customer).name == "A Person"


def test_an_address_is_moved_by_the_link_that_only_the_new_mailbox_gets(service: Service, customer: Visitor) -> None:
    old, new = customer.account.email, "moved@example.org"
    asked = ask(customer, " Moved@Example.org ")
    assert f"Open the link that we have sent to {new}." in Page.read(asked.text).text
    assert account(service, customer).email == old
    assert "token=" not in last_mail(service, old), "the present address is told and can do nothing with it"
    link = link_to(service, new)
    shown = customer.get(link)
    assert (old in shown.text, new in shown.text) == (True, True)
    assert account(service, customer).email == old, "looking uses nothing up"
    token = link.partition("token=")[2]
    assert customer.post(LINK_PAGE, token=token).headers["location"] == PROFILE
    assert account(service, customer).email == new
    with visitor(service) as other:
        assert log_in(other, new, customer.password).status_code == 303
    again = customer.get(link)
    assert (again.status_code, "used already" in again.text) == (422, True)
    audited = service.world.rows(select(AuditEntry.action).where(AuditEntry.subject_id == str(customer.account.id)))
    assert "account.email_changed" in audited


def test_an_address_is_moved_only_by_who_has_just_shown_that_it_is_them(service: Service, customer: Visitor) -> None:
    let_time_pass(service, customer)
    answer = ask(customer, "thief@example.org")
    assert (answer.status_code, answer.headers["location"][:16]) == (303, "/account/confirm")
    wanted = select(OneTimeToken).where(OneTimeToken.account_id == customer.account.id)
    assert service.world.rows(wanted) == []


def test_somebody_elses_link_moves_nobody(service: Service, customer: Visitor, visit: Visit) -> None:
    other = visit(service, service.world.newcomer())
    ask(customer, "mine@example.org")
    link = link_to(service, "mine@example.org")
    token = link.partition("token=")[2]
    for answer in (other.get(link), other.post(LINK_PAGE, token=token)):
        assert answer.status_code == 422
        assert "belongs to another account" in Page.read(answer.text).text
    assert account(service, other).email == other.account.email
    assert customer.post(LINK_PAGE, token=token).status_code == 303, "and it still works for who asked"


def test_a_link_that_was_tampered_with_or_meant_for_something_else_moves_nobody(
    service: Service, customer: Visitor
) -> None:
    ask(customer, "later@example.org")
    token = link_to(service, "later@example.org").partition("token=")[2]
    customer.client.post("/password/forgotten", data={"email": customer.account.email})
    reset = link_to(service, customer.account.email).partition("token=")[2]
    for bad in (token[:-1] + ("A" if token[-1] != "A" else "B"), "", token * 9, reset):
        for answer in (customer.get(LINK_PAGE, params={"token": bad}), customer.post(LINK_PAGE, token=bad)):
            assert answer.status_code == 422
            assert "later@example.org" not in answer.text
    assert account(service, customer).email == customer.account.email


def test_a_newer_wish_kills_the_older_link(service: Service, customer: Visitor) -> None:
    ask(customer, "first@example.org")
    first = link_to(service, "first@example.org")
    ask(customer, "second@example.org")
    assert customer.get(first).status_code == 422
    assert customer.get(link_to(service, "second@example.org")).status_code == 200


def test_an_address_that_has_an_account_gets_the_same_answer_and_is_not_taken(
    service: Service, customer: Visitor
) -> None:
    known = service.world.newcomer().account.email
    pages = [Page.read(ask(customer, email).text).text.replace(email, "X") for email in (known, "unknown@example.org")]
    assert pages[0] == pages[1]
    assert "token=" not in last_mail(service, known)


@pytest.mark.parametrize("email", ["", "no address", "a@b", "x" * 250 + "@example.org"])
def test_what_is_no_address_is_shown_again_with_why(customer: Visitor, email: str) -> None:
    answer = ask(customer, email)
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    assert f'value="{email}"' in answer.text


def test_only_three_links_an_hour(service: Service, customer: Visitor) -> None:
    answers = [ask(customer, f"place{number}@example.org").status_code for number in range(4)]
    assert answers == [200, 200, 200, 429]
    purpose = OneTimeToken.purpose == TokenPurpose.CHANGE_EMAIL
    made = select(OneTimeToken).where(OneTimeToken.account_id == customer.account.id, purpose)
    assert len(service.world.rows(made)) == 3


def test_a_new_password_needs_the_present_one(service: Service, customer: Visitor) -> None:
    new = "four tired herons wade"
    wrong = customer.post("/account/password", current_password="a guess", new_password=new)
    assert wrong.status_code == 422
    weak = customer.post("/account/password", current_password=customer.password, new_password="qwertyuiop12")
    assert (weak.status_code, "easy to guess" in weak.text) == (422, True)
    assert customer.post("/account/password", current_password=customer.password, new_password=new).status_code == 303
    assert customer.get(PROFILE).status_code == 200, "this browser stays signed in"
    with visitor(service) as other:
        assert log_in(other, customer.account.email, new).status_code == 303
