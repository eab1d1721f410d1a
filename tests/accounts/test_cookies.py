"""The two cookies of signing in, over real HTTP: what they are, and that they do what they are for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.accounts.models import LoginSession
from app.settings import Settings
from tests.conftest import make_settings
from tests.harness import Service, running
from tests.pages.browsing import log_in, visitor


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One server for this module."""
    with running(make_settings(tmp_path_factory.mktemp("cookies")), worker=False) as service:
        yield service


def test_a_browser_that_has_signed_in_before_is_not_locked_out(service: Service) -> None:
    person = service.world.newcomer()
    with visitor(service) as owner, visitor(service) as attacker:
        answer = log_in(owner, person.account.email, person.password)
        cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("vouch_browser="))
        assert {"httponly", "samesite=lax", "path=/", "max-age=15552000"} <= {
            part.strip().lower() for part in cookie.split(";")
        }
        assert owner.post("/logout").status_code == 303
        assert "vouch_browser" in owner.cookies  # signing out does not make it a stranger
        for _ in range(10):
            assert log_in(attacker, person.account.email, "guess").status_code == 401
        limited = log_in(attacker, person.account.email, person.password)
        assert limited.status_code == 429
        assert log_in(owner, person.account.email, person.password).status_code == 303


def test_a_page_writes_down_that_the_session_is_used(service: Service) -> None:
    person = service.world.newcomer()
    with visitor(service) as browser:
        log_in(browser, person.account.email, person.password)
        with service.world.databases.writing() as session:
            query = select(LoginSession).where(LoginSession.account_id == person.account.id)
            login = session.scalars(query).one()
            login.seen_at = earlier = login.seen_at - timedelta(days=2)
        assert browser.get("/account").status_code == 200
        assert service.world.get(LoginSession, login.id).seen_at - earlier >= timedelta(days=2)
        with service.world.databases.writing() as session:
            session.get_one(LoginSession, login.id).seen_at -= timedelta(days=3)
        assert browser.get("/account").status_code == 303


def test_behind_tls_both_cookies_belong_to_this_host_only(sqlite_settings: Settings) -> None:
    web = sqlite_settings.web.model_copy(update={"secure_cookies": True})
    with running(sqlite_settings.model_copy(update={"web": web}), worker=False) as service:
        person = service.world.newcomer()
        with visitor(service) as browser:
            cookies = log_in(browser, person.account.email, person.password).headers.get_list("set-cookie")
    assert len(cookies) == 2
    assert all(cookie.startswith("__Host-vouch") and "secure" in cookie.lower() for cookie in cookies)
