"""axe-core on the pages, in Chromium: on a phone and on a desktop, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page

from tests.conftest import make_settings, missing
from tests.harness import running
from tests.pages.gallery import Gallery, furnish
from tests.pages.gallery_accounts import SIGN_UP, outside_paths

pytestmark = pytest.mark.browser

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
SIZES = ((390, 844), (1280, 900))
"""A phone and a desktop."""
SCHEMES: dict[Literal["light", "dark"], dict[str, Any]] = {"light": {}, "dark": {"runOnly": ["color-contrast"]}}
"""What axe is asked for: only colours change in the dark."""
PUBLIC = ("/nothing-here", "/sign-up/confirm?token=made-up")
ACCOUNTS = ("new", "paying", "owing", "leaving", "other card", "other name", "sandbox")
"""Whose pages of accounts are looked at: all states that begin so."""
STATES = (
    "voice rejected",
    "voice accepted",
    "voice checking",
    "voice consent pending",
    "voice consent refused",
    "voice ready",
    "voice disabled, consent revoked",
    "clip done",
    "clip running",
    "clip refused",
    "console consent",
    "console trace confirmed",
    "console trace no_evidence",
)
_RUN = "options => axe.run(document, {...options, resultTypes: ['violations']}).then(found => found.violations)"


@pytest.fixture(scope="module")
def axe() -> str:
    """The checker, where set-up has fetched it."""
    if not AXE.is_file():
        missing("axe-core", "run `npm ci` first")
    return AXE.read_text()


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    """A service in which everything stands in every state."""
    with running(make_settings(tmp_path_factory.mktemp("axe")), worker=False) as service:
        shown = furnish(service)
        with closing(shown):
            yield shown


def test_no_grave_barrier(browser: Browser, gallery: Gallery, axe: str) -> None:
    shown = [*gallery.paths()[:10], *(gallery.shown[state][0] for state in STATES)]
    shown += [path for state, (path, _) in gallery.shown.items() if state.startswith(ACCOUNTS)]
    everybody = [*map(gallery.viewer, shown)]
    found: list[str] = []
    for person in {id(each): each for each in everybody}.values():
        token = person.client.cookies["vouch_session"]
        with closing(browser.new_context(base_url=gallery.service.url)) as context:
            context.add_cookies([{"name": "vouch_session", "value": token, "url": gallery.service.url}])
            page = context.new_page()
            for path, viewer in zip(shown, everybody, strict=True):
                if viewer is person:
                    page.goto(path)
                    found += barriers(page, path, axe)
    assert found == []


def test_no_grave_barrier_before_there_is_an_account(browser: Browser, gallery: Gallery, axe: str) -> None:
    found: list[str] = []
    with closing(browser.new_context(base_url=gallery.service.url)) as context:
        page = context.new_page()
        for path in (*outside_paths(gallery.service), *PUBLIC):
            page.goto(path)
            found += barriers(page, path, axe)
        for start, fields in (("/sign-up", SIGN_UP), ("/password/forgotten", {"email": SIGN_UP["email"]})):
            page.goto(start)
            for name, typed in fields.items():
                box = page.locator(f"form[action='{start}'] [name={name}]")
                box.check() if name == "agree" else box.fill(typed)
            page.locator(f"form[action='{start}'] button").click()
            page.get_by_text(SIGN_UP["email"]).first.wait_for()
            found += barriers(page, f"after {start}", axe)
    assert found == []


def barriers(page: Page, path: str, axe: str) -> list[str]:
    """What shuts somebody out of the page that is open, a line each: what axe finds, and having to scroll sideways."""
    page.evaluate("() => document.querySelectorAll('details').forEach(each => { each.open = true; })")
    page.evaluate(axe)  # as a script of the page it would be refused, as any that is not our own
    found = []
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        if page.evaluate("() => document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append(f"{path} scrolls sideways at {width} pixels")
        for scheme, options in SCHEMES.items():
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            violations: list[dict[str, Any]] = page.evaluate(_RUN, options)
            found += [f"{path}, {width} pixels, {scheme}: {_told(each)}" for each in violations if _grave(each)]
    return found


def _grave(violation: dict[str, Any]) -> bool:
    return violation["impact"] in ("serious", "critical")


def _told(violation: dict[str, Any]) -> str:
    node = violation["nodes"][0]
    return f"{violation['id']} ({violation['impact']}): {node['html'][:120]} {node['failureSummary']}"
