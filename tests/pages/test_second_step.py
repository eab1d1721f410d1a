"""The second step of signing in: what lets people in, what does not, and when it is over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import httpx2
import pytest
from sqlalchemy import select, update

from app.accounts import second_factor, second_step
from app.accounts.models import (
    Account,
    KnownBrowser,
    LoginEvent,
    LoginOutcome,
    LoginSession,
    OneTimeToken,
    Role,
    Standing,
    TokenPurpose,
)
from app.accounts.registration import NewAccount
from app.core.db import now
from app.core.errands import Errand
from tests.harness import Service
from tests.pages.browsing import SECOND_STEP, Page, Visitor, log_in, visitor
from tests.world import OPERATOR

COOKIE = "vouch_step"
Visit = Callable[[Service, NewAccount], Visitor]


@pytest.fixture
def somebody(service: Service) -> NewAccount:
    """A customer with an authenticator app."""
    made = service.world.newcomer()
    with service.world.databases.writing() as session:
        second_factor.enrol_at_desk(session, session.get_one(Account, made.account.id), service.settings, OPERATOR)
    return made


def begin(client: httpx2.Client, made: NewAccount, **fields: str) -> None:
    answer = log_in(client, made.account.email, made.password, **fields)
    assert (answer.status_code, answer.headers["location"]) == (303, SECOND_STEP)
    assert "vouch_session" not in client.cookies


def send(client: httpx2.Client, code: str) -> httpx2.Response:
    return client.post(SECOND_STEP, data={"code": code})


def is_in(client: httpx2.Client) -> bool:
    return client.get("/account").status_code == 200


def letters(service: Service, made: NewAccount) -> list[str]:
    mails = service.world.rows(select(Errand).where(Errand.owner_id == made.account.id, Errand.kind == "mail"))
    return [mail.payload["subject"] for mail in mails]


def test_password_and_code_sign_in(service: Service, stranger: httpx2.Client, somebody: NewAccount) -> None:
    begin(stranger, somebody, next="/speak?voice_id=a")
    assert not is_in(stranger)
    form = Page.read(stranger.get(SECOND_STEP).text)
    assert ("post", SECOND_STEP) in form.forms
    answer = send(stranger, service.world.code(somebody.account))
    assert (answer.status_code, answer.headers["location"]) == (303, "/speak?voice_id=a")
    assert is_in(stranger)
    (login,) = service.world.rows(select(LoginSession).where(LoginSession.account_id == somebody.account.id))
    assert login.second_factor
    (event,) = service.world.rows(select(LoginEvent).where(LoginEvent.account_id == somebody.account.id))
    assert (event.outcome, event.means) == (LoginOutcome.SIGNED_IN, "code")


def test_the_cookie_of_the_step_is_kept_to_it(stranger: httpx2.Client, somebody: NewAccount) -> None:
    cookie = log_in(stranger, somebody.account.email, somebody.password).headers["set-cookie"].lower()
    assert cookie.startswith(COOKIE)
    for part in ("httponly", f"path={SECOND_STEP}", "samesite=lax", "max-age=600"):
        assert part in cookie


def test_five_wrong_codes_end_the_step_and_warn_the_holder(
    service: Service, stranger: httpx2.Client, somebody: NewAccount
) -> None:
    begin(stranger, somebody, next="/history")
    said = [send(stranger, "not right") for _ in range(5)]
    assert [answer.status_code for answer in said] == [401] * 5
    assert "4 more tries." in said[0].text
    assert "1 more try." in said[3].text
    assert "/login?next=/history" in Page.read(said[4].text).links
    late = send(stranger, service.world.code(somebody.account))
    assert (late.status_code, late.headers["location"]) == (303, "/login")
    assert not is_in(stranger)
    wrong = select(LoginEvent).where(
        LoginEvent.account_id == somebody.account.id, LoginEvent.outcome == LoginOutcome.WRONG_CODE
    )
    assert len(service.world.rows(wrong)) == 5
    assert letters(service, somebody) == ["Vouch: Somebody could not finish signing in"]
    begin(stranger, somebody)
    assert send(stranger, service.world.code(somebody.account)).status_code == 303
    assert is_in(stranger)


def test_guessing_on_with_new_steps_is_stopped(service: Service, stranger: httpx2.Client, somebody: NewAccount) -> None:
    for _ in range(2):
        begin(stranger, somebody)
        for _ in range(5):
            send(stranger, "000000")
    begin(stranger, somebody)
    answer = send(stranger, service.world.code(somebody.account))
    assert answer.status_code == 429
    assert "Too many wrong codes." in answer.text
    assert not is_in(stranger)
    assert len(letters(service, somebody)) == 1  # one a day, however often somebody tries


def test_guessing_from_everywhere_does_not_shut_out_a_browser_that_is_known(
    service: Service, somebody: NewAccount, visit: Visit
) -> None:
    own = visit(service, somebody)
    own.post("/logout")
    with service.world.databases.writing() as session:
        session.add_all(
            LoginEvent(
                account_id=somebody.account.id, outcome=LoginOutcome.WRONG_CODE, means="code", address=f"198.51.100.{n}"
            )
            for n in range(second_factor.WRONG_A_DAY)
        )
    with visitor(service) as strange:
        begin(strange, somebody)
        answer = send(strange, service.world.code(somebody.account))
        assert answer.status_code == 429
        assert "Use a recovery code or a passkey" in answer.text
    begin(own.client, somebody)
    assert send(own.client, service.world.code(somebody.account)).status_code == 303


def test_a_code_is_good_for_one_sign_in(service: Service, stranger: httpx2.Client, somebody: NewAccount) -> None:
    begin(stranger, somebody)
    code = service.world.code(somebody.account)
    assert send(stranger, code).status_code == 303
    with visitor(service) as thief:
        begin(thief, somebody)
        assert send(thief, code).status_code == 401
        assert not is_in(thief)


def test_a_step_works_once(service: Service, stranger: httpx2.Client, somebody: NewAccount) -> None:
    begin(stranger, somebody)
    token = stranger.cookies[COOKIE]
    assert send(stranger, service.world.code(somebody.account)).status_code == 303
    with visitor(service) as thief:
        thief.cookies.set(COOKIE, token)
        again = send(thief, service.world.code(somebody.account))
        assert (again.status_code, again.headers["location"]) == (303, "/login")
        assert not is_in(thief)


def test_a_step_is_over_after_ten_minutes(service: Service, stranger: httpx2.Client, somebody: NewAccount) -> None:
    begin(stranger, somebody)
    assert timedelta(minutes=10) == second_step.LIFETIME
    with service.world.databases.writing() as session:
        session.execute(
            update(OneTimeToken)
            .where(OneTimeToken.account_id == somebody.account.id, OneTimeToken.purpose == TokenPurpose.SECOND_STEP)
            .values(expires_at=now() - timedelta(seconds=1))
        )
    for answer in (stranger.get(SECOND_STEP), send(stranger, service.world.code(somebody.account))):
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert not is_in(stranger)


def test_a_new_password_ends_a_step_that_waits(
    service: Service, stranger: httpx2.Client, somebody: NewAccount, visit: Visit
) -> None:
    own = visit(service, somebody)
    begin(stranger, somebody)
    new = "quiet otters mend the bridge"
    done = own.post("/account/password", current_password=somebody.password, new_password=new)
    assert done.status_code == 303, done.text
    assert send(stranger, service.world.code(somebody.account)).headers["location"] == "/login"
    assert not is_in(stranger)


def test_a_ban_ends_step_and_cookie(
    service: Service, stranger: httpx2.Client, somebody: NewAccount, visit: Visit
) -> None:
    own = visit(service, somebody)
    begin(stranger, somebody)
    service.world.set_standing(somebody.account, Standing.BANNED)
    assert send(stranger, service.world.code(somebody.account)).status_code == 403
    assert "vouch_session" not in stranger.cookies
    for path in ("/account/security", "/account/confirm", "/account/security/app"):
        assert own.get(path).status_code == 403
    assert own.post("/account/security/codes").status_code == 403


@pytest.mark.parametrize("code", ["", " ", "\x00" * 6, "١٢٣٤٥٦", "x" * 100, "' OR 1=1 --", "🦆" * 6, "0" * 12])
def test_odd_codes(stranger: httpx2.Client, somebody: NewAccount, code: str) -> None:
    begin(stranger, somebody)
    assert send(stranger, code).status_code == 401
    assert not is_in(stranger)


def test_nothing_waits_for_who_has_not_typed_a_password(service: Service, stranger: httpx2.Client) -> None:
    for token in ("", "made-up", "x" * 3000):
        if token:
            stranger.cookies.set(COOKIE, token)
        for answer in (stranger.get(SECOND_STEP), send(stranger, "123456"), stranger.post(f"{SECOND_STEP}/passkey")):
            assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        assert stranger.post(f"{SECOND_STEP}/passkey/options").status_code in (303, 404)


def test_a_recovery_code_signs_in_once_and_the_holder_is_told(service: Service, stranger: httpx2.Client) -> None:
    made = service.world.newcomer()
    with service.world.databases.writing() as session:
        account = session.get_one(Account, made.account.id)
        _, codes = second_factor.enrol_at_desk(session, account, service.settings, OPERATOR)
    begin(stranger, made)
    assert send(stranger, codes[0].upper()).status_code == 303
    assert is_in(stranger)
    assert letters(service, made) == ["Vouch: A recovery code was used"]
    with visitor(service) as other:
        begin(other, made)
        assert send(other, codes[0]).status_code == 401


def test_staff_without_a_second_factor_is_led_to_set_one_up(service: Service, visit: Visit) -> None:
    made = service.world.newcomer(role=Role.MODERATOR)
    with service.world.databases.writing() as session:
        account = session.get_one(Account, made.account.id)
        second_factor.reset(session, account, "lost the phone", service.settings, OPERATOR)
    person = visit(service, made)
    for path in ("/console/consents", "/console/trace"):
        answer = person.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/account/security")
    assert person.post("/console/trace", reason="x").status_code in (303, 422)
    assert "Set up a second step before you go on" in person.get("/account/security").text
    with service.client(made.api_key) as api:
        answer = api.get("/v1/moderation/consents")
        assert answer.status_code == 403
        assert "second step" in answer.text


def test_a_session_of_the_password_alone_opens_no_console(service: Service, visit: Visit) -> None:
    """As one that was begun before the account became staff's."""
    person = visit(service, service.world.newcomer(role=Role.MODERATOR))
    assert person.get("/console/consents").status_code == 200
    with service.world.databases.writing() as session:
        where = LoginSession.account_id == person.account.id
        session.execute(update(LoginSession).where(where).values(second_factor=False))
    answer = person.get("/console/consents")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/console/consents")


def test_without_the_setting_staff_needs_none(service: Service) -> None:
    accounts = service.settings.accounts.model_copy(update={"staff_second_factor": False})
    relaxed = service.settings.model_copy(update={"accounts": accounts})
    staff = Account(role=Role.OPERATOR)
    assert second_factor.required(staff, service.settings)
    assert not second_factor.required(staff, relaxed)
    assert not second_factor.required(Account(role=Role.CUSTOMER), service.settings)


def test_what_is_known_of_a_browser_comes_only_after_the_second_step(
    service: Service, stranger: httpx2.Client, somebody: NewAccount
) -> None:
    begin(stranger, somebody)
    assert service.world.count(KnownBrowser, KnownBrowser.account_id == somebody.account.id) == 0
    send(stranger, service.world.code(somebody.account))
    assert service.world.count(KnownBrowser, KnownBrowser.account_id == somebody.account.id) == 1
