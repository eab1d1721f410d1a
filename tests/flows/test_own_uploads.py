"""Nobody's consent, and nobody's voice, comes out of a clip that was made here: uploads are searched for our own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from app.accounts.signals import Signal, SignalKind
from app.core.uploads import Upload, store_upload
from app.jobs.models import JobKind
from app.provenance.models import Verdict
from app.settings import Settings
from app.voices import consents, service
from app.voices.models import Consent, ConsentState, Sample, SampleState, Voice
from tests.flows.tracing import Desk
from tests.world import actor_of
from workers import own_clips
from workers.mangle import telephone_copy
from workers.own_clips import SAYS
from workers.runtime import work_off
from workers.trace.search import Findings

PERSON = Path(__file__).parents[1] / "data" / "speech" / "reader_26" / "consent.flac"


@pytest.fixture
def desk(sqlite_settings: Settings) -> Iterator[Desk]:
    desk = Desk(sqlite_settings)
    yield desk
    desk.tools.databases.close()


class _File:
    def __init__(self, path: Path) -> None:
        self.filename: str | None = path.name
        self.file = path.open("rb")


def stored(desk: Desk, path: Path) -> Upload:
    file = _File(path)
    with file.file:
        return store_upload(desk.tools.storage, file)


def copy_of_a_clip(desk: Desk, tmp_path: Path) -> tuple[str, Path]:
    """A generation's id, and a telephone recording of it."""
    said = desk.speak()
    (path := tmp_path / "clip.wav").write_bytes(said.data)
    (copy := tmp_path / "call.mp3").write_bytes(telephone_copy(path))
    return str(said.generation.id), copy


def sample_from(desk: Desk, recording: Path) -> Sample:
    """A sample of that recording, as intake leaves it."""
    account = desk.world.account()
    with desk.tools.databases.writing() as session:
        service.start_voice(
            session,
            session.merge(account, load=True),
            name="A copy",
            language="en-us",
            uploads=[stored(desk, recording)],
            actor=actor_of(account),
        )
    work_off("cpu", desk.tools)
    (sample,) = desk.world.rows(select(Sample))
    return sample


def test_a_sample_that_was_made_here_is_turned_down_and_moderators_hear_of_it(desk: Desk, tmp_path: Path) -> None:
    generation, copy = copy_of_a_clip(desk, tmp_path)
    sample = sample_from(desk, copy)
    assert sample.state is SampleState.REJECTED
    assert sample.reasons == [{"code": "sample.made_here", "message": SAYS}]
    assert sample.audio_key is None
    (signal,) = desk.world.rows(select(Signal))
    assert (signal.kind, signal.facts["generation"]) == (SignalKind.MARKED_UPLOAD, generation)
    assert signal.reference == f"sample:{sample.id}"


def test_of_several_clips_that_an_upload_may_be_a_copy_of_none_is_named(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    guess = uuid.uuid4()
    twins = Findings(Verdict.AMBIGUOUS, None, 1e-9, "mark", [], None, best=guess)
    monkeypatch.setattr(own_clips, "find", lambda *_, **__: twins)
    assert sample_from(desk, PERSON).state is SampleState.REJECTED
    (signal,) = desk.world.rows(select(Signal))
    assert (signal.kind, signal.facts.keys()) == (SignalKind.MARKED_UPLOAD, {"voice"})


def test_a_consent_that_was_made_here_fails_and_moderators_hear_of_it(desk: Desk, tmp_path: Path) -> None:
    generation, copy = copy_of_a_clip(desk, tmp_path)
    account = desk.world.account()
    voice = desk.world.start_voice(account)
    desk.world.judge_sample(desk.world.take(JobKind.INTAKE))
    with desk.tools.databases.writing() as session:
        row = session.get_one(Voice, voice.id)
        actor = actor_of(account)
        consents.ask(session, row, speaker_name="R", language="en", settings=desk.tools.settings, actor=actor)
        consents.submit(session, row, stored(desk, copy), actor)
    work_off("cpu", desk.tools)
    (consent,) = desk.world.rows(select(Consent))
    assert (consent.state, consent.reasons) == (
        ConsentState.FAILED,
        [{"code": "consent.made_here", "message": SAYS}],
    )
    (signal,) = desk.world.rows(select(Signal))
    assert (signal.reference, signal.facts["generation"]) == (f"consent:{consent.id}", generation)


def test_a_persons_own_recording_is_not_mistaken_for_a_clip(desk: Desk) -> None:
    desk.speak()
    sample = sample_from(desk, PERSON)
    assert "sample.made_here" not in [reason["code"] for reason in sample.reasons]
    assert desk.world.rows(select(Signal)) == []
