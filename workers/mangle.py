"""What happens to a clip on its way around the world: a piece of it, through a telephone, as a small MP3.

python -m workers.mangle clip.mp3 copy.mp3
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy import signal

from workers.audio.decode import AudioRejected, Limits, decode
from workers.audio.encode import encode
from workers.audio.resample import resample

SECONDS = 5.0
SKIPPED = 0.7  # seconds cut from the start, so that nothing lines up with the original
TELEPHONE_RATE = 8_000
TELEPHONE_BAND = (300.0, 3_400.0)  # Hz, as in ITU-T G.712
FORMAT = "mp3_44100_64"


def telephone_copy(source: Path) -> bytes:
    """Five seconds of a file, at 8 kHz and in the telephone's band, as MP3 of 64 kbit/s. Raises AudioRejected."""
    heard = decode(source, Limits(max_seconds=600))
    first = round(min(SKIPPED, max(0.0, heard.source.seconds - SECONDS)) * heard.sample_rate)
    piece = heard.pcm[first : first + round(SECONDS * heard.sample_rate)]
    narrow = resample(piece, heard.sample_rate, TELEPHONE_RATE)
    band = signal.butter(4, TELEPHONE_BAND, "bandpass", fs=TELEPHONE_RATE, output="sos")
    return encode(np.asarray(signal.sosfilt(band, narrow), np.float32), TELEPHONE_RATE, FORMAT).data


def main() -> None:
    """Command line; see the module's text."""
    parser = argparse.ArgumentParser(description="A telephone-quality MP3 copy of five seconds of a clip.")
    parser.add_argument("source", type=Path)
    parser.add_argument("copy", type=Path)
    arguments = parser.parse_args()
    try:
        arguments.copy.write_bytes(telephone_copy(arguments.source))
    except (AudioRejected, OSError) as error:
        sys.exit(f"mangle: {error}")


if __name__ == "__main__":
    main()
