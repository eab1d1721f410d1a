"""The child process of `decode`: reads a file as stdin, writes float32 mono to a descriptor and a verdict to stdout.

Exit code 0 with a JSON verdict; anything else means that a limit of the operating system ended it.
Only what decoding needs is imported, so that it starts in a fraction of a second.
"""

from __future__ import annotations

import io
import json
import os
import sys
import wave
from collections.abc import Iterator
from typing import Any

import av
import av.subtitles.codeccontext  # this and the next: PyAV imports them late, when no file can be opened any more
import av.video.codeccontext
import numpy as np
import soxr
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from workers import confined

# Only these are opened: no playlist, no list of other files, no picture, no video.
CONTAINERS = {
    "wav": "wav",
    "flac": "flac",
    "mp3": "mp3",
    "aac": "aac",
    "ogg": "ogg",
    "mov,mp4,m4a,3gp,3g2,mj2": "m4a",
    "matroska,webm": "webm",
}
CODECS = (
    "pcm_u8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s32le,pcm_f32le,pcm_f64le,pcm_alaw,pcm_mulaw,"
    "flac,mp3float,mp3,aac,alac,opus,libopus,vorbis"
)
OPTIONS = {
    "format_whitelist": ",".join(CONTAINERS),
    "codec_whitelist": CODECS,
    "protocol_whitelist": "none",  # the file comes as an open descriptor; nothing else may be reached
}
MEMORY_BYTES = 1024**3  # address space; the interpreter with its libraries takes a good part of it
LOWEST_RATE = 4_000  # Hz
SHORTEST_SECONDS = 0.1
MOST_BAD_PACKETS = 0.1  # share; above it too much is missing to judge a voice by


class Refused(Exception):
    """Reason not to use the file: a stable code and a sentence."""


def main() -> None:
    """Decode under the limits given as JSON in the first argument."""
    order = json.loads(sys.argv[1])
    _warm_up()
    with os.fdopen(order["fd"], "wb") as out:
        confined.lock(
            memory_bytes=MEMORY_BYTES, cpu_seconds=order["max_cpu_seconds"], written_bytes=order["most_bytes"]
        )
        try:
            verdict = _decode(order, out)
        except Refused as refusal:
            verdict = {"code": refusal.args[0], "message": refusal.args[1]}
    sys.stdout.write(json.dumps(verdict))


def _warm_up() -> None:
    """Decode silence that we made, so that every late import of PyAV happens before files are out of reach."""
    silence = io.BytesIO()
    with wave.open(silence, "wb") as wav:
        wav.setparams((1, 2, 8000, 0, "NONE", ""))
        wav.writeframes(bytes(1600))
    silence.seek(0)
    with av.open(silence, "r", options=OPTIONS) as container:
        for frame in container.decode(audio=0):
            _mono(frame, _packed())


def _decode(order: dict[str, Any], out: Any) -> dict[str, Any]:
    try:
        container = av.open(sys.stdin.buffer, options=OPTIONS)
    except (av.FFmpegError, ValueError) as error:
        raise _not_audio() from error
    stream = next(iter(container.streams.audio), None)
    if stream is None or stream.codec_context is None or stream.codec_context.name not in CODECS.split(","):
        raise _not_audio()
    rate = channels = written = total = 0
    resampler: soxr.ResampleStream | None = None
    packer = _packed()
    for frame in _frames(container, stream):
        if not rate:
            rate, channels = frame.sample_rate, frame.layout.nb_channels
            _check_shape(rate, channels, order)
            if rate > order["highest_rate"]:
                resampler = soxr.ResampleStream(rate, order["highest_rate"], 1, dtype="float32", quality="HQ")
        elif (frame.sample_rate, frame.layout.nb_channels) != (rate, channels):
            raise Refused(
                "audio.changes_format",
                "The sample rate or number of channels changes within the file. Please save it again.",
            )
        total += frame.samples
        if total > order["max_seconds"] * rate:
            raise Refused(
                "audio.too_long",
                f"The recording is longer than {order['max_seconds']:.0f} seconds. Please send a shorter part of it.",
            )
        mono = _mono(frame, packer)
        out.write((resampler.resample_chunk(mono) if resampler else mono).clip(-1, 1).tobytes())
        written += frame.samples
    if written < SHORTEST_SECONDS * max(rate, 1):
        raise Refused("audio.empty", "There is next to no sound in the file. Please record or export it again.")
    if resampler:
        out.write(resampler.resample_chunk(np.zeros(0, np.float32), last=True).clip(-1, 1).tobytes())
    return {
        "container": CONTAINERS[container.format.name],
        "codec": stream.codec_context.name.removesuffix("float"),
        "channels": channels,
        "sample_rate": rate,
        "seconds": total / rate,
        "rate": min(rate, order["highest_rate"]),
    }


def _frames(container: Any, stream: Any) -> Iterator[AudioFrame]:
    """Decoded frames; packets that don't decode are skipped, an unreadable rest ends the file."""
    packets = bad = 0
    demuxer = container.demux(stream)
    while True:
        try:
            packet = next(demuxer)
        except (StopIteration, av.FFmpegError):
            break
        packets += 1
        try:
            yield from packet.decode()
        except av.FFmpegError:
            bad += 1
    if bad > MOST_BAD_PACKETS * packets + 1:
        raise Refused("audio.damaged", "Much of the file can't be read. Please record or export it again.")


def _packed() -> av.AudioResampler:
    """Converter to interleaved float32. (`AudioFrame.to_ndarray` of PyAV 18 reads too far with 8 separate channels.)"""
    return av.AudioResampler(format="flt")


def _mono(frame: AudioFrame, packer: av.AudioResampler) -> NDArray[np.float32]:
    """Average of the channels; samples that are no number become silence."""
    try:
        data = np.concatenate([part.to_ndarray().reshape(-1) for part in packer.resample(frame)])
    except (av.FFmpegError, ValueError) as error:
        raise _not_audio() from error
    finite: NDArray[np.float32] = np.nan_to_num(data, nan=0.0, posinf=1.0, neginf=-1.0).clip(-4, 4)
    mono: NDArray[np.float32] = finite.reshape(-1, frame.layout.nb_channels).mean(axis=1, dtype=np.float32)
    return mono


def _check_shape(rate: int, channels: int, order: dict[str, Any]) -> None:
    if channels > order["max_channels"]:
        raise Refused(
            "audio.too_many_channels",
            f"The file has {channels} channels; the most is {order['max_channels']}. Please save it as mono or stereo.",
        )
    if not LOWEST_RATE <= rate <= order["max_sample_rate"]:
        raise Refused(
            "audio.sample_rate",
            f"The file has {rate} samples a second; {LOWEST_RATE} to {order['max_sample_rate']} are read. "
            "Please save it with 44100.",
        )


def _not_audio() -> Refused:
    return Refused(
        "audio.not_audio",
        "This is no audio file that can be read here. Please send WAV, FLAC, MP3, M4A, OGG or WebM.",
    )


if __name__ == "__main__":
    main()
