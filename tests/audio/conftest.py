"""Recordings and models that the audio tests share; models are loaded once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from workers.audio.decode import Decoded, SourceInfo, decode
from workers.audio.transcribe import Transcriber

Floats = NDArray[np.float32]
SPEECH = Path(__file__).resolve().parents[1] / "data" / "speech"


@pytest.fixture(scope="session")
def speech() -> dict[str, Decoded]:
    """The recordings in tests/data/speech by their name, such as "reader_26/sample"."""
    return {f"{p.parent.name}/{p.stem}": decode(p) for p in sorted(SPEECH.glob("*/*.flac"))}


@pytest.fixture(scope="session")
def transcripts() -> dict[str, dict[str, str]]:
    """What is said in them."""
    return json.loads((SPEECH / "transcripts.json").read_text())


@pytest.fixture(scope="session")
def transcriber() -> Transcriber:
    """Whisper, on one core."""
    return Transcriber(cpu_threads=1)


@pytest.fixture(scope="session")
def chords() -> Floats:
    """30 s of a plucked chord progression at 16 kHz."""
    time = np.arange(30 * 16_000) / 16_000
    step = np.array([1, 4 / 3, 3 / 2, 1])[(time // 2).astype(int) % 4]
    phase = 2 * np.pi * np.cumsum(step) / 16_000
    return (0.1 * sum(np.sin(phase * f) for f in (220, 277, 330, 440)) * np.exp(-3 * (time % 0.5))).astype(np.float32)


def recorded(pcm: Floats, rate: int = 16_000) -> Decoded:
    """Samples as if they had been decoded from a file."""
    return Decoded(pcm.astype(np.float32), rate, SourceInfo("wav", "pcm_f32le", 1, rate, len(pcm) / rate))


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write float samples (channels, n) as an audio file: write(name, codec, samples, rate, layout) -> path."""

    def save(name: str, codec: str, samples: Floats, rate: int = 48_000, layout: str = "mono") -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=rate, layout=layout)
            if codec == "vorbis":
                stream.options = {"strict": "experimental"}
            stream.codec_context.open()
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(samples.T.reshape(1, -1), np.float32), format="flt", layout=layout
            )
            frame.sample_rate = rate
            fit = av.AudioResampler(stream.format, layout, rate, frame_size=stream.codec_context.frame_size or 4096)
            for part in [*fit.resample(frame), *fit.resample(None)]:
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))
        return path

    return save
