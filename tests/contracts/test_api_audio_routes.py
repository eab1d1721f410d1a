"""No audio leaves unstamped: every GET route of the whole application is asked, with every id there is, by everybody.

What comes back as audio, by itself or in an archive, must be the file of a stamp. Uploads, which are not clips, may
come only from the routes listed here, and only to the owner or a moderator. (Text to speech, the one POST that answers
with audio, is tested beside it.)
"""

from __future__ import annotations

import hashlib
import io
import itertools
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from sqlalchemy import select

from app.accounts.identity import cookie_name
from app.accounts.models import Account, Role
from app.accounts.registration import NewAccount
from app.accounts.sessions import start_session
from app.jobs.models import JobKind
from app.privacy import exports
from app.privacy.models import DataExport
from app.provenance.models import Stamp, TraceQuery, Verdict
from app.provenance.service import TraceFindings, answer_trace, ask_for_trace
from app.speech.models import Clip, Generation
from app.voices.models import Consent, Sample, SampleFile, Voice, VoiceState
from tests.conftest import make_settings
from tests.harness import Service, running, stock_voice, working
from tests.world import actor_of, upload
from workers.errands import run_due
from workers.tools import Tools

pytestmark = pytest.mark.slow

UPLOADS = {
    "/v1/moderation/consents/{consent_id}/recording": {"moderator"},
    "/v1/moderation/consents/{consent_id}/sample": {"moderator"},
    "/voices/{voice_id}/sample/audio": {"owner", "moderator"},
    "/voices/{voice_id}/consent/audio": {"owner"},
    "/console/consents/{consent_id}/recording": {"moderator"},
    "/console/consents/{consent_id}/sample": {"moderator"},
    "/console/trace/{trace_id}/audio": {"moderator"},
}
"""Routes that send what people uploaded, and to whom. A new one is a decision: think of who may listen, then add it."""
STAMPED = {"/v1/history/{history_item_id}/audio", "/clips/{clip_id}/audio"}
"""Routes that are known to send clips: the walk must meet each of them, or it meets nothing."""
ARCHIVES = {"/account/data/export/{export_id}"}
"""Routes that send archives, only to the owner: each clip in one is the file of a stamp, each upload his own."""
PARAMETER = re.compile(r"\{([^}]+)\}")
MAGIC = (b"RIFF", b"fLaC", b"ID3", b"OggS")
UNSTAMPED, UPLOADED = b"RIFF never stamped", b"fLaC what somebody sent"


@dataclass(frozen=True)
class Someone:
    """Who asks: with key and cookie at once, so that API and pages both know him."""

    who: str
    client: httpx2.Client


@dataclass(frozen=True)
class Scene:
    """A service with one of everything, and the ids of it all."""

    service: Service
    ids: list[str]
    people: list[Someone]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with running(make_settings(tmp_path_factory.mktemp("walk")), worker=False) as service:
        owner, world = service.world.newcomer(), service.world
        _say(service, owner, stock_voice(service))
        voice = world.voice(owner.account, VoiceState.READY)
        in_review = world.voice(owner.account, VoiceState.DRAFT)
        world.consent_in_review(in_review)
        _fill_storage(service)
        _clips_without_stamp(service, owner, voice)
        _traced(service, owner)
        _exported(service, owner)
        people = [
            _someone(service, "owner", owner),
            _someone(service, "moderator", world.newcomer(role=Role.MODERATOR)),
            _someone(service, "stranger", world.newcomer()),
        ]
        yield Scene(service, _every_id(service), people)
        for person in people:
            person.client.close()


def _say(service: Service, owner: NewAccount, voice: Voice) -> None:
    """A clip that is really spoken and stamped."""
    with working(service.settings), service.client(owner.api_key) as client:
        assert client.post(f"/v1/text-to-speech/{voice.public_id}", json={"text": "A few words."}).status_code == 200


def _fill_storage(service: Service) -> None:
    """Put something where the rows of uploads say that audio is."""
    with service.world.databases.writing() as session:
        for consent in session.scalars(select(Consent).where(Consent.recording_key.is_not(None))):
            consent.audio_key = f"consents/{consent.id}/clean.flac"
    rows = service.world.rows
    keys = [file.storage_key for file in rows(select(SampleFile))]
    keys += [sample.audio_key for sample in rows(select(Sample))]
    keys += [key for consent in rows(select(Consent)) for key in (consent.recording_key, consent.audio_key)]
    for key in filter(None, keys):
        service.storage.put(key, UPLOADED)


