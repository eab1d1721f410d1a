"""The account page: sessions, password; and that they are one's own."""

from __future__ import annotations

import pytest

from app.accounts.models import LoginSession
from tests.harness import Service
from tests.pages.browsing import Page, Visitor, log_in, visitor


def test_sessions_of_others_are_out_of_reach(service: Service, customer: Visitor, moderator: Visitor) -> None:
    (login,) = service.world.rows(
        LoginSession.__table__.select()
        .with_only_columns(LoginSession.id)
        .where(LoginSession.account_id == customer.account.id)
    )
    answer = moderator.post(f"/account/security/sessions/{login}/end")
    assert answer.status_code == 404
    assert Page.read(answer.text).title.startswith("There is nothing here")
    assert customer.get("/account").status_code == 200


@pytest.mark.parametrize("made_up", ["01890000-0000-7000-8000-000000000000", "1", "x" * 3000, "%00", "..%2f.."])
def test_made_up_ids(customer: Visitor, made_up: str) -> None:
    assert customer.post(f"/account/security/sessions/{made_up}/end").status_code == 404


def test_another_browser_can_be_signed_out(service: Service, customer: Visitor) -> None:
    with visitor(service) as other:
        log_in(other, customer.account.email, customer.password)
        assert other.get("/account").status_code == 200
        ends = [
            action for _, action in Page.read(customer.get("/account/security").text).forms if action.endswith("/end")
        ]
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
        mine = customer.get("/account/profile")
        assert mine.status_code == 200
        assert "the password that was made for you" not in mine.text
        assert log_in(other, customer.account.email, customer.password).status_code == 401
        assert log_in(other, customer.account.email, "pass 🔑 phrase, new").status_code == 303
