"""What people send by mistake or on purpose: never a 500, nothing lost, and a sentence that says what to do.

Files go through the real web form or API and, where they must be heard, through the real intake worker.
"""

from __future__ import annotations

import io
import re
import resource
import struct
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

import av
import httpx2
import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import select

from app.accounts.key_models import ApiKey
from app.accounts.models import Role
from app.core.db import Base
from app.main import create_app
from app.provenance.models import TraceQuery, TraceState
from app.voices.models import Consent, ConsentState, Sample, SampleFile, SampleState, Voice
from tests.conftest import make_settings
from tests.harness import Service, running, stock_voice, until
from tests.http_server import serve
from tests.pages.browsing import OWN_FORM, Page, Visitor
from workers.audio.decode import decode
from workers.audio.resample import resample

Floats = NDArray[np.float32]
SPEECH = Path(__file__).parents[1] / "data" / "speech"
FOREIGN = re.compile(
    r"Traceback|\b[A-Z]\w+(Error|Exception)\b|sqlalchemy|sqlite3|psycopg|/site-packages/|\.py\b|obstore"
)
SETTLED = (SampleState.ACCEPTED, SampleState.REJECTED)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a worker that really listens."""
    with running(make_settings(tmp_path_factory.mktemp("bad"))) as service:
        yield service


@pytest.fixture
def person(service: Service) -> Iterator[Visitor]:
    person = Visitor.of(service, service.world.newcomer(plan="studio"))
    with closing(person.client):
        yield person


# sounds and files


def tone(seconds: float, rate: int, hertz: float = 440.0) -> Floats:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


@cache
def reader(name: str) -> Floats:
    """A minute of a reader at 16 kHz."""
    return decode(SPEECH / name / "sample.flac").pcm


def encoded(samples: Floats, container: str, codec: str, rate: int = 16_000, layout: str = "mono") -> bytes:
    """A file of samples (channels, n) or (n,)."""
    target = io.BytesIO()
    with av.open(target, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        stream.codec_context.open()
        flat = np.ascontiguousarray(np.atleast_2d(samples).T.reshape(1, -1), np.float32)
        frame = av.AudioFrame.from_ndarray(flat, format="flt", layout=layout)
        frame.sample_rate = rate
        fit = av.AudioResampler(stream.format, layout, rate, frame_size=stream.codec_context.frame_size or 4096)
        for part in [*fit.resample(frame), *fit.resample(None)]:
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return target.getvalue()


def wav(samples: Floats, rate: int = 16_000, layout: str = "mono") -> bytes:
    return encoded(samples, "wav", "pcm_s16le", rate, layout)


@cache
def four_hours() -> bytes:
    """MP3 frames follow one another as they are, so ten seconds 1440 times over are four hours, in 14 MB."""
    return encoded(np.zeros(10 * 8000, np.float32), "mp3", "libmp3lame", 8000) * 1440


def bomb() -> bytes:
    """A small FLAC file that unpacks to much: ten minutes of nothing in eight channels."""
    return encoded(np.zeros((8, 600 * 8000), np.float32), "flac", "flac", 8000, "7.1")


def song() -> Floats:
    """Chords that are plucked, and a drum on every beat."""
    time = np.arange(40 * 16_000) / 16_000
    step = np.array([1, 4 / 3, 3 / 2, 1])[(time // 2).astype(int) % 4]
    phase = 2 * np.pi * np.cumsum(step) / 16_000
    chords = sum(np.sin(phase * f) for f in (220, 277, 330, 440)) * np.exp(-3 * (time % 0.5))
    drum = np.random.default_rng(4).standard_normal(len(time)) * np.exp(-25 * (time % 0.5))
    return (0.08 * chords + 0.15 * drum).astype(np.float32)


def png() -> bytes:
    """A picture of one black dot."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


# what is asked of every answer


def plain(answer: httpx2.Response, status: int) -> str:
    """What the answer says to a person: no defect, no word of a program."""
    assert answer.status_code == status, answer.text
    if "json" in answer.headers["content-type"]:
        body = answer.json()
        said = body["detail"]["message"] if isinstance(body["detail"], dict) else body["detail"]
    else:
        said = Page.read(answer.text).text
    assert not FOREIGN.search(said), said
    return str(said)


def sentence(said: str) -> str:
    """Something that can be read aloud to the person."""
    assert said[0].isupper() or ": " in said, said
    assert said.endswith("."), said
    assert not FOREIGN.search(said), said
    return said