def _clips_without_stamp(service: Service, owner: NewAccount, voice: Voice) -> None:
    """One that waits, and one whose file is there already, but whose stamp is not: the worker died in between."""
    world = service.world
    world.speak(owner.account, voice)
    claim = world.take(JobKind.SPEAK, lease=timedelta(hours=1))
    generation = world.commit(claim)
    service.storage.put(f"generations/{generation.id}/{claim.fence}.wav", UNSTAMPED)
    world.speak(owner.account, voice)


def _traced(service: Service, moderator: NewAccount) -> None:
    """A file that was traced and led nowhere."""
    with service.world.databases.writing() as session:
        query = ask_for_trace(session, upload("t.wav"), asked_by=actor_of(moderator.account), reason="test")
        key = f"traces/{query.id}/clean.flac"
        answer_trace(session, query, TraceFindings(Verdict.NO_EVIDENCE, None, [], 1.0, 1.0, [0.5], key))
    for each in (query.storage_key, key):
        service.storage.put(each, UPLOADED)


def _exported(service: Service, owner: NewAccount) -> None:
    """An archive of everything that the owner has."""
    with service.world.databases.writing() as session:
        exports.ask(session, session.get_one(Account, owner.account.id), actor_of(owner.account))
    run_due(Tools(service.settings))


def _someone(service: Service, who: str, person: NewAccount) -> Someone:
    with service.world.databases.writing() as session:
        started = start_session(
            session,
            person.account.id,
            address="127.0.0.1",
            user_agent="test",
            settings=service.settings,
            second_factor=True,
        )
    client = service.client(person.api_key)
    client.cookies.set(cookie_name(service.settings), started.token)
    return Someone(who, client)


def _every_id(service: Service) -> list[str]:
    rows = service.world.rows
    found: list[str] = []
    for table in (Clip, Voice, Consent):
        found += rows(select(table.public_id))
    for name in (SampleFile.public_id, TraceQuery.public_id, Generation.public_ref, DataExport.public_id):
        found += rows(select(name).limit(1))
    return found


def _paths(app: FastAPI) -> list[str]:
    return [
        route.path
        for route in iter_route_contexts(app.routes)
        if route.path and "GET" in (getattr(route, "methods", None) or ())
    ]


def test_what_sounds_has_a_stamp(scene: Scene) -> None:
    stamped = set(scene.service.world.rows(select(Stamp.sha256)))
    met: set[str] = set()
    for path in _paths(scene.service.app):
        for ids in itertools.permutations(scene.ids, len(PARAMETER.findall(path))):
            address = PARAMETER.sub("{}", path).format(*ids)
            for person in scene.people:
                answer = person.client.get(address)
                where = f"{person.who}: {path}"
                assert answer.status_code < 500, where
                if answer.headers.get("content-type") == "application/zip":
                    met.add(path)
                    _check_archive(answer, path, person.who, stamped)
                elif _sounds(answer):
                    met.add(path)
                    _check(answer, path, person.who, stamped, where)
    assert met == {*UPLOADS, *STAMPED, *ARCHIVES}


def test_nobody_hears_anything(scene: Scene) -> None:
    with scene.service.client() as nobody:
        for path in (*UPLOADS, *STAMPED, *ARCHIVES):
            for each in scene.ids:
                answer = nobody.get(PARAMETER.sub(each, path))
                assert answer.status_code in (303, 401), path
                assert not _sounds(answer), path


def _sounds(answer: httpx2.Response) -> bool:
    kind = answer.headers.get("content-type", "")
    return answer.content.startswith(MAGIC) or kind.startswith(("audio/", "application/octet-stream"))


def _check(answer: httpx2.Response, path: str, who: str, stamped: set[str], where: str) -> None:
    if path in UPLOADS:
        assert answer.content == UPLOADED, where
        assert who in UPLOADS[path], where
    else:
        assert hashlib.sha256(answer.content).hexdigest() in stamped, f"{where} gives audio without a stamp"
        assert who == "owner", where
    assert "private" in answer.headers["cache-control"], where


def _check_archive(answer: httpx2.Response, path: str, who: str, stamped: set[str]) -> None:
    assert (path in ARCHIVES, who) == (True, "owner")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        pieces = [archive.read(name) for name in archive.namelist()]
    clips = [piece for piece in pieces if piece.startswith(MAGIC) and piece != UPLOADED]
    assert clips, "the walk must meet a clip in the archive, or it meets nothing"
    assert {hashlib.sha256(clip).hexdigest() for clip in clips} <= stamped, "an archive gives audio without a stamp"
    assert answer.headers["cache-control"] == "no-store"
