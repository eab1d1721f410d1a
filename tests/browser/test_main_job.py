"""The main job by web page: sign in, upload a sample, record the consent, speak, play, download; then trace it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import READER, SPEECH, Person, Service

pytestmark = pytest.mark.browser

WORK_MS = 90_000  # recognition and speaker models on a busy machine
CONSENT_SECONDS = 13  # the recorded sentence and a breath

_CLOCK_PASSED = """seconds => {
  const clock = document.querySelector('[data-clock]');
  const [minutes, rest] = (clock.textContent.match(/\\d+:\\d+/) || ['0:00'])[0].split(':').map(Number);
  return minutes * 60 + rest >= seconds;
}"""


@pytest.fixture
def page(browser: Browser, service: Service) -> Page:
    """A page of a phone, whose console must stay free of errors."""
    context = browser.new_context(base_url=service.url, viewport={"width": 390, "height": 844})
    context.grant_permissions(["microphone"], origin=service.url)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    assert problems == []


def sign_in(page: Page, person: Person) -> None:
    page.goto("/login")
    page.get_by_label("E-mail", exact=False).or_(page.get_by_label("Email", exact=False)).first.fill(person.email)
    page.get_by_label("Password", exact=True).fill(person.password)
    page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()
    if person.totp_address:
        page.get_by_label("Code from your authenticator app").fill(person.code())
        page.get_by_role("button", name="Go on").click()


def clock_passed(page: Page, seconds: int) -> None:
    """Wait until the recorder's clock shows so much."""
    page.wait_for_function(_CLOCK_PASSED, arg=seconds, timeout=WORK_MS)


def make_ready_voice(page: Page, name: str) -> None:
    """From "New voice" to a voice that is ready, the consent recorded with the microphone."""
    page.goto("/voices/new")
    page.get_by_label("Name of the voice").fill(name)
    page.locator("input[type=file]").set_input_files(SPEECH / READER / "sample.flac")
    page.get_by_role("button", name="Check this sample").click()
    page.get_by_label("Full name of the speaker").fill("Jane Reader", timeout=WORK_MS)
    page.get_by_role("button", name="Show the sentence").click()
    page.get_by_role("button", name="Record here").click()
    clock_passed(page, CONSENT_SECONDS)
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Send the recording").click()
    expect(page.get_by_text("The voice is ready.")).to_be_visible(timeout=WORK_MS)


def test_sample_consent_speak_play_download_trace(page: Page, service: Service, tmp_path: Path) -> None:
    """A customer gets from the sign-in page to a clip on disk, and a moderator from the clip back to the customer."""
    customer = service.account("jane@example.org")
    sign_in(page, customer)
    make_ready_voice(page, "Jane")
    page.get_by_role("link", name="Speak in this voice").click()
    page.get_by_role("textbox").fill("Good morning. The ferry leaves at nine, and the sea is calm today.")
    page.get_by_role("button", name=re.compile("^Speak")).click()
    player = page.locator("audio").first
    player.wait_for(state="attached", timeout=WORK_MS)
    page.evaluate("() => { const audio = document.querySelector('audio'); audio.muted = true; return audio.play(); }")
    page.wait_for_function("() => document.querySelector('audio').currentTime > 0.2", timeout=WORK_MS)
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download").click()
    clip = tmp_path / downloading.value.suggested_filename
    downloading.value.save_as(clip)
    assert clip.suffix == ".mp3"
    assert clip.stat().st_size > 10_000

    page.get_by_role("button", name="Sign out").click()
    moderator = service.account("moderator@example.org", role="moderator")
    sign_in(page, moderator)
    page.goto("/console/trace")
    page.locator("input[type=file]").set_input_files(clip)
    page.get_by_label(re.compile("Why|Reason")).fill("A listener reported this clip.")
    page.get_by_role("button", name=re.compile("Trace")).click()
    expect(page.get_by_role("heading", name="Made here")).to_be_visible(timeout=WORK_MS)
    expect(page.get_by_text(customer.email)).to_be_visible()


def test_works_without_javascript(browser: Browser, service: Service) -> None:
    """Everything but recording works with scripts switched off: here sign-in, a refused upload, and its reasons."""
    context = browser.new_context(base_url=service.url, java_script_enabled=False)
    page = context.new_page()
    sign_in(page, service.account("plain@example.org"))
    page.goto("/voices/new")
    page.get_by_label("Name of the voice").fill("Not audio")
    fake = {"name": "notes.wav", "mimeType": "audio/wav", "buffer": b"these are my notes, not a recording\n" * 50}
    page.locator("input[type=file]").set_input_files(fake)
    page.get_by_role("button", name="Check this sample").click()
    expect(page.get_by_text("notes.wav:")).to_be_visible(timeout=WORK_MS)
    context.close()
