"""Sessions end when they should: with the next sign-in in the same browser, others only after a recent proof."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import update

from app.accounts.models import LoginSession
from app.core.db import now
from tests.harness import Service
from tests.pages.browsing import SECOND_STEP, Page, Visitor, log_in, visitor

SECURITY = "/account/security"


def alive(service: Service, token: str) -> bool:
    """Whether a stolen copy of the cookie still signs in."""
    with visitor(service) as thief:
        thief.cookies.set("vouch_session", token)
        return thief.get("/account").status_code == 200


def test_signing_in_again_ends_the_session_that_the_browser_had(service: Service, customer: Visitor) -> None:
    first = customer.client.cookies["vouch_session"]
    assert log_in(customer.client, customer.account.email, customer.password).status_code == 303
    second = customer.client.cookies["vouch_session"]
    assert (alive(service, first), alive(service, second)) == (False, True)


def test_signing_in_as_somebody_else_ends_it_too(service: Service, customer: Visitor, moderator: Visitor) -> None:
    before = customer.client.cookies["vouch_session"]
    asked = log_in(customer.client, moderator.account.email, moderator.password)
    assert asked.headers["location"] == SECOND_STEP
    assert alive(service, before)  # the password alone ends nothing
    code = service.world.code(moderator.account)
    assert customer.client.post(SECOND_STEP, data={"code": code}).headers["location"] == "/"
    assert not alive(service, before)
    assert moderator.get("/account").status_code == 200


def test_a_wrong_password_ends_no_session(customer: Visitor) -> None:
    assert log_in(customer.client, customer.account.email, "wrong").status_code == 401
    assert customer.get("/account").status_code == 200


def test_a_stolen_session_signs_nobody_else_out(service: Service, customer: Visitor) -> None:
    with visitor(service) as other:
        log_in(other, customer.account.email, customer.password)
        old = now() - service.settings.web.confirm_for - timedelta(seconds=1)
        mine = LoginSession.account_id == customer.account.id
        with service.world.databases.writing() as session:
            session.execute(update(LoginSession).where(mine).values(confirmed_at=old))
        ends = [form for _, form in Page.read(customer.get(SECURITY).text).forms if form.endswith(("/end", "-others"))]
        assert len(ends) == 2
        for path in ends:
            assert customer.post(path).headers["location"].startswith("/account/confirm?next="), path
        assert other.get("/account").status_code == 200
        assert customer.post("/account/confirm", password=customer.password).status_code == 303
        assert customer.post(ends[0]).headers["location"] == SECURITY
        assert other.get("/account").status_code == 303


def test_every_page_of_somebody_signed_in_has_the_way_out(customer: Visitor, moderator: Visitor) -> None:
    paths = ("/", "/voices/new", "/speak", "/history", "/account", "/account/profile", SECURITY, "/account/keys")
    console = ("/console/consents", "/console/trace", "/console/signals")
    for person, shown in ((customer, paths), (moderator, console)):
        for path in shown:
            answer = person.get(path)
            assert answer.status_code == 200, path
            assert ("post", "/logout") in Page.read(answer.text).forms, path


def test_a_stolen_session_spends_no_money(service: Service, customer: Visitor) -> None:
    old = now() - service.settings.web.confirm_for - timedelta(seconds=1)
    with service.world.databases.writing() as session:
        mine = LoginSession.account_id == customer.account.id
        session.execute(update(LoginSession).where(mine).values(confirmed_at=old))
    for path in ("/account/plan", "/account/plan/manage", "/account/plan/overage"):
        answer = customer.post(path, plan="studio", cap="1000")
        assert (answer.status_code, answer.headers["location"][:22]) == (303, "/account/confirm?next="), path
