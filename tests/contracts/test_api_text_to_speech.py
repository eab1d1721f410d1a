"""Text to speech and history over HTTP: a real server, a real worker, the fake engine."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import wave
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from sqlalchemy import select

from app.jobs.models import Job, JobState
from app.provenance.models import Stamp
from app.speech.formats import FORMATS
from app.speech.models import Clip
from tests.conftest import make_settings
from tests.harness import Service, running, stock_voice, until

TEXT = "The lighthouse keeper counts the ships at dusk."


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(make_settings(tmp_path_factory.mktemp("speech"))) as service:
        yield service


@pytest.fixture(scope="module")
def voice_id(service: Service) -> str:
    return stock_voice(service).public_id


@pytest.fixture
def client(service: Service) -> Iterator[httpx2.Client]:
    with service.client(service.world.newcomer(plan="studio").api_key) as client:
        yield client


def say(client: httpx2.Client, voice_id: str, text: str = TEXT, query: str = "", **fields: object) -> httpx2.Response:
    body = json.dumps({"text": text, **fields})  # ASCII: halves of characters travel as escapes
    path = f"/v1/text-to-speech/{voice_id}{query}"
    return client.post(path, content=body, headers={"content-type": "application/json"})


def test_the_answer_is_the_stamped_audio(service: Service, voice_id: str, client: httpx2.Client) -> None:
    answer = say(client, voice_id)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "audio/mpeg"
    assert answer.headers["character-cost"] == str(len(TEXT))
    assert answer.headers["request-id"]
    item = client.get(f"/v1/history/{answer.headers['history-item-id']}").json()
    assert item["generation"] == answer.headers["x-vouch-generation"]
    assert item["state"] == "created"
    assert item["character_count_change_to"] == len(TEXT)
    digest = hashlib.sha256(answer.content).hexdigest()
    assert item["sha256"] == digest
    assert service.world.count(Stamp, Stamp.sha256 == digest) == 1
    assert answer.headers["etag"] == f'"{digest}"'


@pytest.mark.parametrize("output_format", ["wav_24000", "flac_44100", "pcm_16000", "mp3_22050_32", "m4a_44100_128"])
def test_formats(voice_id: str, client: httpx2.Client, output_format: str) -> None:
    answer = say(client, voice_id, "Short words.", f"?output_format={output_format}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == FORMATS[output_format].mime
    if output_format.startswith("wav"):
        with wave.open(io.BytesIO(answer.content)) as read:
            assert read.getframerate() == 24_000


def test_seed_speed_and_fields_without_effect(voice_id: str, client: httpx2.Client) -> None:
    fields = {
        "model_id": "eleven_multilingual_v2",
        "seed": 7,
        "language_code": "en-gb",
        "voice_settings": {
            "speed": 1.2,
            "stability": 0.5,
            "similarity_boost": 0.7,
            "style": 0,
            "use_speaker_boost": True,
        },
        "previous_text": "Before.",
        "next_text": "After.",
        "apply_text_normalization": "auto",
        "pronunciation_dictionary_locators": [],
    }
    answer = say(client, voice_id, "Short words.", "?optimize_streaming_latency=0&enable_logging=true", **fields)
    assert answer.status_code == 200, answer.text
    item = client.get(f"/v1/history/{answer.headers['history-item-id']}").json()
    assert item["settings"]["speed"] == 1.2


def test_audio_of_the_history_serves_ranges(voice_id: str, client: httpx2.Client) -> None:
    whole = say(client, voice_id, "Short words.")
    path = f"/v1/history/{whole.headers['history-item-id']}/audio"
    again = client.get(path)
    assert again.content == whole.content
    assert "private" in again.headers["cache-control"]
    assert again.headers["accept-ranges"] == "bytes"
    assert again.headers["content-length"] == str(len(whole.content))
    size = len(whole.content)
    for asked, start, end in (
        ("bytes=0-99", 0, 100),
        ("bytes=100-", 100, size),
        ("bytes=-50", size - 50, size),
        (f"bytes={size - 1}-{size + 500}", size - 1, size),
        (f"bytes=-{size * 2}", 0, size),
    ):
        part = client.get(path, headers={"range": asked})
        assert part.status_code == 206
        assert part.content == whole.content[start:end]
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    for outside in (f"bytes={size}-", "bytes=-0", "bytes=99999999999999-"):
        refused = client.get(path, headers={"range": outside})
        assert refused.status_code == 416
        assert refused.headers["content-range"] == f"bytes */{size}"
        assert not refused.content
    for odd in ("bytes=9-1", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6", "bytes=-", "bytes=" + "9" * 400 + "-"):
        assert client.get(path, headers={"range": odd}).status_code == 200
    tag = again.headers["etag"]
    assert client.get(path, headers={"if-none-match": tag}).status_code == 304
    assert client.get(path, headers={"range": "bytes=0-9", "if-range": tag}).status_code == 206
    assert client.get(path, headers={"range": "bytes=0-9", "if-range": '"old"'}).status_code == 200


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("", 422, "text.nothing_to_say"),
        ("🙂🙃 🎉", 422, "text.nothing_to_say"),
        ("\x00\x01\ud800", 422, "text.nothing_to_say"),
        ("word " * 2_000, 422, "max_character_limit_exceeded"),
        ("word " * 400_000, 422, "max_character_limit_exceeded"),
    ],
)
def test_texts_that_cannot_be_spoken(voice_id: str, client: httpx2.Client, text: str, status: int, code: str) -> None:
    answer = say(client, voice_id, text)
    assert (answer.status_code, answer.json()["detail"]["status"]) == (status, code)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"{}",
        b'{"text": 5}',
        b'{"text": "a", "seed": -1}',
        b'{"text": "a", "seed": 4294967296}',
        b'{"text": "a", "voice_settings": {"speed": NaN}}',
        b'{"text": "a", "voice_settings": {"speed": 9}}',
        b'{"text": "a", "voice_settings": "fast"}',
        b'{"text": "a", "language_code": "' + b"x" * 500 + b'"}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_bodies_that_cannot_be_read(voice_id: str, client: httpx2.Client, body: bytes) -> None:
    answer = client.post(f"/v1/text-to-speech/{voice_id}", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["detail"]


def test_wrong_content_type_and_format(voice_id: str, client: httpx2.Client) -> None:
    assert client.post(f"/v1/text-to-speech/{voice_id}", data={"text": "a"}).status_code == 422
    assert client.post(f"/v1/text-to-speech/{voice_id}", files={"text": b"a"}).status_code == 422
    for odd in ("mp3", "ulaw_8000", "", "mp3_44100_128%00", "../../etc/passwd"):
        answer = say(client, voice_id, query=f"?output_format={odd}")
        assert answer.status_code == 422
        assert answer.json()["detail"]["status"] == "output_format"


def test_logging_cannot_be_turned_off(service: Service, voice_id: str, client: httpx2.Client) -> None:
    before = service.world.count(Clip)
    answer = say(client, voice_id, query="?enable_logging=false")
    assert answer.status_code == 400
    assert "traceable" in answer.json()["detail"]["message"]
    assert service.world.count(Clip) == before


def test_an_engine_that_fails_is_not_a_server_error(voice_id: str, client: httpx2.Client) -> None:
    answer = say(client, voice_id, "[[engine-error]]")
    assert (answer.status_code, answer.json()["detail"]["status"]) == (422, "speak.engine")
    listed = client.get("/v1/history").json()["history"]
    assert [item["state"] for item in listed] == ["failed"]
    assert listed[0]["problem"]
    audio = client.get(f"/v1/history/{listed[0]['history_item_id']}/audio")
    assert (audio.status_code, audio.json()["detail"]["status"]) == (404, "audio_not_ready")


def test_a_language_that_is_not_spoken(voice_id: str, client: httpx2.Client) -> None:
    assert say(client, voice_id, "Guten Tag.", language_code="de").status_code == 422


def test_quota_is_401_as_at_elevenlabs(service: Service, voice_id: str) -> None:
    person = service.world.newcomer(plan="free")
    with service.client(person.api_key) as client:
        service.world.spend(person.account, 9_980)
        answer = say(client, voice_id)
        assert answer.status_code == 401
        detail = answer.json()["detail"]
        assert detail["status"] == detail["rule"] == "quota_exceeded"
        assert detail["fix"]


def test_keys(service: Service, voice_id: str) -> None:
    key = service.world.newcomer().api_key
    with service.client() as client:
        for headers in (
            {},
            {"xi-api-key": "wrong"},
            {"authorization": "Bearer wrong"},
            {"authorization": "Basic " + key},
        ):
            answer = client.get("/v1/user", headers=headers)
            assert (answer.status_code, answer.json()["detail"]["status"]) == (401, "invalid_api_key")
        for headers in ({"xi-api-key": key}, {"authorization": f"Bearer {key}"}, {"authorization": f"bearer {key}"}):
            assert client.get("/v1/user", headers=headers).status_code == 200


def test_other_accounts_see_nothing(service: Service, voice_id: str, client: httpx2.Client) -> None:
    item = say(client, voice_id, "Short words.").headers["history-item-id"]
    with service.client(service.world.newcomer().api_key) as other:
        for path in (f"/v1/history/{item}", f"/v1/history/{item}/audio"):
            answer = other.get(path)
            assert (answer.status_code, answer.json()["detail"]["status"]) == (404, "history_item_not_found")
        assert other.get("/v1/history", params={"start_after_history_item_id": item}).status_code == 404
        assert other.get("/v1/history").json() == {
            "history": [],
            "last_history_item_id": None,
            "has_more": False,
            "scanned_until": None,
        }
    assert say(client, "nosuchvoice").status_code == 404
    for odd in ("%00", "..%2f..", "a" * 500, "voice%20id", "%F0%9F%99%82"):
        assert say(client, odd).status_code in (404, 422)


def test_history_pages(voice_id: str, client: httpx2.Client) -> None:
    made = [say(client, voice_id, f"Number {n}.").headers["history-item-id"] for n in range(3)][::-1]
    first = client.get("/v1/history", params={"page_size": 2, "voice_id": voice_id}).json()
    assert [item["history_item_id"] for item in first["history"]] == made[:2]
    assert first["has_more"]
    after = first["last_history_item_id"]
    second = client.get("/v1/history", params={"page_size": 2, "start_after_history_item_id": after}).json()
    assert [item["history_item_id"] for item in second["history"]] == made[2:]
    assert not second["has_more"]
    assert client.get("/v1/history", params={"voice_id": "another"}).json()["history"] == []
    assert client.get("/v1/history", params={"page_size": 0}).status_code == 422
    assert client.get("/v1/history", params={"page_size": 1001}).status_code == 422


def test_a_client_that_leaves_cancels_its_clip(service: Service, voice_id: str) -> None:
    person = service.world.newcomer()
    parts = urlsplit(service.url)
    body = b'{"text": "[[slow]] a long story"}'
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        head = f"POST /v1/text-to-speech/{voice_id} HTTP/1.1\r\nHost: x\r\nxi-api-key: {person.api_key}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        job = until(lambda: _job_of(service, person.account.id), "the job")
    until(lambda: _ended(service, job), "the job to end")
    assert service.world.get(Job, job.id).state is JobState.CANCELLED
    with service.client(person.api_key) as client:
        assert client.get("/v1/user/subscription").json()["character_count"] == 0


def _job_of(service: Service, account_id: object) -> Job | None:
    found: list[Job] = service.world.rows(select(Job).where(Job.account_id == account_id))
    return found[0] if found else None


def _ended(service: Service, job: Job) -> bool | None:
    return True if not service.world.get(Job, job.id).is_open else None


def test_waiting_ends_with_504_and_the_clip_goes_on(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, web={"wait_for_speech": timedelta(seconds=0.2)})
    with running(settings, worker=False) as service:
        voice = stock_voice(service)
        with service.client(service.world.newcomer().api_key) as client:
            answer = say(client, voice.public_id)
            assert answer.status_code == 504
            item = answer.headers["history-item-id"]
            assert item in answer.json()["detail"]["message"]
            assert client.get(f"/v1/history/{item}").json()["state"] == "processing"
            assert client.get(f"/v1/history/{item}/audio").status_code == 404


def test_a_request_repeated_after_504_makes_no_second_clip(tmp_path: Path) -> None:
    """Official clients send a request again by themselves when the answer is 504."""
    settings = make_settings(tmp_path, web={"wait_for_speech": timedelta(seconds=0.2)})
    with running(settings, worker=False) as service:
        voice = stock_voice(service)
        with service.client(service.world.newcomer().api_key) as client:
            first, again = say(client, voice.public_id), say(client, voice.public_id)
            assert (first.status_code, again.status_code) == (504, 504)
            assert again.headers["history-item-id"] == first.headers["history-item-id"]
            others = [
                say(client, voice.public_id, query="?output_format=wav_24000"),
                say(client, voice.public_id, seed=7),
                say(client, voice.public_id, voice_settings={"speed": 1.1}),
            ]
            items = {answer.headers["history-item-id"] for answer in [first, again, *others]}
        assert len(items) == service.world.count(Clip) == 4
