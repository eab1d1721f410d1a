"""The audio formats that can be asked for, named codec_samplerate[_bitrate] as in the ElevenLabs API.

The encoders are in workers/audio/encode.py; a test checks that both tables agree.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OutputFormat:
    """What the web side needs to know of a format."""

    mime: str
    extension: str
    label: str


_WAV_RATES = (8000, 16000, 22050, 24000, 32000, 44100, 48000)
_MP3 = ("22050_32", "24000_48", "44100_32", "44100_64", "44100_96", "44100_128", "44100_192")


def _khz(rate: int) -> str:
    return f"{rate / 1000:g} kHz"


FORMATS: dict[str, OutputFormat] = {
    **{
        f"mp3_{m}": OutputFormat("audio/mpeg", "mp3", f"MP3, {_khz(int(m.split('_')[0]))}, {m.split('_')[1]} kbit/s")
        for m in _MP3
    },
    "m4a_44100_128": OutputFormat("audio/mp4", "m4a", "M4A (AAC), 44.1 kHz, 128 kbit/s"),
    **{f"wav_{r}": OutputFormat("audio/wav", "wav", f"WAV, {_khz(r)}") for r in _WAV_RATES},
    **{f"flac_{r}": OutputFormat("audio/flac", "flac", f"FLAC, {_khz(r)}") for r in _WAV_RATES},
    **{f"pcm_{r}": OutputFormat("audio/pcm", "pcm", f"Raw PCM, {_khz(r)}, 16 bit") for r in _WAV_RATES},
}

DEFAULT_FORMAT = "mp3_44100_128"
ON_PAGES = ("mp3_44100_128", "wav_24000", "flac_24000")
"""The formats that the pages offer; the API has them all."""
