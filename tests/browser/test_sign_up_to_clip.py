"""From nobody to a paid, verified person with a stamped clip: all pages of the way, in a browser, clicks counted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from sqlalchemy import select

from app.accounts.models import Account
from app.accounts.rules import is_verified
from app.billing.models import EntryKind, LedgerEntry
from app.core.db import now
from app.provenance.models import Stamp
from tests.browser.conftest import READER, SPEECH
from tests.browser.test_main_job import CONSENT_SECONDS, WORK_MS, clock_passed
from tests.conftest import make_settings
from tests.harness import Service, running, until
from tests.http_server import free_port

pytestmark = pytest.mark.browser

EMAIL, PASSWORD = "jane@example.org", "seven quiet otters row"
TEXT = "Good morning. The ferry leaves at nine."
MOST_CLICKS = 19
LINK = re.compile(r"http://\S+\?token=\S+")


class Hand:
    """Presses things, and counts."""

    def __init__(self) -> None:
        self.clicks = 0

    def press(self, thing: Locator) -> None:
        """One click."""
        self.clicks += 1
        thing.click(timeout=WORK_MS)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service with a worker, whose mail goes to files and whose payments are pretended."""
    statement = json.loads((SPEECH / "transcripts.json").read_text())[READER]["consent.flac"]
    port = free_port()
    web = {"public_url": f"http://127.0.0.1:{port}"}
    settings = make_settings(tmp_path, test_consent_statement=statement, web=web)
    with running(settings, port=port) as service:
        yield service


@pytest.fixture
def page(browser: Browser, service: Service) -> Iterator[Page]:
    """A phone, whose console must stay free of errors."""
    with closing(browser.new_context(base_url=service.url, viewport={"width": 390, "height": 844})) as context:
        context.grant_permissions(["microphone"], origin=service.url)
        page = context.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        yield page
        assert problems == []


def test_a_newcomer_gets_to_a_paid_and_stamped_clip_in_under_twenty_clicks(page: Page, service: Service) -> None:
    hand = Hand()
    _sign_up(page, hand, service)
    _pay(page, hand)
    _prove(page, hand)
    _make_voice(page, hand)
    _speak(page, hand)
    account = _account(service)
    assert (account.plan, is_verified(account.verified_at, account.recheck_by, now())) == ("creator", True)
    (charge,) = service.world.rows(select(LedgerEntry).where(LedgerEntry.kind == EntryKind.SETTLE))
    assert (charge.account_id, charge.characters) == (account.id, len(TEXT))
    assert service.world.count(Stamp) == 1
    assert hand.clicks <= MOST_CLICKS


def _account(service: Service) -> Account:
    (account,) = service.world.rows(select(Account).where(Account.email == EMAIL))
    assert isinstance(account, Account)
    return account


def _sign_up(page: Page, hand: Hand, service: Service) -> None:
    page.goto("/")
    hand.press(page.get_by_role("link", name="Make an account"))
    page.get_by_label("Your name").fill("Jane Reader")
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    hand.press(page.get_by_label("I clone only voices whose owners agree"))
    hand.press(page.get_by_role("button", name="Sign up"))
    expect(page.get_by_role("heading", name="Look into your mail")).to_be_visible()
    hand.clicks += 1  # on the link in the mail
    page.goto(until(lambda: _link(service.settings.mail_directory), "the mail"))
    page.get_by_label("Password").fill(PASSWORD)
    hand.press(page.get_by_role("button", name="Finish and sign in"))


def _link(folder: Path) -> str | None:
    for letter in folder.glob("*.eml"):
        body = message_from_bytes(letter.read_bytes(), policy=policy.default).get_body()
        if body is not None and (found := LINK.search(body.get_content())):
            return found[0]
    return None


def _pay(page: Page, hand: Hand) -> None:
    expect(page.get_by_role("heading", name="Your way to the first clip")).to_be_visible()
    hand.press(page.get_by_role("link", name="See the plans"))
    hand.press(page.get_by_role("button", name="Choose Creator"))
    hand.press(page.get_by_role("button", name="Pay"))
    expect(page.get_by_text("Thank you. You are on the Creator plan now.")).to_be_visible(timeout=WORK_MS)


def _prove(page: Page, hand: Hand) -> None:
    hand.press(page.get_by_role("link", name="verify your identity"))
    hand.press(page.get_by_role("button", name="Start the check"))
    hand.press(page.get_by_role("button", name="The document is good"))
    expect(page.get_by_text("Verified since")).to_be_visible()


def _make_voice(page: Page, hand: Hand) -> None:
    hand.press(page.get_by_role("link", name="Make a voice"))
    page.get_by_label("Name of the voice").fill("Jane")
    page.locator("input[type=file]").set_input_files(SPEECH / READER / "sample.flac")
    hand.press(page.get_by_role("button", name="Check this sample"))
    hand.press(page.get_by_role("button", name="Show the sentence"))
    hand.press(page.get_by_role("button", name="Record here"))
    clock_passed(page, CONSENT_SECONDS)
    hand.press(page.get_by_role("button", name="Stop"))
    hand.press(page.get_by_role("button", name="Send the recording"))
    expect(page.get_by_text("The voice is ready.")).to_be_visible(timeout=WORK_MS)


def _speak(page: Page, hand: Hand) -> None:
    hand.press(page.get_by_role("link", name="Speak in this voice"))
    page.get_by_role("textbox").fill(TEXT)
    hand.press(page.get_by_role("button", name=re.compile("^Speak")))
    page.locator("audio").first.wait_for(state="attached", timeout=WORK_MS)
    expect(page.get_by_text("Stamped", exact=True)).to_be_visible()
