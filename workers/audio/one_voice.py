"""Whether a recording has one voice in it or several."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workers.audio.speakers import encoders, unit

_BLOCK = 2.0  # seconds of speech judged together: longer ones mix the turns of a conversation
_LEAST_BLOCKS = 3  # one or two odd blocks (a laugh, a cough) are no second voice
_ROUNDS = 20
_MOST_WINDOWS = 180  # an encoder; three minutes of speech still have two in each block
_WINDOW_SECONDS = (0.8, 1.6)  # of the d-vector and of Resemblyzer

Floats = NDArray[np.float32]


def voice_agreement(speech16k: Floats) -> float:
    """How alike the two most different parts of the speech are, as a mean cosine of both encoders (1: one voice).

    Blocks of 2 s of speech (mono, 16 kHz, pauses left out) are embedded by both speaker encoders and split in two by
    k-means, wherever they stand in the recording; the two centres are compared. 1 if there are too few blocks to judge.
    """
    blocks = _embedded_blocks(speech16k)
    if len(blocks) < 2 * _LEAST_BLOCKS:
        return 1.0
    first, second = _split(blocks)
    if min(len(first), len(second)) < _LEAST_BLOCKS:
        return 1.0
    return float(unit(first.mean(axis=0)) @ unit(second.mean(axis=0)))


def _embedded_blocks(speech16k: Floats) -> Floats:
    seconds = len(speech16k) / 16_000
    per_encoder = []
    for encoder, length in zip(encoders(), _WINDOW_SECONDS, strict=True):
        starts, embeddings = encoder.windows(speech16k, _MOST_WINDOWS)
        middles = starts + length / 2
        per_encoder.append((middles // _BLOCK, embeddings))
    blocks = []
    for block in range(int(seconds // _BLOCK)):
        parts = [embeddings[of == block] for of, embeddings in per_encoder]
        if all(len(part) for part in parts):
            blocks.append(unit(np.concatenate([unit(part.mean(axis=0)) for part in parts])))
    return np.array(blocks, np.float32)


def _split(blocks: Floats) -> tuple[Floats, Floats]:
    """Two-means on the unit sphere, started from the two blocks that are least alike."""
    likeness = blocks @ blocks.T
    centres = blocks[list(np.unravel_index(likeness.argmin(), likeness.shape))]
    for _ in range(_ROUNDS):
        nearer_second = (blocks @ centres.T).argmax(axis=1) == 1
        if nearer_second.all() or not nearer_second.any():
            break
        centres = unit(np.stack([blocks[~nearer_second].mean(axis=0), blocks[nearer_second].mean(axis=0)]))
    return blocks[~nearer_second], blocks[nearer_second]
