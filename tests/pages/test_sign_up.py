"""Signing up over HTTP: the form, the mail, the link; and the same answers for everybody."""

from __future__ import annotations

import re

import httpx2
import pytest
from sqlalchemy import select

from app.accounts.models import Account
from app.core.errands import Errand
from tests.harness import Service
from tests.pages.browsing import Page, log_in, visitor

PASSWORD = "seven quiet otters row"
LINK = re.compile(r"http://\S+\?token=\S+")


def sign_up(client: httpx2.Client, email: str, **fields: str) -> httpx2.Response:
    given = {"name": "Grace Hopper", "email": email, "password": PASSWORD, "agree": "yes"}
    return client.post("/sign-up", data={**given, **fields})


def last_mail(service: Service, email: str) -> str:
    """The newest mail to an address that waits to be sent."""
    waiting = service.world.rows(select(Errand).where(Errand.kind == "mail").order_by(Errand.id))
    texts = [errand.payload["text"] for errand in waiting if errand.payload.get("to") == email]
    assert texts, f"no mail to {email}"
    return str(texts[-1])


def link_to(service: Service, email: str) -> str:
    found = LINK.search(last_mail(service, email))
    assert found
    return found[0].removeprefix(service.settings.public_url)


def accounts_of(service: Service, email: str) -> list[Account]:
    return service.world.rows(select(Account).where(Account.email == email))


def test_from_the_form_to_a_signed_in_account(service: Service, stranger: httpx2.Client) -> None:
    said = Page.read(sign_up(stranger, "grace@example.org").text)
    assert "We have written to grace@example.org" in said.text
    link = link_to(service, "grace@example.org")
    assert stranger.get(link).status_code == 200
    assert accounts_of(service, "grace@example.org")[0].email_verified_at is None, "looking uses nothing up"
    token = link.partition("token=")[2]
    wrong = stranger.post("/sign-up/confirm", data={"token": token, "password": "not this one at all"})
    assert wrong.status_code == 422
    assert "not the password" in wrong.text
    assert "choose a new password" in wrong.text
    done = stranger.post("/sign-up/confirm", data={"token": token, "password": PASSWORD})
    assert (done.status_code, done.headers["location"]) == (303, "/")
    assert "grace@example.org" in stranger.get("/account").text
    assert accounts_of(service, "grace@example.org")[0].email_verified_at is not None
    again = stranger.get(link)
    assert again.status_code == 422
    assert "used already" in Page.read(again.text).text


def test_a_known_address_gets_the_same_answer_as_a_new_one(service: Service, stranger: httpx2.Client) -> None:
    known = service.world.newcomer().account
    answers = [sign_up(stranger, email) for email in (known.email, "nobody.yet@example.org")]
    pages = [Page.read(answer.text).text.replace(known.email, "X") for answer in answers]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert pages[0] == pages[1].replace("nobody.yet@example.org", "X")
    assert len(accounts_of(service, known.email)) == 1
    assert "account" in last_mail(service, known.email)
    assert LINK.search(last_mail(service, known.email)) is None, "nothing in it finishes a sign-up"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"email": "no-address"}, "not an e-mail address"),
        ({"password": "short"}, "12 to 200"),
        ({"password": "qwertyuiop12"}, "easy to guess"),
        ({"name": "  "}, "Write your name"),
        ({"agree": ""}, "agree"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_typed_is_lost(
    service: Service, stranger: httpx2.Client, fields: dict[str, str], words: str
) -> None:
    answer = sign_up(stranger, **{"email": "careful@example.org", **fields})
    assert answer.status_code == 422
    assert words in Page.read(answer.text).text
    assert fields.get("email", "careful@example.org") in answer.text
    assert fields.get("password", PASSWORD) not in answer.text, "a password is never sent back"
    assert accounts_of(service, "careful@example.org") == []


def test_before_the_link_nobody_can_sign_in(service: Service, stranger: httpx2.Client) -> None:
    sign_up(stranger, "early@example.org")
    answer = log_in(stranger, "early@example.org", PASSWORD)
    assert answer.status_code == 403
    assert "mail" in Page.read(answer.text).text


def test_the_link_can_be_sent_again_and_the_older_one_dies(service: Service, stranger: httpx2.Client) -> None:
    sign_up(stranger, "again@example.org")
    first = link_to(service, "again@example.org")
    stranger.post("/sign-up/again", data={"email": "again@example.org"})
    second = link_to(service, "again@example.org")
    assert first != second
    assert stranger.get(first).status_code == 422
    assert stranger.get(second).status_code == 200


def test_a_forgotten_password(service: Service, stranger: httpx2.Client) -> None:
    made = service.world.newcomer()
    email = made.account.email
    answers = [stranger.post("/password/forgotten", data={"email": each}) for each in (email, "unknown@example.org")]
    pages = [Page.read(answer.text).text for answer in answers]
    assert pages[0].replace(email, "X") == pages[1].replace("unknown@example.org", "X")
    elsewhere = visitor(service)
    assert log_in(elsewhere, email, made.password).status_code == 303
    link = link_to(service, email)
    token = link.partition("token=")[2]
    assert stranger.get(link).status_code == 200
    weak = stranger.post("/password/new", data={"token": token, "password": "123456789012"})
    assert (weak.status_code, "easy to guess" in weak.text) == (422, True)
    assert stranger.post("/password/new", data={"token": token, "password": PASSWORD}).status_code == 200
    assert elsewhere.get("/account").status_code == 303, "every other browser is signed out"
    assert log_in(stranger, email, made.password).status_code == 401
    assert log_in(stranger, email, PASSWORD).status_code == 303
    assert stranger.post("/password/new", data={"token": token, "password": PASSWORD + " x"}).status_code == 422
    elsewhere.close()


@pytest.mark.parametrize("page", ["/sign-up/confirm", "/password/new"])
def test_a_link_that_is_none_leads_on(stranger: httpx2.Client, page: str) -> None:
    answer = stranger.get(page, params={"token": "made up" * 50})
    shown = Page.read(answer.text)
    assert answer.status_code == 422
    assert "does not work" in shown.text
    assert "/login" in shown.links


def test_signing_in_before_the_link_offers_to_send_it_again(service: Service, stranger: httpx2.Client) -> None:
    email = "early.bird@example.org"
    sign_up(stranger, email)
    first = link_to(service, email)
    offered = log_in(stranger, email, PASSWORD)
    shown = Page.read(offered.text)
    assert (offered.status_code, "open the link in the mail" in shown.text) == (403, True)
    assert ("post", "/sign-up/again") in shown.forms
    assert f'<input type="hidden" name="email" value="{email}">' in offered.text
    assert "on its way once more" in stranger.post("/sign-up/again", data={"email": email}).text
    assert link_to(service, email) != first


def test_only_the_right_password_is_told_that_a_sign_up_waits(service: Service, stranger: httpx2.Client) -> None:
    sign_up(stranger, "late.owl@example.org")
    answers = [log_in(stranger, email, "not this one") for email in ("late.owl@example.org", "no.owl@example.org")]
    assert ("post", "/sign-up/again") not in Page.read(answers[0].text).forms
    assert len({answer.text.replace("late.owl", "no.owl") for answer in answers}) == 1
