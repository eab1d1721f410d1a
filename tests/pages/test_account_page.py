"""The account page: keys, sessions, password; and that they are one's own."""

from __future__ import annotations

import pytest

from app.accounts.key_models import ApiKey
from app.accounts.models import LoginSession
from app.core.crypto import digest
from tests.harness import Service
from tests.pages.browsing import Page, Visitor, log_in, visitor


def new_key(person: Visitor, name: str) -> str:
    answer = person.post("/account/keys", name=name)
    assert answer.status_code == 200
    return answer.text.partition('<code class="key">')[2].partition("<")[0]


def use(service: Service, key: str) -> int:
    with service.client(key) as client:
        return client.get("/v1/user").status_code


def row_of(service: Service, key: str) -> ApiKey:
    found: ApiKey = service.world.rows(
        ApiKey.__table__.select().with_only_columns(ApiKey.id).where(ApiKey.key_digest == digest(key))
    )[0]
    return found


def test_a_key_is_shown_once_works_and_can_be_revoked(service: Service, customer: Visitor) -> None:
    key = new_key(customer, "Radio clock")
    assert key.startswith("vch_")
    again = customer.get("/account").text
    assert key not in again
    assert key[:9] in again
    assert use(service, key) == 200
    assert customer.post(f"/account/keys/{row_of(service, key)}/revoke").status_code == 303
    assert use(service, key) == 401
    assert "Radio clock" not in customer.get("/account").text


def test_odd_names_of_keys(service: Service, customer: Visitor) -> None:
    for name in ("", " \n\t ", "\x00\x1b[31m", "🗝" * 100, "<b>bold</b>", "‮gnirts"):
        assert use(service, new_key(customer, name)) == 200
    shown = customer.get("/account").text
    assert "<b>bold</b>" not in shown
    assert "\x1b" not in shown
    assert "🗝" * 60 in shown
    assert "🗝" * 61 not in shown


def test_there_is_an_end_to_keys(customer: Visitor) -> None:
    for number in range(19):
        customer.post("/account/keys", name=f"key {number}")
    answer = customer.post("/account/keys", name="one too many")
    assert answer.status_code == 422
    assert "You have 20 keys. Revoke one that you no longer use." in answer.text


def test_keys_and_sessions_of_others_are_out_of_reach(service: Service, customer: Visitor, moderator: Visitor) -> None:
    key = new_key(customer, "mine")
    (login,) = service.world.rows(
        LoginSession.__table__.select()
        .with_only_columns(LoginSession.id)
        .where(LoginSession.account_id == customer.account.id)
    )
    for path in (f"/account/keys/{row_of(service, key)}/revoke", f"/account/sessions/{login}/end"):
        answer = moderator.post(path)
        assert answer.status_code == 404
        assert Page.read(answer.text).title.startswith("There is nothing here")
    assert use(service, key) == 200
    assert customer.get("/account").status_code == 200


@pytest.mark.parametrize("made_up", ["01890000-0000-7000-8000-000000000000", "1", "x" * 3000, "%00", "..%2f.."])
def test_made_up_ids(customer: Visitor, made_up: str) -> None:
    for path in (f"/account/keys/{made_up}/revoke", f"/account/sessions/{made_up}/end"):
        assert customer.post(path).status_code == 404


def test_another_browser_can_be_signed_out(service: Service, customer: Visitor) -> None:
    with visitor(service) as other:
        log_in(other, customer.account.email, customer.password)
        assert other.get("/account").status_code == 200
        ends = [action for _, action in Page.read(customer.get("/account").text).forms if action.endswith("/end")]
        assert len(ends) == 1  # one's own is ended by signing out
        assert customer.post(ends[0]).status_code == 303
        assert other.get("/account").status_code == 303
    assert customer.get("/account").status_code == 200


def test_a_new_password(service: Service, customer: Visitor) -> None:
    wrong = customer.post("/account/password", current_password="no", new_password="long enough now")
    short = customer.post("/account/password", current_password=customer.password, new_password="short")
    assert [wrong.status_code, short.status_code] == [422, 422]
    assert "The present password is wrong." in wrong.text
    assert "the password that was made for you" in customer.get("/account").text
    assert "A password needs 12 to 200 characters." in short.text
    with visitor(service) as other:
        log_in(other, customer.account.email, customer.password)
        done = customer.post(
            "/account/password", current_password=customer.password, new_password="pass 🔑 phrase, new"
        )
        assert done.status_code == 303
        assert other.get("/account").status_code == 303  # signed out everywhere else
        mine = customer.get("/account")
        assert mine.status_code == 200
        assert "the password that was made for you" not in mine.text
        assert log_in(other, customer.account.email, customer.password).status_code == 401
        assert log_in(other, customer.account.email, "pass 🔑 phrase, new").status_code == 303
