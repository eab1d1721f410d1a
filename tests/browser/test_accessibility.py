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

pytestmark = pytest.mark.browser

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
SIZES = ((390, 844), (1280, 900))
"""A phone and a desktop."""
SCHEMES: dict[Literal["light", "dark"], dict[str, Any]] = {"light": {}, "dark": {"runOnly": ["color-contrast"]}}
"""What axe is asked for: only colours change in the dark."""
PUBLIC = ("/", "/login", "/nothing-here")
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
        with closing(shown.owner.client), closing(shown.moderator.client):
            yield shown


def test_no_grave_barrier(browser: Browser, gallery: Gallery, axe: str) -> None:
    shown = [*gallery.paths()[:10], *(gallery.shown[state][0] for state in STATES)]
    found: list[str] = []
    for person, paths in (
        (None, PUBLIC),
        (gallery.owner, [path for path in shown if not path.startswith("/console")]),
        (gallery.moderator, [path for path in shown if path.startswith("/console")]),
    ):
        context = browser.new_context(base_url=gallery.service.url)
        if person is not None:
            token = person.client.cookies["vouch_session"]
            context.add_cookies([{"name": "vouch_session", "value": token, "url": gallery.service.url}])
        with closing(context), closing(context.new_page()) as page:
            for path in paths:
                found += barriers(page, path, axe)
    assert found == []


def barriers(page: Page, path: str, axe: str) -> list[str]:
    """What shuts somebody out of a page, a line each: what axe finds, and having to scroll sideways."""
    page.goto(path)
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
