"""Recordings in the storage: fetched and decoded, and kept clean for listening and for what follows."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

import numpy as np
from numpy.typing import NDArray

from workers.audio.decode import Decoded, Limits, decode
from workers.audio.encode import encode
from workers.audio.resample import resample
from workers.tools import Tools

CLEAN_RATE = 24_000
"""Hz of what is kept: the rate of the engines; speech has little above 12 kHz."""

Floats = NDArray[np.float32]


@contextmanager
def fetched(key: str, tools: Tools) -> Iterator[IO[bytes]]:
    """An object of the storage as an open file, at its start.

    The file has no name, so no stranger's recording stays behind, even when this process is killed.
    """
    with tempfile.TemporaryFile() as file:
        tools.storage.download(key, file)
        file.seek(0)
        yield file


def decoded(key: str, max_seconds: float, tools: Tools) -> Decoded:
    """The sound of a stored recording. Raises AudioRejected when it can't be used or is longer than `max_seconds`."""
    with fetched(key, tools) as file:
        return decode(file, Limits(max_seconds=max_seconds))


def cleaned(pieces: Sequence[Decoded]) -> Floats:
    """Recordings one after the other, mono at CLEAN_RATE."""
    return np.concatenate([resample(piece.pcm, piece.sample_rate, CLEAN_RATE) for piece in pieces])


def keep(key: str, clean: Floats, tools: Tools) -> None:
    """Store what `cleaned` gave, as FLAC."""
    tools.storage.put(key, encode(clean, CLEAN_RATE, f"flac_{CLEAN_RATE}").data)
