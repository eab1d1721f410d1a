"""Where somebody speaks: Silero VAD v6, from the faster-whisper package."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from workers.audio.sessions import open_session

RATE = 16_000
_HOP = 512  # samples a decision (32 ms)
_CONTEXT = 64  # samples of the hop before, which the model sees too
_BATCH = 512  # hops a run: 16 s, about 1.2 MB of input whatever the length
_START, _STOP = 0.5, 0.35  # probability that begins speech, and below which it may end: the model's own defaults
_SHORTEST_SPEECH = 0.2  # seconds
_SHORTEST_PAUSE = 0.3
_MARGIN = 0.06

Segments = list[tuple[float, float]]


def speech_segments(pcm16k: NDArray[np.float32]) -> Segments:
    """Stretches of speech as (start, end) in seconds, in order, not overlapping; `pcm16k` is mono at 16 kHz."""
    length = len(pcm16k) / RATE
    segments: Segments = []
    for start, end in _runs(speech_probabilities(pcm16k)):
        begin, finish = max(0.0, start - _MARGIN), min(length, end + _MARGIN)
        if segments and begin - segments[-1][1] < _SHORTEST_PAUSE:
            segments[-1] = (segments[-1][0], finish)
        else:
            segments.append((begin, finish))
    return [(start, end) for start, end in segments if end - start >= _SHORTEST_SPEECH + 2 * _MARGIN]


def cut(pcm: NDArray[np.float32], segments: Segments, rate: int = RATE) -> NDArray[np.float32]:
    """The given stretches of `pcm`, put together."""
    parts = [pcm[int(start * rate) : int(end * rate)] for start, end in segments]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def speech_probabilities(pcm16k: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probability of speech for each 32 ms; the last hop is padded with silence."""
    session = _session()
    hops = -(-len(pcm16k) // _HOP)
    state = {"h": np.zeros((1, 1, 128), np.float32), "c": np.zeros((1, 1, 128), np.float32)}
    found = []
    for first in range(0, hops, _BATCH):
        count = min(_BATCH, hops - first)
        piece = pcm16k[max(0, first * _HOP - _CONTEXT) : (first + count) * _HOP]
        left = 0 if first else _CONTEXT
        piece = np.pad(piece, (left, count * _HOP + _CONTEXT - left - len(piece)))
        window = np.lib.stride_tricks.sliding_window_view(piece, _HOP + _CONTEXT)[::_HOP]
        probabilities, state["h"], state["c"] = session.run(None, {"input": np.ascontiguousarray(window), **state})
        found.append(probabilities.reshape(-1))
    return np.concatenate(found) if found else np.zeros(0, np.float32)


def _runs(probabilities: NDArray[np.float32]) -> Segments:
    runs: Segments = []
    begin: int | None = None
    for index, probability in enumerate(probabilities):
        if begin is None and probability >= _START:
            begin = index
        elif begin is not None and probability < _STOP:
            runs.append((begin * _HOP / RATE, index * _HOP / RATE))
            begin = None
    if begin is not None:
        runs.append((begin * _HOP / RATE, len(probabilities) * _HOP / RATE))
    return runs


@cache
def _session() -> onnxruntime.InferenceSession:
    spec = importlib.util.find_spec("faster_whisper")  # found, not imported: it would load its whole engine
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("The package faster-whisper is missing: install requirements/default.txt.")
    return open_session(Path(next(iter(spec.submodule_search_locations))) / "assets" / "silero_vad_v6.onnx")
