"""Peaks for drawing a waveform."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def peaks(pcm: NDArray[np.float32], count: int = 400) -> list[float]:
    """Loudest sample of each of `count` equal stretches, scaled so that the highest is 1; all 0 for silence.

    Audio with fewer samples than `count` gives one value a sample.
    """
    count = min(count, len(pcm))
    if not count:
        return []
    starts = np.linspace(0, len(pcm), count, endpoint=False).astype(int)
    highest = np.maximum.reduceat(np.abs(pcm), starts)
    top = float(highest.max())
    return [round(float(value) / top, 3) if top > 0 else 0.0 for value in highest]
