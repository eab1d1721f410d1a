"""Every page in every state: it shows what matters, and nothing in it can be misused."""

from __future__ import annotations

import re
from collections import Counter

from sqlalchemy import select
from starlette.routing import Match

from app.core.audit import AuditEntry
from tests.pages.browsing import Page, own_path, visitor
from tests.pages.gallery import Gallery

MOST_BYTES = 100_000
AUDIO = ("/audio", "/sample", "/recording")
HEADERS = {
    "content-security-policy": r"default-src 'self'; style-src 'self'; script-src 'self';.*frame-ancestors 'none';"
    r".*form-action 'self';.*base-uri 'none';.*object-src 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "permissions-policy": r"microphone=\(self\).*",
    "cross-origin-opener-policy": "same-origin",
}


def test_every_state_shows_what_matters(gallery: Gallery) -> None:
    missing = {}
    for state, (path, words) in gallery.shown.items():
        _, page = gallery.pages[path]
        if words not in page.text:
            missing[state] = page.text
    assert missing == {}
    assert len(gallery.shown) == 62


def test_the_changing_part_alone_says_the_same(gallery: Gallery) -> None:
    for state, (path, words) in gallery.shown.items():
        if path.startswith(("/voices/", "/clips/", "/console/trace/", "/detect/")):
            part = gallery.viewer(path).get(f"{path}/progress")
            assert words in Page.read(part.text).text, state
            assert "<html" not in part.text


def test_waiting_pages_ask_again_and_settled_ones_do_not(gallery: Gallery) -> None:
    live = {
        state
        for state, (path, _) in gallery.shown.items()
        if "http-equiv" in gallery.pages[path][0].text or "hx-get" in gallery.pages[path][0].text
    }
    assert live == {
        "voice received",
        "voice checking",
        "voice cloning",
        "voice consent checking",
        "voice consent in review",
        "voice consent verified",
        "clip queued",
        "clip running",
        "console trace waiting",
        "detection waiting",
        "new: /account/plan?checkout=done",
        "leaving: /account/identity",
    }


def test_only_sure_traces_name_an_account(gallery: Gallery) -> None:
    for state, (path, _) in gallery.shown.items():
        if state.startswith("console trace"):
            named = gallery.owner.account.email in gallery.pages[path][1].text
            assert named == (state.split()[-1] in ("confirmed", "strong")), state


def test_each_look_at_a_name_is_in_the_audit(gallery: Gallery) -> None:
    def looks() -> int:
        actor, action = str(gallery.moderator.account.id), "trace_query.read"
        query = select(AuditEntry).where(AuditEntry.actor_id == actor, AuditEntry.action == action)
        return len(gallery.service.world.rows(query))

    for state, (path, _) in gallery.shown.items():
        if state.startswith("console trace"):
            before = looks()
            gallery.moderator.get(path)
            assert looks() - before == (state.split()[-1] in ("confirmed", "strong")), state


def test_a_refusal_says_whom_to_ask(gallery: Gallery) -> None:
    _, page = gallery.pages[gallery.shown["clip refused"][0]]
    assert "Rule voice.no_consent If this looks wrong, ask your administrator and name the rule." in page.text


def test_what_people_write_is_shown_and_not_run(gallery: Gallery) -> None:
    for path in gallery.paths():
        answer, page = gallery.pages[path]
        assert "<script>alert" not in answer.text
        assert "<img" not in answer.text, path
        assert page.inline == [], path
    shown = gallery.pages[gallery.shown["clip done"][0]][1].text
    assert "Hello <script>alert('x')</script>" in shown


def test_long_and_odd_names(gallery: Gallery) -> None:
    _, page = gallery.pages[gallery.shown["voice rejected"][0]]
    assert "Zoë 🦆 evil 長長長" in page.text  # not turned round
    assert "長" * 80 not in page.text  # cut where the table's column ends


def test_no_page_runs_or_styles_inline(gallery: Gallery) -> None:
    with visitor(gallery.service) as stranger:
        pages = [page for _, page in (*gallery.pages.values(), *gallery.outside.values())]
        pages += [Page.read(stranger.get(path).text) for path in ("/nothing-here", "/docs")]
    assert [page.inline for page in pages if page.inline] == []


def test_headers_on_every_kind_of_answer(gallery: Gallery) -> None:
    owner = gallery.owner
    voice = gallery.shown["voice ready"][0]
    answers = [
        *(gallery.viewer(path).get(path) for path in gallery.paths()),
        owner.get("/nothing-here"),
        owner.get("/static/site.css"),
        owner.get("/console/trace"),  # 403
        owner.get(f"{voice}/sample/audio"),  # 404: no such object
        owner.post(f"{voice}/delete"),  # 422: not confirmed
        owner.client.post("/speak", headers={"Sec-Fetch-Site": "cross-site"}),
        owner.client.get("/speak", headers={"Cookie": "vouch_session=unknown"}),  # redirect
        owner.client.get("/v1/voices"),  # 401, JSON
        owner.client.get("/healthz"),
        owner.client.put("/speak"),  # 405
    ]
    assert {answer.status_code for answer in answers} >= {200, 303, 401, 403, 404, 405, 422}
    for answer in answers:
        for name, pattern in HEADERS.items():
            assert re.fullmatch(pattern, answer.headers.get(name, "")), (answer.request.url, name)
        if "html" in answer.headers.get("content-type", "") or "json" in answer.headers.get("content-type", ""):
            assert answer.headers["cache-control"] == "no-store", answer.request.url


