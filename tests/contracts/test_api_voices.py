"""Routes of voices and consents over HTTP, attacked: other people's ids, odd forms, too much of everything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.accounts.models import Standing
from app.accounts.registration import NewAccount
from app.voices.models import Voice, VoiceState
from tests.conftest import make_settings
from tests.contracts.test_api_keys import OPEN
from tests.harness import Service, running, stock_voice
from workers.errands import run_due
from workers.tools import Tools

SPEECH = ("files", ("speech.wav", b"RIFF some bytes", "audio/wav"))
OTHER_SPEECH = ("files", ("other.wav", b"RIFF other bytes", "audio/wav"))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Without a worker: nothing here looks into the files."""
    settings = make_settings(tmp_path_factory.mktemp("voices"), web={"max_upload_bytes": 1_000_000})
    with running(settings, worker=False) as service:
        stock_voice(service)
        yield service


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Service]:
    """A service of the test's own, where no job waits: `World` takes the next one, whosever it is."""
    with running(make_settings(tmp_path), worker=False) as service:
        yield service


@pytest.fixture
def person(service: Service) -> NewAccount:
    return service.world.newcomer()


@pytest.fixture
def client(service: Service, person: NewAccount) -> Iterator[httpx2.Client]:
    with service.client(person.api_key) as client:
        yield client


def add(client: httpx2.Client, name: str = "Ada", files: Any = (SPEECH,), **fields: str) -> httpx2.Response:
    return client.post("/v1/voices/add", data={"name": name, **fields}, files=list(files))


def uploads(service: Service) -> list[str]:
    return service.storage.list("uploads")


def added(client: httpx2.Client, **given: Any) -> str:
    answer = add(client, **given)
    assert answer.status_code == 200, answer.text
    assert answer.json()["requires_verification"] is True
    voice_id: str = answer.json()["voice_id"]
    return voice_id


def test_add_and_get(client: httpx2.Client) -> None:
    voice_id = added(client, description="A friend", labels='{"accent": "Scottish", "language": "en-gb"}')
    voice = client.get(f"/v1/voices/{voice_id}").json()
    assert voice["name"] == "Ada"
    assert voice["labels"] == {"accent": "Scottish", "language": "en-gb"}
    assert voice["description"] == "A friend"
    assert voice["safety_control"] == "CAPTCHA"
    assert voice["voice_verification"]["requires_verification"]
    assert not voice["voice_verification"]["is_verified"]
    assert voice["fine_tuning"]["state"] == {"fake": "not_started"}
    assert voice["fine_tuning"]["language"] == "en-gb"
    assert voice["samples"][0]["file_name"] == "speech.wav"
    assert voice["vouch"]["sample"]["state"] == "received"


def test_the_same_upload_twice_is_one_voice_and_leaves_nothing_behind(service: Service, client: httpx2.Client) -> None:
    voice_id = added(client)
    kept = uploads(service)
    assert added(client) == voice_id
    assert uploads(service) == kept
    assert added(client, name="Bea") != voice_id


@pytest.mark.parametrize("labels", ["null", "", "  ", "{}"])
def test_labels_that_say_nothing(client: httpx2.Client, labels: str) -> None:
    assert client.get(f"/v1/voices/{added(client, labels=labels)}").json()["labels"] == {}


@pytest.mark.parametrize(
    "labels",
    [
        "{",
        "words",
        "5",
        "[]",
        '"a"',
        '{"a": {}}',
        '{"a": null}',
        "[" * 100_000,
        "9" * 5_000,
        json.dumps({str(n): "a" for n in range(21)}),
        json.dumps({"a": "b" * 101}),
        json.dumps({"a" * 101: "b"}),
    ],
)
def test_labels_that_cannot_be_read(service: Service, client: httpx2.Client, labels: str) -> None:
    before = uploads(service)
    answer = add(client, labels=labels)
    assert (answer.status_code, answer.json()["detail"]["status"]) == (422, "voice.labels")
    assert uploads(service) == before


def test_text_that_no_database_keeps(client: httpx2.Client) -> None:
    voice_id = added(client, name="A\x00da\n  🙂", labels='{"a\\u0000": "b\\ud800c"}', description="x\x00y")
    voice = client.get(f"/v1/voices/{voice_id}").json()
    assert (voice["name"], voice["labels"], voice["description"]) == ("Ada 🙂", {"a": "bc"}, "xy")


@pytest.mark.parametrize("name", ["", " \n ", "\x00"])
def test_names_that_are_none(service: Service, client: httpx2.Client, name: str) -> None:
    before = uploads(service)
    answer = add(client, name=name)
    assert answer.status_code == 422
    assert answer.json()["detail"]
    assert uploads(service) == before


