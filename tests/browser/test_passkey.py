"""Passkeys in Chromium, with its own virtual authenticator: adding one, signing in with it, confirming with it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, expect

from app.accounts.factor_models import Passkey
from app.accounts.models import LoginEvent, LoginSession
from app.accounts.registration import NewAccount
from tests.conftest import make_settings
from tests.harness import Service, running

pytestmark = pytest.mark.browser

AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that is called localhost: browsers keep no passkeys for addresses of digits."""
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    web = {"public_url": f"http://localhost:{port}"}
    with running(make_settings(tmp_path_factory.mktemp("passkeys"), web=web), worker=False, port=port) as service:
        yield service


@pytest.fixture
def page(browser: Browser, named: Service) -> Iterator[Page]:
    """A page whose console must stay free of errors."""
    context = browser.new_context(base_url=named.settings.public_url, viewport={"width": 390, "height": 844})
    with closing(context):
        page = context.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        yield page
        assert problems == []


def authenticator(context: BrowserContext, page: Page, **given: Any) -> tuple[CDPSession, str]:
    """Give the browser a device that holds passkeys."""
    devtools = context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {**AUTHENTICATOR, **given}
    made = devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return devtools, made["authenticatorId"]


def type_password(page: Page, made: NewAccount) -> None:
    page.goto("/login")
    page.get_by_label("Email").fill(made.account.email)
    page.get_by_label("Password", exact=True).fill(made.password)
    page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()


def add_passkey(page: Page, name: str) -> None:
    page.goto("/account/security")
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("What will you call it?").fill(name)
    page.get_by_role("button", name="Make the passkey").click()


def test_add_one_and_sign_in_with_it_alone(page: Page, named: Service) -> None:
    made = named.world.newcomer()
    authenticator(page.context, page)
    type_password(page, made)
    add_passkey(page, "Test phone")
    expect(page.get_by_role("heading", name="Keep these codes")).to_be_visible()
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("Test phone")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()

    page.goto("/login?next=/history")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url(f"{named.settings.public_url}/history")
    account = made.account.id
    (kept,) = named.world.rows(Passkey.__table__.select().with_only_columns(Passkey.sign_count))
    assert kept > 0
    assert named.world.count(LoginEvent, LoginEvent.account_id == account, LoginEvent.means == "passkey") == 1
    assert named.world.count(LoginSession, LoginSession.account_id == account, LoginSession.second_factor) == 2


def test_it_is_the_second_step_after_the_password(page: Page, named: Service) -> None:
    made = named.world.newcomer()
    authenticator(page.context, page)
    type_password(page, made)
    add_passkey(page, "Key")
    page.get_by_role("link", name="I have kept them").click()
    page.get_by_role("button", name="Sign out").click()
    type_password(page, made)
    page.wait_for_url("**/login/second-step")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(f"{named.settings.public_url}/")
    page.goto("/account/confirm?next=/account/security")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(f"{named.settings.public_url}/account/security")
    assert page.get_by_role("heading", name="Passkeys").is_visible()


def test_the_same_device_is_told_that_it_has_one(page: Page, named: Service) -> None:
    authenticator(page.context, page)
    type_password(page, named.world.newcomer())
    add_passkey(page, "First")
    page.get_by_role("link", name="I have kept them").click()
    add_passkey(page, "Second")
    expect(page.get_by_text("This device has a passkey for your account already.")).to_be_visible()


def test_a_device_that_does_not_check_its_holder_is_no_use(page: Page, named: Service) -> None:
    authenticator(page.context, page, isUserVerified=False)
    made = named.world.newcomer()
    type_password(page, made)
    add_passkey(page, "Anybody's")
    expect(page.get_by_text("That did not work, or was cancelled.")).to_be_visible()
    assert named.world.count(Passkey, Passkey.account_id == made.account.id) == 0


def test_without_javascript_the_page_says_so(browser: Browser, named: Service) -> None:
    with closing(browser.new_context(base_url=named.settings.public_url, java_script_enabled=False)) as context:
        page = context.new_page()
        type_password(page, named.world.newcomer())
        page.goto("/account/security/passkeys/new")
        expect(page.get_by_text("Passkeys need JavaScript")).to_be_visible()
        expect(page.get_by_role("button", name="Make the passkey")).to_be_hidden()
