"""A service where clips are spoken and files are traced, for the tests of tracing."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from app.accounts.models import Account
from app.core.audit import Actor
from app.core.uploads import Upload
from app.provenance.models import Stamp, TraceQuery, TraceState
from app.provenance.service import ask_for_trace
from app.settings import Settings
from app.speech.models import Clip, Generation
from app.speech.service import ask_for_speech
from app.voices.models import Voice
from tests.world import World
from workers.audio.decode import Limits, decode
from workers.audio.encode import encode
from workers.audio.resample import resample
from workers.engines.base import SpeakRequest
from workers.engines.join import join
from workers.keys import init_keys
from workers.runtime import work_off
from workers.tools import Tools

Floats = NDArray[np.float32]
MODERATOR = Actor("account", "a moderator")
RATE = 24_000
WORDS = "The morning train is late again, so everybody on the platform looks at the clock and waits."
OTHER_WORDS = "Nobody in the office had noticed that the lift was standing open since the early evening."


@dataclass(frozen=True)
class Said:
    """A finished clip."""

    generation: Generation
    data: bytes
    """The file as it is delivered."""
    pcm: Floats
    """What is in it, at RATE."""


class Desk:
    """Speaks and traces."""

    def __init__(self, settings: Settings) -> None:
        init_keys(settings.key_directory, settings.voices.service_name)
        self.tools = Tools(settings)
        self.world = World(settings, self.tools.databases)
        self._voice: Voice | None = None

    @property
    def voice(self) -> Voice:
        """A voice for everybody."""
        if self._voice is None:
            self._voice = self.world.stock_voice()
            self.tools.storage.put(self._voice.artefact_key or "", self.tools.engine.stock_voice("fake-low"))
        return self._voice

    def cloned(self, account: Account) -> Voice:
        """A voice of one account, which sounds like the one for everybody."""
        voice = self.world.voice(account)
        self.tools.storage.put(voice.artefact_key or "", self.tools.engine.stock_voice("fake-low"))
        return voice

    def speak(
        self, words: str = WORDS, *, account: Account | None = None, voice: Voice | None = None, seed: int = 1
    ) -> Said:
        """A stamped clip. The same words with the same seed sound the same, but for their marks."""
        account, voice = account or self.world.account(), voice or self.voice
        with self.tools.databases.writing() as session:
            clip = ask_for_speech(
                session,
                session.get_one(Account, account.id),
                voice_id=voice.public_id,
                text=words,
                output_format="wav_24000",
                settings=self.tools.settings,
                seed=seed,
            )
        work_off("gpu", self.tools)
        (generation,) = self.world.rows(select(Generation).where(Generation.clip_id == clip.id))
        (stamp,) = self.world.rows(select(Stamp).where(Stamp.generation_id == generation.id))
        data = self.tools.storage.get(stamp.storage_key)
        return Said(generation, data, decoded(data))

    def unmarked(self, said: Said) -> Floats:
        """The sound of a clip as the engine made it, before it was marked."""
        clip = self.world.get(Clip, said.generation.clip_id)
        artefact = self.tools.storage.get(self.voice.artefact_key or "")
        request = SpeakRequest("again", clip.text, clip.language, artefact, clip.speed, clip.seed)
        return join(list(self.tools.engine.speak([request])))[0]

    def trace(self, data: bytes | Floats, *, state: TraceState = TraceState.ANSWERED) -> TraceQuery:
        """The worker's answer about a file, or about audio at RATE."""
        file = data if isinstance(data, bytes) else encode(data, RATE, "wav_24000").data
        digest = hashlib.sha256(file).hexdigest()
        self.tools.storage.put(f"uploads/{digest}", file)
        with self.tools.databases.writing() as session:
            upload = Upload("found.wav", len(file), digest, f"uploads/{digest}")
            query = ask_for_trace(session, upload, asked_by=MODERATOR, reason="A listener asked.")
        work_off("cpu", self.tools)
        answer: TraceQuery = self.world.get(TraceQuery, query.id)
        assert answer.state is state, answer.problem
        return answer


def decoded(data: bytes) -> Floats:
    """The sound of a file, at RATE."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        audio = decode(file, Limits(max_seconds=600.0))
    return resample(audio.pcm, audio.sample_rate, RATE)


def noise(seconds: float, level: float = 0.1, seed: int = 0) -> Floats:
    """White noise at RATE."""
    return np.random.default_rng(seed).normal(0, level, round(seconds * RATE)).astype(np.float32)
