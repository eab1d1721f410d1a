"""Who may not: other accounts, customers in the console, other sites' forms, forms that were not confirmed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.accounts.key_models import ApiKey
from app.accounts.models import Role
from app.accounts.registration import NewAccount
from app.core.db import Base
from app.jobs.models import JobKind
from app.settings import Settings
from app.voices.models import Consent, ConsentState, Voice, VoiceState
from tests.conftest import make_settings
from tests.harness import Service, running
from tests.pages.browsing import Page, Visitor
from tests.pages.gallery import Gallery
from tests.pages.gallery_accounts import tools_of
from workers.errands import run_due

Visit = Callable[[Service, NewAccount], Visitor]
FILE = {"files": ("a.wav", b"RIFF some bytes", "audio/wav")}


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Service]:
    """A service of the test's own: `World` takes the next job, whosever it is."""
    with running(make_settings(tmp_path), worker=False) as service:
        yield service


def rows(service: Service) -> dict[str, int]:
    """How many rows each table has."""
    with service.world.databases.reading() as session:
        return {
            name: session.scalar(select(func.count()).select_from(table)) or 0
            for name, table in Base.metadata.tables.items()
            if name != "login_session"
        }


def states(service: Service) -> list[str]:
    return sorted(f"{voice.id} {voice.state}" for voice in service.world.rows(select(Voice)))


def test_what_is_another_accounts_is_not_there(gallery: Gallery, visit: Visit) -> None:
    service = gallery.service
    before = rows(service), states(service), service.storage.list("")
    other = visit(service, service.world.newcomer())
    before[0].update(rows(service))  # the newcomer's own rows
    voices = [gallery.shown[f"voice {state}"][0] for state in ("ready", "rejected", "consent pending")]
    clips = [gallery.shown[f"clip {state}"][0] for state in ("done", "queued")]
    looks = [f"{v}{part}" for v in voices for part in ("", "/progress", "/sample/audio", "/consent/audio")]
    looks += [f"{c}{part}" for c in clips for part in ("", "/progress", "/audio", "/audio?download=1")]
    for path in looks:
        assert other.get(path).status_code == 404, path
    for voice in voices:
        for part, form in (
            ("/consent/revoke", {"confirm": "yes"}),
            ("/delete", {"confirm": "yes"}),
            ("/consent/start", {"speaker_name": "Eve", "language": "en"}),
        ):
            assert other.post(voice + part, **form).status_code == 404, voice + part
        assert other.client.post(f"{voice}/sample", files=FILE).status_code == 404
        assert other.client.post(f"{voice}/consent", files={"recording": FILE["files"]}).status_code == 404
    for clip in clips:
        assert other.post(f"{clip}/cancel").status_code == 404
    ready = gallery.shown["voice ready"][0].rsplit("/", 1)[1]
    assert other.post("/speak", text="Hello", voice_id=ready).status_code == 404
    assert (rows(service), states(service), service.storage.list("")) == before


@pytest.mark.parametrize("made_up", ["x", "%00", "..%2f..%2fetc%2fpasswd", "ü", "a" * 4000, "new%20"])
def test_made_up_addresses(customer: Visitor, moderator: Visitor, made_up: str) -> None:
    for path in (f"/voices/{made_up}", f"/clips/{made_up}", f"/clips/{made_up}/audio", f"/static/{made_up}"):
        answer = customer.get(path)
        assert answer.status_code == 404, path
        assert Page.read(answer.text).title.startswith("There is nothing here"), path
    for path in (f"/console/consents/{made_up}", f"/console/trace/{made_up}"):
        assert moderator.get(path).status_code == 404, path


def test_what_no_database_can_keep(settings: Settings, visit: Visit) -> None:
    """PostgreSQL takes no NUL: not in an address, not in a form."""
    with running(settings, worker=False) as service:
        person = visit(service, service.world.newcomer())
        for path in ("/voices/a%00b", "/clips/a%00b", "/speak?voice_id=%00", "/history?page=" + "9" * 30):
            assert person.get(path).status_code in (200, 404, 422), path
        for path, form in (
            ("/login", {"email": "a\x00b@example.org", "password": "\x00"}),
            ("/speak", {"text": "\x00Hello", "voice_id": "\x00"}),
            ("/account/keys", {"name": "a\x00b", "scope": "read"}),
            ("/account/password", {"current_password": "\x00", "new_password": "\x00" * 20}),
        ):
            assert person.post(path, **form).status_code in (200, 401, 404, 422), path


