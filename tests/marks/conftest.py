"""Real speech, a key, and 10^5 issued tags, made once."""

from __future__ import annotations

import numpy as np
import pytest
from marks_sound import RATE, SPEECH, decode
from numpy.typing import NDArray

from workers.marks.watermark import Watermark

KEY = bytes(range(32))


@pytest.fixture(scope="session")
def speech() -> list[NDArray[np.float32]]:
    """Six pieces of human speech of four recordings and two readers, 16 kHz, 5 to 12 s each."""
    recordings = [decode(path) for path in sorted(SPEECH.rglob("*.flac"))]
    pieces = [recording[k * RATE : (k + 12) * RATE] for k in (0, 12) for recording in recordings]
    return [piece for piece in pieces if len(piece) >= 5 * RATE][:6]


@pytest.fixture(scope="session")
def tags() -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (100_000, 16), dtype=np.uint8)


@pytest.fixture(scope="session")
def mark() -> Watermark:
    return Watermark(KEY)


@pytest.fixture(scope="session")
def marked(mark: Watermark, speech: list[NDArray[np.float32]], tags: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """Recording i carries tag i."""
    return [mark.embed(clip, RATE, tags[i].tobytes()) for i, clip in enumerate(speech)]
