"""A tiny engine for tests: noise shaped like speech, the same for the same request, in milliseconds.

It fills 300 to 6800 Hz in syllables, so that marks and meters find what they would find in speech. Two words
in a text steer it: "[[engine-error]]" makes the engine fail, "[[slow]]" makes it take seconds over many short
segments.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence

import numpy as np

from workers.engines.artefact import pack, unpack
from workers.engines.base import (
    ArtefactIncompatible,
    EngineError,
    EngineInfo,
    Floats,
    LanguageNotSupported,
    Progress,
    Segment,
    SpeakRequest,
    StockVoice,
    VoiceSample,
)
from workers.engines.text import Piece, split

FAILS, SLOW = "[[engine-error]]", "[[slow]]"
RATE = 24_000
SECONDS_PER_CHARACTER = 0.065
SLOW_SEGMENTS, SLOW_SEGMENT_SECONDS = 40, 0.1
_SYLLABLES = 4.5  # a second
_BAND = (300.0, 6800.0)
_STOCK_PITCH = {"fake-low": 110.0, "fake-high": 210.0}

INFO = EngineInfo(
    id="fake",
    version="1",
    licence="Apache-2.0",
    commercial=True,
    languages=("en-us", "en-gb"),
    sample_rate=RATE,
    max_characters_per_piece=160,
    stock_voices=(
        StockVoice("fake-low", "Low", "en-us", "Test noise, low pitch"),
        StockVoice("fake-high", "High", "en-us", "Test noise, high pitch"),
    ),
)


class FakeEngine:
    """See workers.engines.base.Engine."""

    def __init__(self) -> None:
        self.info = INFO

    def load(self) -> None:
        """See Engine."""

    def prepare_voice(self, sample: VoiceSample, progress: Progress) -> bytes:
        """See Engine: keeps the pitch, and colours the noise by the embeddings."""
        if not 40.0 <= sample.f0_median <= 500.0:
            raise EngineError(f"The sample's pitch of {sample.f0_median:.0f} Hz is not that of a speaking voice.")
        progress(0.0)
        parts = [sample.embeddings[name][:8] for name in sorted(sample.embeddings)]
        colour = np.concatenate(parts).astype(np.float32)
        progress(1.0)
        return _pack(sample.f0_median, colour)

    def stock_voice(self, voice_id: str) -> bytes:
        """See Engine."""
        if voice_id not in _STOCK_PITCH:
            raise EngineError(f"There is no stock voice {voice_id[:40]!r}. Use one of: {', '.join(_STOCK_PITCH)}.")
        return _pack(_STOCK_PITCH[voice_id], np.zeros(16, np.float32))

    def speak(self, requests: Sequence[SpeakRequest]) -> Iterator[Segment]:
        """See Engine."""
        for request in requests:
            yield from _speak(request)


def _speak(request: SpeakRequest) -> Iterator[Segment]:
    if request.language.lower().replace("_", "-") not in (*INFO.languages, "en"):
        raise LanguageNotSupported(f"The language {request.language[:20]!r} is not spoken here. Use en-us or en-gb.")
    _, arrays = unpack(request.artefact, INFO.id, INFO.version)
    if "pitch" not in arrays or "colour" not in arrays:
        raise ArtefactIncompatible("The voice artefact is incomplete: prepare the voice again.")
    pieces = split(request.text, INFO.max_characters_per_piece)
    if FAILS in request.text:
        raise EngineError("The engine failed, as the text asked it to.")
    slow = SLOW in request.text
    if slow:
        pieces = [Piece(pieces[0].text[:8], 0.0)] * SLOW_SEGMENTS
    for index, piece in enumerate(pieces):
        if slow:
            time.sleep(SLOW_SEGMENT_SECONDS)
        pcm = _speech_like(piece.text, float(arrays["pitch"][0]), arrays["colour"], request)
        yield Segment(request.key, pcm, RATE, index, len(pieces), piece.pause)


def _speech_like(text: str, pitch: float, colour: Floats, request: SpeakRequest) -> Floats:
    """Band-limited noise and pulses at the pitch, loud and soft by syllable; peak 0.5."""
    seed = hashlib.sha256(f"{request.seed}\0{text}".encode() + request.artefact).digest()
    rng = np.random.default_rng(np.frombuffer(seed, np.uint64))
    speed = min(max(request.speed, 0.5), 2.0)
    size = max(1200, round(len(text) * SECONDS_PER_CHARACTER / speed * RATE))
    seconds = np.arange(size) / RATE
    pulses = np.cos(2 * np.pi * pitch * seconds) ** 31
    spectrum = np.fft.rfft(rng.standard_normal(size) * 0.5 + pulses)
    hertz = np.fft.rfftfreq(size, 1 / RATE)
    gain = np.where((hertz > _BAND[0]) & (hertz < _BAND[1]), (500.0 / np.maximum(hertz, 500.0)) ** 0.5, 0.0)
    gain *= np.exp(np.interp(hertz, np.linspace(*_BAND, colour.size), 2.0 * colour.astype(np.float64)))
    syllables = 0.55 - 0.45 * np.cos(2 * np.pi * _SYLLABLES * speed * seconds)
    wave = np.fft.irfft(spectrum * gain, size) * syllables
    return np.asarray(wave * (0.5 / np.abs(wave).max()), np.float32)


def _pack(pitch: float, colour: Floats) -> bytes:
    arrays = {"pitch": np.array([pitch], np.float32), "colour": np.asarray(colour, np.float32)}
    return pack(INFO.id, INFO.version, {}, arrays)
