"""The donor: a synthetic voice that stands in for a person in the demo and the tests.

python -m workers.donor --text "Any English text." --out speech.wav
"""

from __future__ import annotations

import argparse
import sys
from functools import lru_cache
from pathlib import Path

from workers.audio.encode import encode
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
        pcm, rate = donor(arguments.text)
        arguments.out.write_bytes(encode(pcm, rate, f"wav_{rate}").data)
    except (EngineError, OSError) as error:
        sys.exit(f"donor: {error}")


if __name__ == "__main__":
    main()