def sample_of(service: Service, voice: Voice) -> Sample | None:
    """The newest sample once it is settled."""
    query = select(Sample).where(Sample.voice_id == voice.id).order_by(Sample.id.desc()).limit(1)
    (sample,) = service.world.rows(query)
    return sample if sample.state in SETTLED else None


def sent(service: Service, person: Visitor, *files: tuple[str, bytes]) -> tuple[Voice, Sample]:
    """Send files by the form of a new voice; gives the voice and its judged sample."""
    parts = [("files", (name, data, "audio/wav")) for name, data in files]
    answer = person.client.post("/voices", data={"name": f"From {files[0][0]}"}, files=parts)
    assert answer.status_code == 303, answer.text
    public_id = answer.headers["location"].rsplit("/", 1)[1]
    (voice,) = service.world.rows(select(Voice).where(Voice.public_id == public_id))
    return voice, until(lambda: sample_of(service, voice), "a judged sample")


def refused(service: Service, person: Visitor, *files: tuple[str, bytes]) -> set[str]:
    """Send files that must be rejected; gives the codes. Page and API say why, and nothing is lost."""
    voice, sample = sent(service, person, *files)
    assert sample.state is SampleState.REJECTED
    page = plain(person.get(f"/voices/{voice.public_id}"), 200)
    with service.client(person.api_key) as client:
        api = client.get(f"/v1/voices/{voice.public_id}").text
    for reason in sample.reasons:
        assert sentence(reason["message"]) in page
        assert reason["code"] in api
    assert "Try another sample" in page
    kept = service.world.rows(select(SampleFile).where(SampleFile.sample_id == sample.id))
    assert [service.storage.size(file.storage_key) for file in kept] == [len(data) for _, data in files]
    return {reason["code"] for reason in sample.reasons}


# files that intake refuses


@pytest.mark.parametrize(
    ("name", "make", "codes"),
    [
        ("notes.wav", lambda: b"these are my notes\n" * 500, {"audio.not_audio"}),
        ("picture.mp3", png, {"audio.not_audio"}),
        ("random.ogg", lambda: np.random.default_rng(1).bytes(100_000), {"audio.not_audio"}),
        ("cut.m4a", lambda: encoded(tone(20, 16_000), "ipod", "aac")[:20_000], {"audio.not_audio"}),
        ("evening.mp3", four_hours, {"audio.too_long"}),
        ("bomb.flac", bomb, {"audio.too_long"}),
        ("quiet.wav", lambda: wav(np.zeros(40 * 16_000, np.float32)), {"sample.speech_length", "sample.mostly_speech"}),
        ("song.wav", lambda: wav(song()), {"sample.speech_length", "sample.mostly_speech"}),
        ("short.wav", lambda: wav(reader("reader_26")[: 5 * 16_000]), {"sample.speech_length"}),
        (
            "studio.wav",  # as audio it is fine; there is too little of it
            lambda: wav(np.tile(resample(reader("reader_26")[: 4 * 16_000], 16_000, 192_000), (8, 1)), 192_000, "7.1"),
            {"sample.speech_length"},
        ),
    ],
)
def test_files_that_are_refused(service: Service, person: Visitor, name: str, make: object, codes: set[str]) -> None:
    assert callable(make)
    assert refused(service, person, (name, make())) == codes


def test_files_that_are_too_long_together(service: Service, person: Visitor) -> None:
    """Each is short enough; what a sample may cost in memory counts for all of them."""
    half = encoded(np.zeros(190 * 8000, np.float32), "flac", "flac", 8000)
    assert refused(service, person, ("one.flac", half), ("two.flac", half)) == {"sample.too_long"}


def test_two_speakers(service: Service, person: Visitor) -> None:
    joined = np.concatenate([reader(name)[: 25 * 16_000] for name in ("reader_26", "reader_27")])
    assert refused(service, person, ("both.wav", wav(joined))) == {"sample.one_voice"}


def test_one_bad_file_among_good_ones_is_named(service: Service, person: Visitor) -> None:
    _, sample = sent(service, person, ("good.wav", wav(tone(3, 16_000))), ("../../etc/bad one.wav", b"text" * 99))
    assert sample.state is SampleState.REJECTED
    assert [reason["message"].partition(":")[0] for reason in sample.reasons] == ["bad one.wav"]


