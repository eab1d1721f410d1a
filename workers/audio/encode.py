"""Finished audio as the bytes of a file, in formats named as ElevenLabs names them, and FLAC beside them."""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass
from typing import cast

import av
import numpy as np
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from workers.audio.resample import resample

_RATES = (8000, 16000, 22050, 24000, 32000, 44100, 48000)
_MP3 = ((22050, 32), (24000, 48), (44100, 32), (44100, 64), (44100, 96), (44100, 128), (44100, 192))
_M4A = ((44100, 128),)
_MIME = {"m4a": "audio/mp4", "mp3": "audio/mpeg", "wav": "audio/wav", "pcm": "audio/L16", "flac": "audio/flac"}


@dataclass(frozen=True)
class OutputFormat:
    """Codec (mp3, m4a for AAC, wav, pcm, flac), rate in Hz, and kilobits a second where the codec has that choice."""

    codec: str
    sample_rate: int
    kilobits: int | None = None


@dataclass(frozen=True)
class Encoded:
    """A complete file, or for pcm the bare samples (signed 16 bit, little-endian, mono)."""

    data: bytes
    mime: str
    extension: str
    sample_rate: int


FORMATS: dict[str, OutputFormat] = {
    **{f"mp3_{rate}_{kilobits}": OutputFormat("mp3", rate, kilobits) for rate, kilobits in _MP3},
    **{f"m4a_{rate}_{kilobits}": OutputFormat("m4a", rate, kilobits) for rate, kilobits in _M4A},
    **{f"{codec}_{rate}": OutputFormat(codec, rate) for codec in ("wav", "pcm", "flac") for rate in _RATES},
}


def encode(pcm: NDArray[np.float32], rate: int, format_name: str) -> Encoded:
    """Mono float samples in [-1, 1] as the named format; beyond that range they are clipped.

    An mp3 says in its header how much of its first and last frame to leave out, so players keep the exact length;
    an m4a may end with up to 23 ms of silence more.
    Raises ValueError for a name that is not in FORMATS.
    """
    wanted = FORMATS.get(format_name)
    if wanted is None:
        raise ValueError(f"Unknown audio format {format_name!r}. Known are: {', '.join(FORMATS)}.")
    samples = (resample(pcm, rate, wanted.sample_rate).clip(-1, 1) * 32767).round().astype("<i2")
    if wanted.codec == "pcm":
        data = samples.tobytes()
    elif wanted.codec == "wav":
        data = _wav(samples, wanted.sample_rate)
    else:
        data = _coded(samples, wanted)
    return Encoded(data, _MIME[wanted.codec], wanted.codec, wanted.sample_rate)


def _wav(samples: NDArray[np.int16], rate: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples.tobytes())
    return file.getvalue()


_CODECS = {"mp3": ("mp3", "libmp3lame", "s16p"), "m4a": ("ipod", "aac", "fltp"), "flac": ("flac", "flac", "s16")}
"""FFmpeg's names of container, codec and sample format."""


def _coded(samples: NDArray[np.int16], wanted: OutputFormat) -> bytes:
    file = io.BytesIO()
    container_name, codec, sample_format = _CODECS[wanted.codec]
    given = samples.astype(np.float32) / 32768 if sample_format == "fltp" else samples
    with av.open(file, "w", format=container_name) as container:
        stream = cast(AudioStream, container.add_stream(codec, rate=wanted.sample_rate, layout="mono"))
        stream.format = sample_format
        if wanted.kilobits:
            stream.bit_rate = wanted.kilobits * 1000
        stream.codec_context.open()
        size = stream.codec_context.frame_size
        for start in range(0, len(given), size):
            frame = av.AudioFrame.from_ndarray(given[None, start : start + size], format=sample_format, layout="mono")
            frame.sample_rate, frame.pts = wanted.sample_rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()
