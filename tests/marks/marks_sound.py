"""Speech and codecs for the tests of marks and credentials."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import soxr
from numpy.typing import NDArray

RATE = 16_000
SPEECH = Path(__file__).parents[1] / "data" / "speech"
CODECS = {
    "audio/wav": ("pcm_s16le", "wav"),
    "audio/mpeg": ("libmp3lame", "mp3"),
    "audio/flac": ("flac", "flac"),
    "audio/mp4": ("aac", "ipod"),
    "opus": ("libopus", "ogg"),
}


def decode(source: Path | bytes, rate: int = RATE) -> NDArray[np.float32]:
    """An audio file as mono float32."""
    resampler = av.AudioResampler("flt", "mono", rate)
    with av.open(io.BytesIO(source) if isinstance(source, bytes) else source) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def encode(audio: NDArray[np.float32], mime: str, bits: int = 64_000, rate: int = RATE) -> bytes:
    """Mono float32 as a file."""
    codec, container = CODECS[mime]
    samples = np.clip(np.round(audio * 32767), -32768, 32767).astype(np.int16)
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = bits
        resampler = av.AudioResampler(stream.format.name, "mono", rate, frame_size=stream.frame_size or 0)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = rate
        pieces = [*resampler.resample(frame), *resampler.resample(None)]
        out.mux([packet for piece in [*pieces, None] for packet in stream.encode(piece)])
    return file.getvalue()


def resampled(audio: NDArray[np.float32], source: int, target: int) -> NDArray[np.float32]:
    """The same sound at another rate."""
    return np.asarray(soxr.resample(audio, source, target), dtype=np.float32)