def test_a_recording_that_was_cut_off_is_used_as_far_as_it_goes(service: Service, person: Visitor) -> None:
    whole = encoded(reader("reader_26"), "mp3", "libmp3lame")
    _, sample = sent(service, person, ("cut.mp3", whole[: len(whole) // 4]))
    assert sample.speech_seconds == pytest.approx(15, abs=4)
    assert {reason["code"] for reason in sample.reasons} == {"sample.speech_length"}


def test_after_a_refusal_another_sample_is_heard_and_a_bad_consent_says_why(service: Service, person: Visitor) -> None:
    voice, _ = sent(service, person, ("notes.wav", b"not audio" * 100))
    path = f"/voices/{voice.public_id}"
    good = wav(reader("reader_26")[: 40 * 16_000])
    again = person.client.post(f"{path}/sample", files={"files": ("good.wav", good, "audio/wav")})
    assert again.status_code == 303
    assert until(lambda: sample_of(service, voice), "a judged sample").state is SampleState.ACCEPTED
    for name, data, code in (
        ("notes.webm", b"not audio" * 100, "audio.not_audio"),
        ("evening.mp3", four_hours(), "audio.too_long"),
        ("quiet.wav", wav(np.zeros(8 * 16_000, np.float32)), "consent.too_short"),
    ):
        assert person.post(f"{path}/consent/start", speaker_name="Jane Reader", language="en").status_code == 303
        assert person.client.post(f"{path}/consent", files={"recording": (name, data, "audio/wav")}).status_code == 303
        consent = until(lambda: failed_consent(service, voice), "a failed consent")
        assert [reason["code"] for reason in consent.reasons] == [code]
        assert sentence(consent.reasons[0]["message"]) in plain(person.get(path), 200)


def failed_consent(service: Service, voice: Voice) -> Consent | None:
    query = select(Consent).where(Consent.voice_id == voice.id).order_by(Consent.id.desc()).limit(1)
    (consent,) = service.world.rows(query)
    return consent if consent.state is ConsentState.FAILED else None


@pytest.mark.parametrize(("name", "make"), [("notes.mp3", lambda: b"not audio" * 100), ("evening.mp3", four_hours)])
def test_a_trace_of_no_audio_says_why(service: Service, name: str, make: object) -> None:
    assert callable(make)
    moderator = Visitor.of(service, service.world.newcomer(role=Role.MODERATOR))
    with closing(moderator.client) as client:
        form = {"data": {"reason": "A listener asked."}, "files": {"file": (name, make(), "audio/mpeg")}}
        answer = client.post("/console/trace", **form)
        assert answer.status_code == 303
        public_id = answer.headers["location"].rsplit("/", 1)[1]
        query = until(lambda: failed_trace(service, public_id), "a trace that failed")
        assert sentence(query.problem or "") in plain(client.get(answer.headers["location"]), 200)


def failed_trace(service: Service, public_id: str) -> TraceQuery | None:
    (query,) = service.world.rows(select(TraceQuery).where(TraceQuery.public_id == public_id))
    return query if query.state is TraceState.FAILED else None


# forms and requests that are refused at once


def test_an_empty_file(service: Service, person: Visitor) -> None:
    files = {"files": ("empty.wav", b"", "audio/wav")}
    said = plain(person.client.post("/voices", data={"name": "Empty"}, files=files), 422)
    assert "The file empty.wav is empty. Choose the recording again." in said
    with service.client(person.api_key) as client:
        assert sentence(plain(client.post("/v1/voices/add", data={"name": "Empty"}, files=files), 422))
    assert service.world.count(Voice, Voice.account_id == person.account.id) == 0


def test_too_many_files(service: Service, person: Visitor) -> None:
    files = [("files", (f"{number}.wav", b"RIFF", "audio/wav")) for number in range(26)]
    assert "Choose at most 25 files." in plain(person.client.post("/voices", data={"name": "Many"}, files=files), 422)
    with service.client(person.api_key) as client:
        said = sentence(plain(client.post("/v1/voices/add", data={"name": "Many"}, files=files), 422))
        assert "25" in said
    assert service.world.count(Voice, Voice.account_id == person.account.id) == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("word " * 2000, "The text has 10,000 characters; 5,000 are the most at once."),
        ("🦆🎉👍🏽", "There is nothing to say in this text: write some words or numbers."),
        ("", "There is nothing to say in this text"),
        (" \r\n\t\x00\u200b ", "There is nothing to say in this text"),
        ("?!…—", "There is nothing to say in this text"),
    ],
)
def test_texts_that_can_not_be_spoken(service: Service, person: Visitor, text: str, words: str) -> None:
    (voice,) = service.world.rows(select(Voice).where(Voice.stock_id.is_not(None))) or [stock_voice(service)]
    assert words in plain(person.post("/speak", text=text, voice_id=voice.public_id), 422)
    with service.client(person.api_key) as client:
        answer = client.post(f"/v1/text-to-speech/{voice.public_id}", json={"text": text})
        assert words in sentence(plain(answer, 422))


# a server that has no room


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[tuple[Service, Visitor]]:
    """A service that takes small requests, and somebody who uses it."""
    settings = make_settings(tmp_path, web={"max_upload_bytes": 3_000_000})
    with running(settings, worker=False) as service:
        person = Visitor.of(service, service.world.newcomer())
        with closing(person.client):
            yield service, person


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """For a while this process, its server included, can write no file larger than `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def row_counts(service: Service) -> dict[str, int]:
    return {mapper.class_.__name__: service.world.count(mapper.class_) for mapper in Base.registry.mappers}


def test_a_request_over_the_limit(narrow: tuple[Service, Visitor]) -> None:
    service, person = narrow
    before = row_counts(service)
    files = {"files": ("big.wav", bytes(6_000_000), "audio/wav")}
    said = plain(person.client.post("/voices", data={"name": "Big"}, files=files), 413)
    assert "This is more than 3 MB, the most that one request may send." in said
    with service.client(person.api_key) as client:
        assert sentence(plain(client.post("/v1/voices/add", data={"name": "Big"}, files=files), 413))
    assert row_counts(service) == before
    assert service.storage.list("uploads") == []


@pytest.mark.parametrize("size", [900_000, 2_500_000])  # kept in memory, and on the disk, while it arrives
def test_no_room_for_an_upload(narrow: tuple[Service, Visitor], size: int) -> None:
    service, person = narrow
    before = row_counts(service)
    files = {"files": ("a.wav", np.random.default_rng(3).bytes(size), "audio/wav")}
    form = {"data": {"name": "Full"}, "files": files}
    with service.client(person.api_key) as client:
        with service.world.databases.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")  # the database itself has room
        with no_file_above(850_000):
            page, api = person.client.post("/voices", **form), client.post("/v1/voices/add", **form)
        assert "The server's disk is full, so nothing was saved." in plain(page, 507)
        assert "Ask the operator to free some space, then try again." in plain(page, 507)
        assert sentence(plain(api, 507)) == "The server's disk is full, so nothing was saved."
        assert row_counts(service) == before
        assert service.storage.list("") == []
        assert person.client.post("/voices", **form).status_code == 303  # it works again by itself


def test_a_database_whose_disk_does_not_take_more(narrow: tuple[Service, Visitor]) -> None:
    service, person = narrow
    before = row_counts(service)
    with no_file_above(100):
        said = plain(person.post("/account/keys", name="late", scope="read"), 503)
    assert "The server can't use its disk at the moment, so nothing was saved." in said
    assert row_counts(service) == before
    assert person.post("/account/keys", name="late", scope="read").status_code == 200
    assert service.world.count(ApiKey) == before["ApiKey"] + 1


def test_a_database_that_can_not_be_written(narrow: tuple[Service, Visitor]) -> None:
    service, person = narrow
    before = row_counts(service)
    address = f"sqlite:///file:{service.settings.data_dir / 'vouch.db'}?mode=ro&uri=true"
    settings = make_settings(service.settings.data_dir, database={"url": address})
    with (
        serve(create_app(settings)) as url,
        httpx2.Client(base_url=url, headers=OWN_FORM, cookies=person.client.cookies, timeout=30) as client,
    ):
        assert client.get("/account").status_code == 200  # looking goes on
        for answer in (
            client.post("/account/keys", data={"name": "late", "scope": "read"}),
            client.post("/voices", data={"name": "Ada"}, files={"files": ("a.wav", b"RIFF", "audio/wav")}),
            client.post("/login", data={"email": person.account.email, "password": person.password}),
        ):
            said = plain(answer, 503)
            assert "The server can't write to its data directory, so nothing was saved." in said
            assert "Ask the operator to make the data directory writable, then try again." in said
    assert row_counts(service) == before
    assert service.storage.list("") == []
    assert person.post("/account/keys", name="works again", scope="read").status_code == 200
