"""The trace worker on real files, whatever their rate and whoever signed them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import select

from app.core.audit import Actor
from app.core.uploads import Upload
from app.provenance.models import Stamp, TraceQuery, TraceState, Verdict
from app.provenance.service import ask_for_trace
from app.settings import Settings
from app.speech.models import Generation
from tests.world import World
from workers.audio.decode import decode
from workers.audio.encode import encode
from workers.audio.resample import resample
from workers.keys import init_keys
from workers.marks.credentials import Claim, sign
from workers.runtime import work_off
from workers.tools import Tools

MODERATOR = Actor("account", "a moderator")
WORDS = "The morning train is late again, so everybody on the platform looks at the clock and waits."


class Desk:
    """A service where files are traced."""

    def __init__(self, settings: Settings) -> None:
        init_keys(settings.key_directory, settings.voices.service_name)
        self.tools = Tools(settings)
        self.world = World(settings, self.tools.databases)

    def speak(self) -> tuple[Generation, bytes]:
        """A stamped clip as it is delivered."""
        voice = self.world.stock_voice()
        self.tools.storage.put(voice.artefact_key or "", self.tools.engine.stock_voice(voice.stock_id or ""))
        self.world.speak(self.world.account(), voice, WORDS)
        work_off("gpu", self.tools)
        (stamp,) = self.world.rows(select(Stamp))
        (generation,) = self.world.rows(select(Generation))
        return generation, self.tools.storage.get(stamp.storage_key)

    def trace(self, data: bytes) -> TraceQuery:
        """The worker's answer about a file."""
        digest = hashlib.sha256(data).hexdigest()
        self.tools.storage.put(f"uploads/{digest}", data)
        with self.tools.databases.writing() as session:
            upload = Upload("found.wav", len(data), digest, f"uploads/{digest}")
            query = ask_for_trace(session, upload, asked_by=MODERATOR, reason="A listener asked.")
        work_off("cpu", self.tools)
        answer: TraceQuery = self.world.get(TraceQuery, query.id)
        assert answer.state is TraceState.ANSWERED, answer.problem
        return answer


@pytest.fixture
def desk(sqlite_settings: Settings) -> Iterator[Desk]:
    desk = Desk(sqlite_settings)
    yield desk
    desk.tools.databases.close()


def noise() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(0, 0.1, 72_000).astype(np.float32)


def test_a_copy_at_a_rate_below_the_telephones_is_traced(desk: Desk, tmp_path: Path) -> None:
    generation, clip = desk.speak()
    (path := tmp_path / "clip").write_bytes(clip)
    heard = decode(path)
    slow = resample(heard.pcm, heard.sample_rate, 6_000)
    file = encode(slow, 8_000, "wav_8000").data.replace((8_000).to_bytes(4, "little"), (6_000).to_bytes(4, "little"), 1)
    answer = desk.trace(file)
    assert (answer.verdict, answer.generation_id) == (Verdict.CONFIRMED, generation.id)
    assert 0 < (answer.false_match_rate or 0) < 1e-4


def test_a_signature_alone_leaves_no_chance_of_a_wrong_match(desk: Desk) -> None:
    generation, _ = desk.speak()
    claim = Claim(generation.public_ref, "Synthetic speech", generation.engine, datetime.now(UTC))
    unmarked = sign(encode(noise(), 24_000, "wav_24000").data, "audio/wav", claim, desk.tools.keys.signer)
    answer = desk.trace(unmarked)
    assert (answer.verdict, answer.generation_id) == (Verdict.CONFIRMED, generation.id)
    assert answer.false_match_rate == 0.0


def test_nothing_is_found_where_nothing_was_made(desk: Desk) -> None:
    answer = desk.trace(encode(noise(), 24_000, "wav_24000").data)
    assert (answer.verdict, answer.generation_id, answer.false_match_rate) == (Verdict.NO_EVIDENCE, None, 1.0)
    assert answer.evidence[1]["sentence"] == "No generation has been made here yet."
