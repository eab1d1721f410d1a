"""Decoding of audio files that strangers sent.

The bytes are read in a short-lived child process (`decode_child`) that can open no file, start no process, write
no more than the result, and gets no secret: what a damaged or hostile file can do there ends with that process.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from workers import confined

HIGHEST_RATE = 48_000  # Hz; nothing that Vouch does uses more
_BYTES_PER_SAMPLE = 4


class AudioRejected(Exception):
    """The file can't be used. `code` is stable, `message` says what is wrong and how to put it right."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Limits:
    """What is accepted; time is counted in decoded samples, whatever the file says of itself."""

    max_bytes: int = 64 * 1024 * 1024
    max_seconds: float = 200.0
    max_channels: int = 8
    max_sample_rate: int = 192_000
    max_cpu_seconds: int = 20
    max_wall_seconds: float = 40.0


@dataclass(frozen=True)
class SourceInfo:
    """What the file was: container and codec by FFmpeg's names, seconds as decoded."""

    container: str
    codec: str
    channels: int
    sample_rate: int
    seconds: float


@dataclass(frozen=True)
class Decoded:
    """Mono float32 samples in [-1, 1] at `sample_rate`: the file's own rate, at most 48 kHz."""

    pcm: NDArray[np.float32]
    sample_rate: int
    source: SourceInfo


def decode(source: Path | IO[bytes], limits: Limits | None = None) -> Decoded:
    """Decode a wav, flac, mp3, m4a, aac, ogg or webm file; channels are averaged. An open file is read from its start.

    Raises AudioRejected for anything in the file that is at fault, OSError if the file can't be opened.
    A file that was cut off is accepted for the part that is there.
    """
    limits = limits or Limits()
    opened = source.open("rb") if isinstance(source, Path) else nullcontext(source)
    with opened as file, tempfile.TemporaryFile() as samples, tempfile.TemporaryFile() as verdict:
        file.flush()
        os.lseek(file.fileno(), 0, os.SEEK_SET)  # the child reads the descriptor, past this process's buffer
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise AudioRejected("audio.empty", "The file is empty. Please record or export it again.")
        if size > limits.max_bytes:
            raise AudioRejected(
                "audio.too_large",
                f"The file has {size / 2**20:.0f} MB; the most is {limits.max_bytes / 2**20:.0f} MB. "
                "Please cut it or save it as MP3 or FLAC.",
            )
        _run_child(file, samples, verdict, limits)
        verdict.seek(0)
        return _result(json.loads(verdict.read()), samples)


def _run_child(source: IO[bytes], samples: IO[bytes], verdict: IO[bytes], limits: Limits) -> None:
    most_bytes = int((limits.max_seconds + 1) * HIGHEST_RATE * _BYTES_PER_SAMPLE)
    order = asdict(limits) | {"most_bytes": most_bytes, "highest_rate": HIGHEST_RATE, "fd": samples.fileno()}
    well = confined.run(
        "workers.audio.decode_child",
        order,
        source,
        verdict,
        seconds=limits.max_wall_seconds,
        pass_fds=(samples.fileno(),),
    )
    if not well:
        raise AudioRejected(
            "audio.too_complex",
            "This file takes more time or memory to read than audio of this length should. "
            "Please save it again as WAV, FLAC or MP3.",
        )


def _result(answer: dict[str, object], samples: IO[bytes]) -> Decoded:
    if "code" in answer:
        raise AudioRejected(str(answer["code"]), str(answer["message"]))
    samples.seek(0)
    pcm = np.frombuffer(samples.read(), dtype=np.float32)
    return Decoded(pcm, int(str(answer.pop("rate"))), SourceInfo(**answer))  # type: ignore[arg-type]