def test_customers_stay_out_of_the_console(gallery: Gallery) -> None:
    service = gallery.service
    before = rows(service)
    console = [path for path in gallery.paths() if path.startswith("/console")]
    consent = gallery.shown["console consent"][0]
    for path in [*console, f"{consent}/sample", f"{consent}/recording"]:
        answer = gallery.owner.get(path)
        assert answer.status_code == 403, path
        assert gallery.moderator.account.email not in answer.text
    assert gallery.owner.post(consent, decision="approve", reason="I say so.").status_code == 403
    sent = gallery.owner.client.post("/console/trace", data={"reason": "x"}, files={"file": FILE["files"]})
    assert sent.status_code == 403
    assert rows(service) == before
    nav = Page.read(gallery.owner.get("/").text).links
    assert not any(link.startswith("/console") for link in nav)
    assert "/console/trace" in Page.read(gallery.moderator.get("/").text).links


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example", "HX-Request": "true"},
    ],
)
def test_forms_of_other_sites_do_nothing(gallery: Gallery, headers: dict[str, str]) -> None:
    service = gallery.service
    headers = {name: value for name, value in headers.items() if value}
    actions = {action for _, page in gallery.pages.values() for _, action in page.forms}
    before = rows(service), states(service)  # only now: a moderator who looks at a trace leaves an audit row
    for action in sorted(actions | {"/login"}):
        person = gallery.viewer(action)
        kept = dict(person.client.headers)
        person.client.headers.pop("Sec-Fetch-Site")
        answer = person.client.post(action, data={"confirm": "yes", "text": "x", "name": "x"}, headers=headers)
        person.client.headers.update(kept)
        assert answer.status_code == 403, action
        assert "This request came from another site, so it was not carried out." in answer.text
    assert (rows(service), states(service)) == before


def test_what_can_not_be_taken_back_must_be_confirmed(fresh: Service, visit: Visit) -> None:
    person = visit(fresh, fresh.world.newcomer())
    voice = fresh.world.voice(person.account)
    base = f"/voices/{voice.public_id}"
    for part in ("/delete", "/consent/revoke"):
        for form in ({}, {"confirm": "no"}, {"confirm": ""}):
            answer = person.post(base + part, **form)
            assert answer.status_code == 422
            assert "Tick the box to confirm. Nothing was changed." in answer.text
    assert fresh.world.get(Voice, voice.id).state is VoiceState.READY
    assert person.post(f"{base}/consent/revoke", confirm="yes").status_code == 303
    assert fresh.world.get(Voice, voice.id).state is VoiceState.DISABLED
    assert person.post(f"{base}/consent/revoke", confirm="yes").status_code == 404  # there is none any more
    assert person.post(f"{base}/delete", confirm="yes").status_code == 303
    assert fresh.world.get(Voice, voice.id).state is VoiceState.DELETED
    assert person.get(base).status_code == 404


def test_a_moderator_settles_a_consent(fresh: Service, visit: Visit) -> None:
    moderator = visit(fresh, fresh.world.newcomer(role=Role.MODERATOR))
    owner = fresh.world.account()
    consent = fresh.world.consent_in_review(fresh.world.voice(owner, VoiceState.DRAFT))
    path = f"/console/consents/{consent.public_id}"
    assert owner.email in moderator.get("/console/consents").text
    for form, words in (
        ({"reason": "I listened."}, "Choose whether to approve or to refuse."),
        ({"decision": "maybe", "reason": "I listened."}, "Choose whether to approve or to refuse."),
        ({"decision": "refuse", "reason": " \x00 "}, "Write the reason for your decision"),
    ):
        answer = moderator.post(path, **form)
        assert answer.status_code == 422
        assert words in answer.text
    assert fresh.world.get(Consent, consent.id).state is ConsentState.IN_REVIEW
    assert moderator.post(path, decision="approve", reason="I listened.").status_code == 303
    assert fresh.world.get(Consent, consent.id).state is ConsentState.VERIFIED
    late = moderator.post(path, decision="refuse", reason="I listened again.")
    assert late.status_code == 422
    assert "nothing is left to decide" in late.text or "I listened." in late.text
    assert fresh.world.get(Consent, consent.id).state is ConsentState.VERIFIED


