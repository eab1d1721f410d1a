"""How clean speech sounds: DNSMOS P.835 (Reddy et al. 2022), from the model in the speechmos package."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from workers.audio.sessions import open_session
from workers.weights import locate

_WINDOW = 144_160  # samples: 9.01 s at 16 kHz, the only length that the model takes
_MOST_WINDOWS = 6
# The authors' mapping from the model's three outputs to the scale of their listeners (highest power first).
_SIGNAL = (-0.08397278, 1.22083953, 0.0052439)
_BACKGROUND = (-0.13166888, 1.60915514, -0.39604546)
_OVERALL = (-0.06766283, 1.11546468, 0.04602535)


@dataclass(frozen=True)
class Cleanness:
    """Estimated opinion scores, 1 (bad) to 5 (excellent): the speech itself, its background, and both together."""

    signal: float
    background: float
    overall: float


def cleanness(pcm16k: NDArray[np.float32]) -> Cleanness:
    """Mean score of up to six windows of 9 s spread over mono 16 kHz audio; shorter audio is repeated to fill one."""
    if not len(pcm16k):
        return Cleanness(1.0, 1.0, 1.0)
    if len(pcm16k) < _WINDOW:
        pcm16k = np.resize(pcm16k, _WINDOW)
    count = min(_MOST_WINDOWS, -(-len(pcm16k) // _WINDOW))
    starts = np.linspace(0, len(pcm16k) - _WINDOW, count).astype(int)
    raw = np.mean([_session().run(None, {"input_1": pcm16k[None, s : s + _WINDOW]})[0][0] for s in starts], axis=0)
    signal, background, overall = (
        float(np.polyval(curve, value)) for curve, value in zip((_SIGNAL, _BACKGROUND, _OVERALL), raw, strict=True)
    )
    return Cleanness(signal, background, overall)


@cache
def _session() -> onnxruntime.InferenceSession:
    return open_session(locate("dnsmos") / "sig_bak_ovr.onnx", threads=1)
