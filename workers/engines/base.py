"""What a speech engine is: the Protocol that every engine meets, and the values that pass through it.

An engine knows text, languages and voices as bytes. It knows nothing of accounts, plans or consent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Progress = Callable[[float], None]
"""Told a share of the work done, from 0.0 to 1.0, never falling."""


class EngineError(Exception):
    """An engine could not do what was asked; the message is a plain sentence that a customer may read."""


class TextNotSpeakable(EngineError):
    """The text holds nothing that can be said: no letter and no digit."""


class LanguageNotSupported(EngineError):
    """The engine does not speak the language that was asked for."""


class ArtefactIncompatible(EngineError):
    """The voice artefact is damaged, or made by another engine or version: prepare the voice again."""


@dataclass(frozen=True)
class StockVoice:
    """A voice that comes with the engine, usable by everybody."""

    id: str
    name: str
    language: str
    description: str


@dataclass(frozen=True)
class EngineInfo:
    """What is known of an engine before it is loaded.

    `version` changes whenever old artefacts can't be spoken any more. `commercial` says if the licence of the
    weights allows selling the audio. `languages` are lower-case BCP 47 tags, the first is the default.
    """

    id: str
    version: str
    licence: str
    commercial: bool
    languages: tuple[str, ...]
    sample_rate: int
    max_characters_per_piece: int
    stock_voices: tuple[StockVoice, ...]


@dataclass(frozen=True)
class VoiceSample:
    """What is known of the voice to prepare: the speech itself and figures that were measured on it.

    pcm16k: mono float32 in -1..1 at 16 kHz. embeddings: unit vectors of 256 under "d-vector" and "resemblyzer".
    f0_median: Hz. f0_log_sd: standard deviation of ln(F0) over voiced frames. rate: syllables a second, pauses left
    out, as workers.audio.prosody counts them; None when unknown.
    """

    pcm16k: Floats
    embeddings: Mapping[str, Floats]
    f0_median: float
    f0_log_sd: float
    rate: float | None = None
    language: str = "en-us"


@dataclass(frozen=True)
class SpeakRequest:
    """A text to say. `key` is returned on its segments. `speed` is a factor, 0.5 to 2.0; 1.0 is the voice's
    own.

    `artefact` comes from prepare_voice or stock_voice of the same engine. The same request gives the same
    audio.
    """

    key: str
    text: str
    language: str
    artefact: bytes
    speed: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Segment:
    """A piece of a request's speech: number `index` of `total`, to be followed by `pause` seconds of silence.

    pcm: mono float32 in -1..1 at `sample_rate`. Segments of one request come in order; join.join makes one
    clip.
    """

    key: str
    pcm: Floats = field(repr=False)
    sample_rate: int
    index: int
    total: int
    pause: float = 0.0


class Engine(Protocol):
    """A speech engine. One instance serves one process and one caller at a time."""

    @property
    def info(self) -> EngineInfo:
        """The engine's card; cheap, needs no load()."""
        ...

    def load(self) -> None:
        """Make ready to speak. Slow the first time, free after that. Raises WeightsMissing."""
        ...

    def prepare_voice(self, sample: VoiceSample, progress: Progress) -> bytes:
        """A voice artefact (.npz, no pickle) for the sample; the same sample gives the same bytes.

        Raises EngineError for figures that can't belong to a voice.
        """
        ...

    def stock_voice(self, voice_id: str) -> bytes:
        """The artefact of one of info.stock_voices. Raises EngineError for an unknown id."""
        ...

    def speak(self, requests: Sequence[SpeakRequest]) -> Iterator[Segment]:
        """Segments of all requests, each as soon as it is made, one request after the other.

        Raises TextNotSpeakable, LanguageNotSupported or ArtefactIncompatible when its turn comes; the
        requests before it have then been spoken in full.
        """
        ...