def test_nobody_settles_a_consent_of_his_own(fresh: Service, visit: Visit) -> None:
    moderator = visit(fresh, fresh.world.newcomer(role=Role.MODERATOR))
    fresh.world.change(moderator.account, role=Role.CUSTOMER)  # moderators can't clone
    consent = fresh.world.consent_in_review(fresh.world.voice(moderator.account, VoiceState.DRAFT))
    fresh.world.change(moderator.account, role=Role.MODERATOR)
    answer = moderator.post(f"/console/consents/{consent.public_id}", decision="approve", reason="It is me.")
    assert answer.status_code == 422
    assert "Somebody else must decide about a voice of your own account." in answer.text
    assert fresh.world.get(Consent, consent.id).state is ConsentState.IN_REVIEW


def test_making_and_speaking_from_the_pages(fresh: Service, visit: Visit) -> None:
    """The forms as the pages fill them in, the quick one on the front page among them."""
    person = visit(fresh, fresh.world.newcomer())
    made = person.client.post("/voices", data={"name": "Ada", "language": "en-gb"}, files=FILE)
    assert made.status_code == 303
    (voice,) = fresh.world.rows(select(Voice))
    assert made.headers["location"] == f"/voices/{voice.public_id}"
    repeated = person.client.post("/voices", data={"name": "Ada", "language": "en-gb"}, files=FILE)
    assert repeated.headers["location"] == made.headers["location"]
    assert len(fresh.storage.list("uploads")) == 1  # the second copy is not kept
    person.post(f"/voices/{voice.public_id}/delete", confirm="yes")
    with tools_of(fresh) as tools:
        run_due(tools)
    assert fresh.storage.list("uploads") == []
    ready = fresh.world.voice(person.account)
    spoken = person.post("/speak", text="Hello.", voice_id=ready.public_id)
    assert spoken.status_code == 303
    assert person.get(spoken.headers["location"]).status_code == 200
    assert person.post(f"{spoken.headers['location']}/cancel").status_code == 303
    assert "Cancelled." in person.get(spoken.headers["location"]).text


@pytest.mark.parametrize("stuck", ["the cloning failed", "the plan had ended"])
def test_a_voice_that_could_not_be_made_can_be_tried_again(fresh: Service, visit: Visit, stuck: str) -> None:
    person = visit(fresh, fresh.world.newcomer())
    if stuck == "the cloning failed":
        voice = fresh.world.voice(person.account, VoiceState.FAILED)
    else:
        voice = fresh.world.voice(person.account, VoiceState.DRAFT)
        fresh.world.ask(voice)
        fresh.world.submit(voice)
        fresh.world.change(person.account, plan="free")  # while the recording waited
        fresh.world.hear(fresh.world.take(JobKind.CONSENT))
        fresh.world.change(person.account, plan="creator")
    path = f"/voices/{voice.public_id}"
    assert ("post", f"{path}/consent/start") in Page.read(person.get(path).text).forms
    assert person.post(f"{path}/consent/start", speaker_name="Ada Lovelace", language="en").status_code == 303
    fresh.world.submit(voice)
    fresh.world.hear(fresh.world.take(JobKind.CONSENT))
    assert fresh.world.get(Voice, voice.id).state is VoiceState.CLONING


def test_refused_forms_leave_no_file_and_no_row(fresh: Service, visit: Visit) -> None:
    person = visit(fresh, fresh.world.newcomer(plan="free"))
    before = rows(fresh)
    many = [("files", (f"{n}.wav", b"x", "audio/wav")) for n in range(26)]
    for data, files, status, words in (
        ({"name": "Ada"}, FILE, 403, "The Free plan has stock voices only."),
        ({"name": "Ada"}, many, 422, "Choose at most 25 files."),
        ({"name": "Ada", "language": "xx"}, FILE, 422, "Choose one of the languages of the list."),
    ):
        answer = person.client.post("/voices", data=data, files=files)
        assert answer.status_code == status, words
        assert words in answer.text
    chosen_nothing = person.client.post(
        "/voices",
        headers={"Content-Type": "multipart/form-data; boundary=x"},
        content=b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nAda\r\n'
        b'--x\r\nContent-Disposition: form-data; name="files"; filename=""\r\n\r\n\r\n--x--\r\n',
    )
    assert chosen_nothing.status_code == 422
    assert "Choose a recording, or record one here." in chosen_nothing.text
    assert person.client.post("/voices", data={"name": "Ada"}).status_code == 422
    paying = visit(fresh, fresh.world.newcomer())
    before = rows(fresh)
    nameless = paying.client.post("/voices", data={"name": " \x00 "}, files=FILE)
    assert nameless.status_code == 422
    assert "Give the voice a name." in nameless.text
    assert rows(fresh) == before
    assert fresh.storage.list("uploads") == []
    assert fresh.world.count(ApiKey) == 2
