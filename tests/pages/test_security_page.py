"""The security page: setting up and taking away, confirming first, sessions and history."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import httpx2
import pyotp
import pytest
from sqlalchemy import select, update

from app.accounts import passkeys, second_factor
from app.accounts.factor_models import Passkey, RecoveryCode, TotpFactor
from app.accounts.models import Account, LoginSession, Role
from app.accounts.registration import NewAccount
from app.core.audit import AuditEntry
from app.core.db import now
from app.core.errands import Errand
from tests.harness import Service
from tests.pages.browsing import Page, Visitor, log_in, visitor
from tests.world import OPERATOR

SECURITY = "/account/security"
Visit = Callable[[Service, NewAccount], Visitor]


def secret_on(html: str) -> str:
    return re.search(r'<code class="key">([A-Z2-7 ]+)</code>', html)[1].replace(" ", "")  # type: ignore[index]


def ticket_on(html: str) -> str:
    return re.search(r'name="ticket" value="([^"]+)"', html)[1]  # type: ignore[index]


def codes_on(html: str) -> list[str]:
    return re.findall(r"<li><code>([0-9a-z-]{14})</code></li>", html)


def set_up(person: Visitor) -> httpx2.Response:
    """Put the secret that the page shows into an app, and send its first code."""
    shown = person.get(f"{SECURITY}/app").text
    return person.post(f"{SECURITY}/app", ticket=ticket_on(shown), code=pyotp.TOTP(secret_on(shown)).now())


def with_app(service: Service, made: NewAccount) -> NewAccount:
    with service.world.databases.writing() as session:
        second_factor.enrol_at_desk(session, session.get_one(Account, made.account.id), service.settings, OPERATOR)
    return made


def with_passkey(service: Service, account: Account) -> Passkey:
    """One that nobody holds: enough to be shown and removed."""
    with service.world.databases.writing() as session:
        row = Passkey(account_id=account.id, name="My phone", credential_id=account.id.bytes, public_key=b"-")
        session.add(row)
    return row


def let_time_pass(service: Service, person: Visitor) -> None:
    """The confirmation of every session of the person becomes too old."""
    old = now() - service.settings.web.confirm_for - timedelta(seconds=1)
    with service.world.databases.writing() as session:
        where = LoginSession.account_id == person.account.id
        session.execute(update(LoginSession).where(where).values(confirmed_at=old))


def count(service: Service, table: type, person: Visitor) -> int:
    return service.world.count(table, table.account_id == person.account.id)  # type: ignore[attr-defined]


def test_setting_up_an_app(service: Service, customer: Visitor) -> None:
    with visitor(service) as other:
        log_in(other, customer.account.email, customer.password)
        done = set_up(customer)
        codes = codes_on(done.text)
        assert len(codes) == 10
        assert other.get("/account").status_code == 303  # signed out everywhere else
        assert customer.get(SECURITY).status_code == 200
        assert codes[0] not in customer.get(SECURITY).text
        assert log_in(other, customer.account.email, customer.password).headers["location"] == "/login/second-step"
        assert other.post("/login/second-step", data={"code": codes[0]}).status_code == 303
    told = service.world.rows(select(Errand.payload).where(Errand.owner_id == customer.account.id))
    assert any("second step of your sign-in was changed" in mail["subject"] for mail in told)
    assert "9 left" in customer.get(SECURITY).text


def test_the_drawing_obeys_the_rules_of_pages(customer: Visitor) -> None:
    page = Page.read(customer.get(f"{SECURITY}/app").text)
    assert page.inline == []
    assert "svg" in page.tags


def test_a_wrong_first_code_changes_nothing_and_keeps_the_secret(service: Service, customer: Visitor) -> None:
    shown = customer.get(f"{SECURITY}/app").text
    answer = customer.post(f"{SECURITY}/app", ticket=ticket_on(shown), code="000000")
    assert answer.status_code == 422
    assert "That code does not fit." in answer.text
    assert secret_on(answer.text) == secret_on(shown)
    assert count(service, TotpFactor, customer) == 0


def test_a_ticket_of_somebody_else_begins_again(service: Service, customer: Visitor, moderator: Visitor) -> None:
    shown = moderator.get(f"{SECURITY}/app").text
    code = pyotp.TOTP(secret_on(shown)).now()
    for ticket in (ticket_on(shown), "", "\x00", "x" * 900):
        answer = customer.post(f"{SECURITY}/app", ticket=ticket, code=code)
        assert (answer.status_code, answer.headers["location"]) == (303, f"{SECURITY}/app")
    assert count(service, TotpFactor, customer) == 0


def test_another_app_replaces_the_first_and_keeps_the_codes(service: Service, visit: Visit) -> None:
    person = visit(service, with_app(service, service.world.newcomer()))
    assert "then stops working" in person.get(f"{SECURITY}/app").text
    assert set_up(person).status_code == 303
    assert count(service, TotpFactor, person) == 1
    assert count(service, RecoveryCode, person) == 10


def test_removing_the_app_takes_the_codes_along(service: Service, visit: Visit) -> None:
    person = visit(service, with_app(service, service.world.newcomer()))
    assert person.post(f"{SECURITY}/app/remove").status_code == 303
    assert (count(service, TotpFactor, person), count(service, RecoveryCode, person)) == (0, 0)
    with visitor(service) as other:
        assert log_in(other, person.account.email, person.password).headers["location"] == "/"


def test_staff_keeps_one_second_factor(service: Service, moderator: Visitor) -> None:
    answer = moderator.post(f"{SECURITY}/app/remove")
    assert answer.status_code == 403
    assert "Set up another one first" in answer.text
    kept = with_passkey(service, moderator.account)
    assert moderator.post(f"{SECURITY}/app/remove").status_code == 303
    assert moderator.post(f"{SECURITY}/passkeys/{kept.id}/remove").status_code == 403
    assert moderator.get("/console/consents").status_code == 200


def test_new_codes_end_the_old_ones(service: Service, visit: Visit) -> None:
    person = visit(service, with_app(service, service.world.newcomer()))
    first, second = (codes_on(person.post(f"{SECURITY}/codes").text) for _ in range(2))
    assert len(set(first) | set(second)) == 20
    with visitor(service) as other:
        log_in(other, person.account.email, person.password)
        assert other.post("/login/second-step", data={"code": first[0]}).status_code == 401
        assert other.post("/login/second-step", data={"code": second[0]}).status_code == 303


def test_codes_are_only_for_who_has_a_second_factor(service: Service, customer: Visitor) -> None:
    assert customer.post(f"{SECURITY}/codes").status_code == 303
    assert count(service, RecoveryCode, customer) == 0


def test_passkeys_are_renamed_removed_and_one_s_own(service: Service, customer: Visitor, moderator: Visitor) -> None:
    kept = with_passkey(service, customer.account)
    base = f"{SECURITY}/passkeys/{kept.id}"
    for path in (f"{base}/rename", f"{base}/remove"):
        assert moderator.post(path, name="mine").status_code == 404
    assert customer.post(f"{base}/rename", name="<b>Desk</b>").status_code == 303
    shown = customer.get(SECURITY).text
    assert "&lt;b&gt;Desk&lt;/b&gt;" in shown
    assert "none can be added" in shown  # an address of digits
    assert customer.get(f"{SECURITY}/passkeys/new").status_code == 404
    assert customer.post(f"{base}/remove").status_code == 303
    assert count(service, Passkey, customer) == 0


def test_passkeys_do_nothing_where_browsers_allow_none(service: Service, stranger: httpx2.Client) -> None:
    assert passkeys.site_of(service.settings) is None
    assert stranger.post("/login/passkey/options").status_code == 404
    assert stranger.post("/login/passkey", data={"answer": "{}"}).status_code == 404


NEED_CONFIRMATION = [
    ("get", f"{SECURITY}/app"),
    ("post", f"{SECURITY}/app"),
    ("post", f"{SECURITY}/app/remove"),
    ("post", f"{SECURITY}/codes"),
    ("get", f"{SECURITY}/passkeys/new"),
    ("post", f"{SECURITY}/passkeys"),
    ("post", f"{SECURITY}/passkeys/01890000-0000-7000-8000-000000000000/remove"),
]


def test_changes_ask_who_is_there_when_the_sign_in_is_old(service: Service, visit: Visit) -> None:
    person = visit(service, with_app(service, service.world.newcomer()))
    let_time_pass(service, person)
    for method, path in NEED_CONFIRMATION:
        answer = person.client.request(method, path, headers={"Referer": f"{service.url}{SECURITY}?x=1"})
        came_from = path if method == "get" else SECURITY
        assert (answer.status_code, answer.headers["location"]) == (303, f"/account/confirm?next={came_from}"), path
    assert person.client.post(f"{SECURITY}/passkeys/options").status_code in (303, 403)
    assert (count(service, TotpFactor, person), count(service, RecoveryCode, person)) == (1, 10)
    assert person.get(SECURITY).status_code == 200  # looking needs nothing


def test_the_password_confirms_where_there_is_no_second_factor(service: Service, customer: Visitor) -> None:
    let_time_pass(service, customer)
    before = customer.client.cookies["vouch_session"]
    wrong = customer.post("/account/confirm", next=f"{SECURITY}/app", password="not it")
    assert wrong.status_code == 422
    assert "The present password is wrong." in wrong.text
    assert customer.get(f"{SECURITY}/app").status_code == 303
    right = customer.post("/account/confirm", next=f"{SECURITY}/app", password=customer.password)
    assert (right.status_code, right.headers["location"]) == (303, f"{SECURITY}/app")
    assert customer.get(f"{SECURITY}/app").status_code == 200
    with visitor(service) as thief:  # the token of before is void
        thief.cookies.set("vouch_session", before)
        assert thief.get("/account").status_code == 303


def test_a_code_confirms_where_there_is_one_and_the_password_does_not(service: Service, visit: Visit) -> None:
    person = visit(service, with_app(service, service.world.newcomer()))
    let_time_pass(service, person)
    assert Page.read(person.get("/account/confirm").text).text.count("Code from your authenticator app") == 1
    for given in ({"password": person.password}, {"code": "000000"}, {"code": person.password}):
        assert person.post("/account/confirm", **given).status_code == 422
    assert person.get(f"{SECURITY}/app").status_code == 303
    assert person.post("/account/confirm", code=service.world.code(person.account)).status_code == 303
    assert person.get(f"{SECURITY}/app").status_code == 200
    facts = service.world.rows(
        select(AuditEntry.facts).where(
            AuditEntry.action == "login_session.confirmed", AuditEntry.actor_id == str(person.account.id)
        )
    )
    assert facts == [{"means": "code"}]


def test_a_stolen_session_can_not_try_passwords_for_ever(service: Service, customer: Visitor) -> None:
    let_time_pass(service, customer)
    answers = [customer.post("/account/confirm", password=f"guess {n}").status_code for n in range(10)]
    assert answers == [422] * 10
    assert customer.post("/account/confirm", password=customer.password).status_code == 429


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_confirming_never_leads_to_another_site(customer: Visitor, target: str) -> None:
    form = customer.get("/account/confirm", params={"next": target}).text
    assert "evil" not in form
    answer = customer.post("/account/confirm", next=target, password=customer.password)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_sessions_are_ended_one_by_one_or_all_others(service: Service, customer: Visitor) -> None:
    with visitor(service) as first, visitor(service) as second:
        for other in (first, second):
            log_in(other, customer.account.email, customer.password)
        ends = [
            action for _, action in Page.read(customer.get(SECURITY).text).forms if re.search("[0-9a-f]/end$", action)
        ]
        assert len(ends) == 2  # one's own is ended by signing out
        assert customer.post(ends[0]).status_code == 303
        assert sorted(other.get("/account").status_code for other in (first, second)) == [200, 303]
        assert customer.post(f"{SECURITY}/sessions/end-others").status_code == 303
        assert [other.get("/account").status_code for other in (first, second)] == [303, 303]
    assert customer.get(SECURITY).status_code == 200


def test_sessions_of_others_are_out_of_reach(service: Service, customer: Visitor, moderator: Visitor) -> None:
    where = LoginSession.account_id == customer.account.id
    (login,) = service.world.rows(select(LoginSession.id).where(where))
    assert moderator.post(f"{SECURITY}/sessions/{login}/end").status_code == 404
    assert customer.get("/account").status_code == 200


def test_the_history_says_what_happened(service: Service, customer: Visitor) -> None:
    with visitor(service) as other:
        other.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) <script>Firefox/140</script>"
        log_in(other, customer.account.email, "wrong")
    page = customer.get(SECURITY).text
    read = Page.read(page).text
    assert "Wrong password" in read
    assert "Firefox on Linux · from 127.0.0.1" in read
    assert "<script>Firefox" not in page


def test_the_operator_helps_with_a_lost_phone(service: Service, moderator: Visitor) -> None:
    with service.world.databases.writing() as session:
        account = session.get_one(Account, moderator.account.id)
        second_factor.reset(session, account, "saw her passport", service.settings, OPERATOR)
    assert moderator.get("/account").status_code == 303  # signed out
    assert (count(service, TotpFactor, moderator), count(service, RecoveryCode, moderator)) == (0, 0)
    reasons = service.world.rows(
        select(AuditEntry.reason).where(
            AuditEntry.action == "account.second_factor_reset", AuditEntry.subject_id == str(moderator.account.id)
        )
    )
    assert reasons == ["saw her passport"]
    told = service.world.rows(select(Errand.payload).where(Errand.owner_id == moderator.account.id))
    assert any("removed every second step" in mail["text"] for mail in told)
    assert log_in(moderator.client, moderator.account.email, moderator.password).headers["location"] == "/"
    assert moderator.get("/console/consents").headers["location"] == SECURITY
    assert len(codes_on(set_up(moderator).text)) == 10
    assert moderator.get("/console/consents").status_code == 200


def test_the_operator_is_staff_too(service: Service, visit: Visit) -> None:
    person = visit(service, service.world.newcomer(role=Role.OPERATOR))
    assert person.post(f"{SECURITY}/app/remove").status_code == 403