def test_pages_are_light(gallery: Gallery) -> None:
    sizes: dict[str, int] = {}
    for path, (answer, page) in (gallery.pages | gallery.outside).items():
        total = len(answer.content)
        for asset in page.assets:
            if asset not in sizes:
                sizes[asset] = len(gallery.owner.get(own_path(asset)).content)
            total += sizes[asset]
        # The module imports the rest of the scripts where their parts are on the page: count all of them.
        total += sum(_size(gallery, f"/static/js/{name}.js", sizes) for name in _SCRIPTS)
        assert total < MOST_BYTES, (path, total)


def _whose(path: str) -> str:
    """A path that the same person looks at."""
    return "/console" if path.startswith("/console") else f"#{path.partition('#')[2]}"


_SCRIPTS = ("countdown", "counter", "dropzone", "forms", "hash", "player", "recorder", "waveform")


def _size(gallery: Gallery, asset: str, known: dict[str, int]) -> int:
    if asset not in known:
        answer = gallery.owner.get(asset)
        assert answer.status_code == 200, asset
        known[asset] = len(answer.content)
    return known[asset]


def test_every_field_has_a_label_and_every_id_is_unique(gallery: Gallery) -> None:
    for path, (_, page) in (gallery.pages | gallery.outside).items():
        assert page.unlabelled == [], path
        assert [name for name, count in Counter(page.ids).items() if count > 1] == [], path
        assert page.tags.count("h1") == 1, path
        assert page.tags.count("main") == 1, path


def test_titles_tell_pages_apart(gallery: Gallery) -> None:
    with visitor(gallery.service) as stranger:
        titles = [Page.read(stranger.get("/nothing-here").text).title]
    # A form that is sent back is the same page.
    titles += [
        page.title
        for name, (_, page) in gallery.outside.items()
        if name not in ("nothing filled in", "mail for a new password")
    ]
    # Clips in one voice share its name, as readings of one speaker do, and accounts their pages: one each is enough.
    shared = ("/clips/", "/console/consents/")
    own = [path for path in gallery.paths() if "#" not in path and not path.startswith(shared)]
    own += [gallery.shown["clip done"][0], gallery.shown["console consent"][0]]
    titles += [gallery.pages[path][1].title for path in own]
    assert [title for title, count in Counter(titles).items() if count > 1] == []
    assert all(title.endswith(" · Vouch") for title in titles)


def test_every_link_and_form_leads_somewhere(gallery: Gallery) -> None:
    links: set[tuple[str, str]] = set()
    forms: set[str] = set()
    for path, (_, page) in gallery.pages.items():
        links |= {(own_path(link), _whose(path)) for link in page.links if not link.startswith("#")}
        links |= {(asset, _whose(path)) for asset in page.assets}
        assert all(method == "post" for method, _ in page.forms)
        forms |= {own_path(action) for _, action in page.forms}
    for _, page in gallery.outside.values():
        assert all(method == "post" for method, _ in page.forms)
        forms |= {own_path(action) for _, action in page.forms}
        links |= {(own_path(link), "#new") for link in page.links if not link.startswith("#")}
    for link, whose in sorted(links):
        answer = gallery.viewer(whose).get(link)
        # There is no audio in this service; the routes of audio say so, each in its own words.
        routed = answer.status_code == 404 and "There is nothing at this address." not in answer.text
        assert answer.status_code == 200 or (routed and link.partition("?")[0].endswith(AUDIO)), link
    assert len(forms) > 45
    for action in sorted(forms):  # sending them all would change what the other tests look at
        asked = {"type": "http", "method": "POST", "path": action, "headers": []}
        found = [route.matches(asked)[0] for route in gallery.service.app.router.routes]
        assert Match.FULL in found, action


def test_a_voice_that_waits_for_us_does_not_ask_for_the_person(gallery: Gallery) -> None:
    """On the home page, "Needs you" stands on voices that need their owner and on no other."""
    home = gallery.pages["/"][0].text
    for state, tag in (
        ("voice received", "Received"),
        ("voice checking", "Checking"),
        ("voice consent checking", "Checking"),
        ("voice consent in review", "In review"),
        ("voice consent pending", "Needs you"),
        ("voice consent failed", "Needs you"),
    ):
        link = home.index(f'href="{gallery.shown[state][0]}"')
        card = home[home.rfind("<li", 0, link) : home.index("</li>", link)]
        assert f">{tag}</span>" in card, state
