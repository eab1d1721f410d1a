"""Consent decided by real ears: recorded people, real recognition, real speaker models.

The sample is from one recording session of a reader, the consent from another session. The sentence is what the reader
happens to say there, by the test-only setting.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.uploads import Upload, store_upload
from app.settings import Settings
from app.voices import consents, service
from app.voices.models import Consent, ConsentState, SampleState, Voice, VoiceState
from tests.conftest import make_settings
from tests.world import World, actor_of
from workers.keys import init_keys
from workers.runtime import work_off
from workers.tools import Tools

SPEECH = Path(__file__).parents[1] / "data" / "speech"
SAYS = {name: files["consent.flac"] for name, files in json.loads((SPEECH / "transcripts.json").read_text()).items()}
OWNER, OTHER = "reader_26", "reader_27"
DIFFERENT_TEXT = (
    "I agree that nobody ever makes a copy of my voice for any purpose, and I have never said anything else."
)


class _File:
    def __init__(self, path: Path) -> None:
        self.filename: str | None = path.name
        self.file = path.open("rb")


class Ears:
    """A world with a draft voice whose sample the real intake has judged."""

    def __init__(self, settings: Settings) -> None:
        init_keys(settings.key_directory, settings.voices.service_name)
        self.tools = Tools(settings)
        self.world = World(settings, self.tools.databases)
        self.account = self.world.account()

    def upload(self, reader: str, name: str) -> Upload:
        file = _File(SPEECH / reader / name)
        with file.file:
            return store_upload(self.tools.storage, file)

    def draft(self) -> Voice:
        with self.tools.databases.writing() as session:
            account = session.merge(self.account, load=True)
            voice = service.start_voice(
                session,
                account,
                name="Reader",
                language="en-us",
                uploads=[self.upload(OWNER, "sample.flac")],
                actor=actor_of(account),
            )
        work_off("cpu", self.tools)
        return voice

    def consent(self, voice: Voice, statement: str, reader: str) -> Consent:
        """Ask for `statement`, hand in the consent recording of `reader`, let the worker decide."""
        settings = self.tools.settings.model_copy(update={"test_consent_statement": statement})
        with self.tools.databases.writing() as session:
            actor = actor_of(self.account)
            row = session.get_one(Voice, voice.id)
            asked = consents.ask(session, row, speaker_name="R", language="en", settings=settings, actor=actor)
            consents.submit(session, row, self.upload(reader, "consent.flac"), actor)
        work_off("cpu", self.tools)
        with self.tools.databases.reading() as session:
            return session.get_one(Consent, asked.id)


@pytest.fixture(scope="module")
def ears(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ears]:
    folder = tmp_path_factory.mktemp("ears")
    (folder / "vouch.db").write_bytes(sqlite_template.read_bytes())
    made = Ears(make_settings(folder))
    yield made
    made.tools.databases.close()


@pytest.fixture(scope="module")
def draft(ears: Ears) -> Voice:
    return ears.draft()


def codes(consent: Consent) -> list[str]:
    return [reason["code"] for reason in consent.reasons]


def test_another_person_is_refused_for_the_voice_alone(ears: Ears, draft: Voice) -> None:
    heard = ears.consent(draft, SAYS[OTHER], OTHER)
    assert heard.state is ConsentState.FAILED
    assert codes(heard) == ["consent.speaker"]


def test_a_wrong_text_is_refused_for_the_words_alone(ears: Ears, draft: Voice) -> None:
    heard = ears.consent(draft, DIFFERENT_TEXT, OWNER)
    assert heard.state is ConsentState.FAILED
    assert codes(heard) == ["consent.words"]


def test_the_speaker_reading_the_sentence_is_accepted_and_cloned(ears: Ears, draft: Voice) -> None:
    heard = ears.consent(draft, SAYS[OWNER], OWNER)
    assert (heard.state, codes(heard)) == (ConsentState.VERIFIED, [])
    assert heard.scores["similarity"] > heard.scores["similarity_needed"]
    work_off(ears.tools.settings.jobs.speech_queue, ears.tools)
    with ears.tools.databases.reading() as session:
        voice = service.own_voice(session, ears.account, draft.public_id, details=True)
        assert voice.samples[0].state is SampleState.ACCEPTED
        assert (voice.state, voice.consent_id) == (VoiceState.READY, heard.id)