def test_forms_without_files_or_with_too_many(service: Service, client: httpx2.Client) -> None:
    before = uploads(service)
    assert client.post("/v1/voices/add", data={"name": "Ada"}).status_code == 422
    assert client.post("/v1/voices/add", json={"name": "Ada"}).status_code == 422
    assert client.post("/v1/voices/add", content=b"name=Ada&files=a").status_code == 422
    boundary = {"content-type": "multipart/form-data; boundary=x"}
    for broken in (b"", b"--x\r\n", b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--", b"garbage" * 100):
        assert client.post("/v1/voices/add", content=broken, headers=boundary).status_code in (400, 422)
    assert client.post("/v1/voices/add", content=b"", headers={"content-type": "multipart/form-data"}).status_code in (
        400,
        422,
    )
    many = add(client, files=[SPEECH] * 30)
    assert (many.status_code, many.json()["detail"]["status"]) == (422, "voice.too_many_files")
    assert add(client, files=[SPEECH] * 1_500).status_code == 400
    empty = add(client, files=[SPEECH, ("files", ("empty.wav", b"", "audio/wav"))])
    assert (empty.status_code, empty.json()["detail"]["status"]) == (422, "upload.empty")
    assert uploads(service) == before


def test_bodies_that_are_too_large(service: Service, client: httpx2.Client) -> None:
    answer = add(client, files=[("files", ("large.wav", bytes(2_000_000), "audio/wav"))])
    assert (answer.status_code, answer.json()["detail"]["status"]) == (413, "body.too_large")


def test_file_names_are_only_for_showing(client: httpx2.Client) -> None:
    voice_id = added(client, files=[("files", ("../../etc/pass\x07wd\u202e.wav", b"RIFF 1", "text/html"))])
    (sample,) = client.get(f"/v1/voices/{voice_id}").json()["samples"]
    assert "/" not in sample["file_name"]
    assert sample["mime_type"] == "audio/x-wav" or sample["mime_type"] == "audio/wav"


@pytest.mark.parametrize(
    ("changes", "rule"),
    [({"plan": "free"}, "clone.plan"), ({"verified": False}, "clone.verified")],
)
def test_who_may_not_clone_leaves_nothing_behind(service: Service, changes: dict[str, Any], rule: str) -> None:
    before = uploads(service)
    with service.client(service.world.newcomer(**changes).api_key) as client:
        answer = add(client)
        assert answer.status_code == 403
        detail = answer.json()["detail"]
        assert detail["status"] == detail["rule"] == rule
        assert detail["fix"]
    assert uploads(service) == before


def test_slots_and_standing(service: Service) -> None:
    person = service.world.newcomer(plan="starter")
    with service.client(person.api_key) as client:
        voice_ids = [added(client, name=f"Voice {n}") for n in range(3)]
        kept = uploads(service)
        full = add(client, name="One more")
        assert (full.status_code, full.json()["detail"]["rule"]) == (403, "clone.slots")
        assert uploads(service) == kept
        assert added(client, name="Voice 0") == voice_ids[0], "a repeated request is not one voice more"
        assert client.delete(f"/v1/voices/{voice_ids[0]}").json() == {"status": "ok"}
        run_due(Tools(service.settings))
        assert len(uploads(service)) == len(kept) - 1
        added(client, name="One more")
        service.world.set_standing(person.account, Standing.BANNED)
        banned = client.get("/v1/voices")
        assert (banned.status_code, banned.json()["detail"]["status"]) == (403, "account.banned")


def test_edit(client: httpx2.Client) -> None:
    path = f"/v1/voices/{added(client, labels=json.dumps({'a': 'b'}), description='Old')}"
    answer = client.post(f"{path}/edit", data={"name": "Bea", "labels": "null"}, files=[])
    assert answer.status_code == 200, answer.text
    voice = client.get(path).json()
    assert (voice["name"], voice["labels"], voice["description"]) == ("Bea", {"a": "b"}, "Old")
    assert client.post(f"{path}/edit", data={"name": "Bea", "labels": "{}"}).status_code == 200
    assert client.get(path).json()["labels"] == {}
    assert client.post(f"{path}/edit", data={"name": "  "}).status_code == 422
    assert client.post(f"{path}/edit").status_code == 422
    second = client.post(f"{path}/edit", data={"name": "Cleo"}, files=[OTHER_SPEECH])
    assert (second.status_code, second.json()["detail"]["status"]) == (422, "voice.not_draft")
    assert client.get(path).json()["name"] == "Bea", "a refused edit changes nothing"


def test_settings_are_honest(client: httpx2.Client) -> None:
    voice_id = added(client)
    assert client.get("/v1/voices/settings/default").json()["speed"] == 1.0
    mine = client.get(f"/v1/voices/{voice_id}/settings").json()
    assert mine == {
        "speed": 1.0,
        "stability": None,
        "similarity_boost": None,
        "style": None,
        "use_speaker_boost": None,
    }
    path = f"/v1/voices/{voice_id}/settings/edit"
    assert client.post(path, json={"stability": 0.5}).json() == {"status": "ok"}
    refused = client.post(path, json={"speed": 1.2})
    assert (refused.status_code, refused.json()["detail"]["status"]) == (400, "voice_settings.not_kept")


def test_voices_of_others_deleted_and_unknown(fresh: Service) -> None:
    person = fresh.world.newcomer()
    theirs = fresh.world.voice(fresh.world.account(), VoiceState.READY)
    deleted = fresh.world.voice(person.account, VoiceState.DELETED)
    with fresh.client(person.api_key) as client:
        for voice_id in (theirs.public_id, deleted.public_id, "unknown", "add", "pvc", "settings"):
            _is_not_there(client, voice_id)
        for odd in ("%00", "..%2fx", "a" * 100, "%F0%9F%99%82"):
            assert client.get(f"/v1/voices/{odd}").status_code in (404, 422)
    assert fresh.world.get(Voice, theirs.id).state is VoiceState.READY
    assert fresh.storage.list("uploads") == []


def _is_not_there(client: httpx2.Client, voice_id: str) -> None:
    answers = [
        client.get(f"/v1/voices/{voice_id}"),
        client.delete(f"/v1/voices/{voice_id}"),
        client.post(f"/v1/voices/{voice_id}/edit", data={"name": "Mine"}),
        client.get(f"/v1/voices/{voice_id}/settings"),
        client.post(f"/v1/voices/{voice_id}/settings/edit", json={}),
        client.get(f"/v1/voices/pvc/{voice_id}/captcha"),
        client.post(f"/v1/voices/pvc/{voice_id}/captcha", files={"recording": b"RIFF"}),
        client.get(f"/v1/voices/{voice_id}/consents"),
        client.post(f"/v1/voices/{voice_id}/consents/x/revoke"),
        client.post(f"/v1/text-to-speech/{voice_id}", json={"text": "Hello."}),
    ]
    assert [(answer.status_code, answer.json()["detail"]["status"]) for answer in answers] == [
        (404, "voice_not_found")
    ] * len(answers), voice_id


def test_stock_voices_belong_to_everybody(client: httpx2.Client) -> None:
    (stock,) = [voice for voice in client.get("/v1/voices").json()["voices"] if voice["category"] == "premade"]
    path = f"/v1/voices/{stock['voice_id']}"
    assert client.get(path).json() == stock
    assert stock["safety_control"] == "NONE"
    assert not stock["is_owner"]
    assert client.delete(path).status_code == 404
    assert client.post(f"{path}/edit", data={"name": "Mine"}).status_code == 404
    assert client.get(f"/v1/voices/pvc/{stock['voice_id']}/captcha").status_code == 404


def test_search(client: httpx2.Client) -> None:
    names = ["Ada", "Bea", "Cleo"]
    ids = {name: added(client, name=name, description=f"number {name}") for name in names}

    def found(**query: Any) -> list[str]:
        answer = client.get("/v2/voices", params=query)
        assert answer.status_code == 200, answer.text
        return [voice["name"] for voice in answer.json()["voices"]]

    assert found(voice_type="personal") == ["Cleo", "Bea", "Ada"]
    assert found(sort="name") == ["Ada", "Bea", "Cleo", "Low"]
    assert found(sort="name", sort_direction="desc") == ["Low", "Cleo", "Bea", "Ada"]
    assert found(search="NUMBER bea") == ["Bea"]
    assert found(category="premade") == found(voice_type="default") == ["Low"]
    assert found(category="professional") == found(voice_type="community") == []
    assert found(voice_ids=[ids["Ada"], ids["Cleo"]], sort="name") == ["Ada", "Cleo"]
    first = client.get("/v2/voices", params={"page_size": 3, "sort": "name"}).json()
    assert (len(first["voices"]), first["has_more"], first["total_count"]) == (3, True, 4)
    second = client.get(
        "/v2/voices", params={"page_size": 3, "sort": "name", "next_page_token": first["next_page_token"]}
    ).json()
    assert ([voice["name"] for voice in second["voices"]], second["has_more"]) == (["Low"], False)
    assert found(next_page_token="99999999999") == []
    for odd in (
        {"page_size": 0},
        {"page_size": 101},
        {"next_page_token": "-1"},
        {"next_page_token": "²"},
        {"sort": "x"},
    ):
        assert client.get("/v2/voices", params=odd).status_code == 422


def test_captcha(service: Service, person: NewAccount, client: httpx2.Client) -> None:
    voice_id = added(client)
    path = f"/v1/voices/pvc/{voice_id}/captcha"
    early = client.post(path, files={"recording": b"RIFF"})
    assert (early.status_code, early.json()["detail"]["status"]) == (422, "consent.none_pending")
    asked = client.get(path).json()
    assert person.account.name in asked["statement"]
    assert asked["statement"].endswith(", ".join(asked["challenge"]) + ".")
    assert client.get(path).json() == asked, "asking again is not another sentence"
    named = client.get(path, params={"speaker_name": "Grace Hopper"}).json()
    assert "Grace Hopper" in named["statement"]
    assert named["consent_id"] != asked["consent_id"]
    assert client.get(path, params={"language": "de"}).status_code == 422
    assert client.get(path, params={"speaker_name": "123"}).status_code == 422
    assert client.post(path, files={"recording": b""}).status_code == 422
    assert client.post(path, json={"recording": "a"}).status_code == 422
    kept = len(uploads(service))
    assert client.post(path, files={"recording": ("read.wav", b"RIFF")}).json() == {"status": "ok"}
    again = client.post(path, files={"recording": ("read.wav", b"RIFF")})
    assert (again.status_code, again.json()["detail"]["status"]) == (422, "consent.none_pending")
    assert len(uploads(service)) == kept + 1, "the refused recording is thrown away"
    verification = client.get(f"/v1/voices/{voice_id}").json()["voice_verification"]
    assert verification["verification_attempts_count"] == 1
    (attempt,) = verification["verification_attempts"]
    assert (attempt["state"], attempt["accepted"]) == ("checking", False)
    states = [each["state"] for each in client.get(f"/v1/voices/{voice_id}/consents").json()["consents"]]
    assert states == ["failed", "checking"]


def test_sentences_are_not_endless(service: Service, client: httpx2.Client) -> None:
    path = f"/v1/voices/pvc/{added(client)}/captcha"
    answers = [client.get(path, params={"speaker_name": f"Name {'x' * n}"}) for n in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [403]
    assert answers[-1].json()["detail"]["rule"] == "consent.attempts"


def test_revoke(fresh: Service) -> None:
    person = fresh.world.newcomer()
    voice = fresh.world.voice(person.account, VoiceState.READY)
    path = f"/v1/voices/{voice.public_id}"
    with fresh.client(person.api_key) as client:
        shown = client.get(path).json()
        assert shown["voice_verification"]["is_verified"]
        assert shown["safety_control"] == "NONE"
        assert shown["fine_tuning"]["state"] == {"fake": "fine_tuned"}
        (consent,) = client.get(f"{path}/consents").json()["consents"]
        assert consent["state"] == "verified"
        revoke = f"{path}/consents/{consent['consent_id']}/revoke"
        with fresh.client(fresh.world.newcomer().api_key) as other:
            assert other.post(revoke).status_code == 404
        assert client.post(f"{path}/consents/unknown/revoke").status_code == 404
        assert client.post(revoke, json={"reason": "She asked."}).json()["state"] == "revoked"
        assert client.get(path).json()["safety_control"] == "CAPTCHA"
        silent = client.post(f"/v1/text-to-speech/{voice.public_id}", json={"text": "Hello."})
        assert (silent.status_code, silent.json()["detail"]["rule"]) == (403, "voice_not_verified")
        again = client.post(revoke)
        assert (again.status_code, again.json()["detail"]["status"]) == (422, "consent.not_in_force")


def test_account_and_models(service: Service, person: NewAccount, client: httpx2.Client) -> None:
    added(client)
    user = client.get("/v1/user").json()
    assert user["user_id"] == person.account.public_id
    assert user["subscription"] == client.get("/v1/user/subscription").json()
    assert user["subscription"]["tier"] == "creator"
    assert user["subscription"]["voice_slots_used"] == 1
    assert user["subscription"]["can_use_instant_voice_cloning"]
    assert [model["model_id"] for model in client.get("/v1/models").json()] == ["fake"]
    assert "password" not in json.dumps(user)


def test_every_route_needs_a_key(service: Service) -> None:
    with service.client() as client:
        for path, methods in service.app.openapi()["paths"].items():
            for method in methods:
                if not path.startswith(("/v1", "/v2")) or path in OPEN:
                    continue
                answer = client.request(method, path.replace("{", "").replace("}", ""))
                assert answer.status_code in (401, 422), (method, path)
                assert answer.status_code == 401, (method, path, answer.text)
