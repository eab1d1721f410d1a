"""A real browser (Debian's Chromium, headless, with a microphone that plays a file) against a real `vouch up`."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyotp
import pytest
from playwright.sync_api import Browser, sync_playwright

from workers.audio.decode import decode
from workers.audio.resample import resample

SPEECH = Path(__file__).parents[1] / "data" / "speech"
READER = "reader_26"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
START_SECONDS = 90
VOUCH = [sys.executable, "-m", "app.cli"]


@dataclass(frozen=True)
class Person:
    """Somebody with an account."""

    email: str
    password: str
    api_key: str
    totp_address: str = ""
    """What their authenticator app reads; staff has one."""

    def code(self) -> str:
        """What the app shows now."""
        app = pyotp.parse_uri(self.totp_address)
        assert isinstance(app, pyotp.TOTP)
        return app.now()


@dataclass(frozen=True)
class Service:
    """A running `vouch up`."""

    url: str
    environment: dict[str, str]

    def account(self, email: str, role: str = "customer", plan: str = "creator") -> Person:
        """Create an account with the operator's command."""
        command = [*VOUCH, "admin", "create-account", "--email", email, "--role", role, "--plan", plan]
        done = subprocess.run(
            [*command, "--verified", "--json"], env=self.environment, capture_output=True, text=True, check=True
        )
        made = json.loads(done.stdout)
        return Person(email, made["password"], made["api_key"], made.get("totp_address", ""))


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The whole service with the fake engine; consent asks for the sentence that the recorded reader reads."""
    statement = json.loads((SPEECH / "transcripts.json").read_text())[READER]["consent.flac"]
    environment = {
        **os.environ,
        "VOUCH_DATA_DIR": str(tmp_path_factory.mktemp("vouch")),
        "VOUCH_SPEECH__ENGINE": "fake",
        "VOUCH_TEST_CONSENT_STATEMENT": statement,
    }
    log = tmp_path_factory.mktemp("log") / "up.log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            [*VOUCH, "up", "--port", "0"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield Service(_wait_for_address(process, log), environment)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def _wait_for_address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"ready: open (http\S+)", log.read_text()):
            return found[1]
        time.sleep(0.1)
    raise AssertionError("vouch up did not become ready:\n" + log.read_text())


@pytest.fixture(scope="session")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the fake microphone plays: the reader's consent, 48 kHz WAV as Chromium wants it."""
    heard = decode(SPEECH / READER / "consent.flac")
    pcm = np.clip(resample(heard.pcm, heard.sample_rate, 48_000), -1, 1)
    path = tmp_path_factory.mktemp("microphone") / "consent.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes((pcm * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="session")
def browser(microphone: Path) -> Iterator[Browser]:
    """Headless Chromium that lets pages use its fake microphone."""
    if CHROMIUM is None:
        if os.environ.get("VOUCH_TEST_REQUIRE_SERVICES"):
            pytest.fail("Chromium is not installed (Debian: apt-get install chromium)")
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-background-networking",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-audio-capture={microphone}%noloop",
            ],
        )
        yield browser
        browser.close()
