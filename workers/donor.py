"""The donor: a synthetic voice that stands in for a person in the demo and the tests.

python -m workers.donor --text "Any English text." --out speech.wav
"""

from __future__ import annotations

import argparse
import sys
import wave
from functools import lru_cache
from pathlib import Path

import numpy as np

from workers.engines.base import EngineError, Floats, Segment
from workers.engines.join import join
from workers.engines.piper import PiperVoice
from workers.engines.text import split


def donor(text: str) -> tuple[Floats, int]:
    """Speech of the synthetic donor: mono float32 in -1..1 and its sample rate, 22050 Hz.

    Sentences are spoken one by one, so any length will do. Raises TextNotSpeakable for a text without words.
    """
    voice = _voice()
    pieces = split(text, voice.longest_piece)
    return join(
        Segment("donor", voice.speak(piece.text), voice.sample_rate, index, len(pieces), piece.pause)
        for index, piece in enumerate(pieces)
    )


def write_wav(path: Path, pcm: Floats, rate: int) -> None:
    """A 16-bit mono wav file."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((np.clip(pcm, -1.0, 1.0) * 32767).astype("<i2").tobytes())


@lru_cache(maxsize=1)
def _voice() -> PiperVoice:
    return PiperVoice()


def main() -> None:
    """Command line; see the module's text."""
    parser = argparse.ArgumentParser(description="Speech of Vouch's synthetic donor voice, as a wav file.")
    parser.add_argument("--text", required=True, help="English text to say")
    parser.add_argument("--out", required=True, type=Path, help="wav file to write")
    arguments = parser.parse_args()
    try:
        write_wav(arguments.out, *donor(arguments.text))
    except (EngineError, OSError) as error:
        sys.exit(f"donor: {error}")


if __name__ == "__main__":
    main()
