"""What the sample checks measure on good, damaged and wrong recordings.

    python benches/sample_checks.py [../shared]

Needs the folder with speech/ (LibriSpeech) and noise/. Prints one line a recording; each kind of damage is made from
30 s of every reader with a minute of speech. The two-voice part joins each pair of readers
at 30 and at 48 of 60 seconds.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from workers.audio.checks import check_sample
from workers.audio.decode import Decoded, SourceInfo, decode
from workers.audio.one_voice import voice_agreement
from workers.audio.vad import RATE, cut, speech_segments

Floats = NDArray[np.float32]


def damaged(pcm: Floats, noises: list[Floats]) -> Iterator[tuple[str, Floats]]:
    """The recording with one thing wrong at a time."""
    power = np.sqrt(np.mean(pcm**2))
    white = np.random.default_rng(0).standard_normal(len(pcm)).astype(np.float32)
    for number, noise in enumerate([white, *noises]):
        scaled = np.resize(noise, len(pcm)) * power / np.sqrt(np.mean(noise**2))
        for snr in (20, 10, 5):
            yield (
                f"{'white' if number == 0 else f'noise{number}'} {snr} dB",
                pcm + scaled * np.float32(10 ** (-snr / 20)),
            )
    for times in (2, 4, 8):
        yield f"{times} x too loud", np.clip(pcm * times / np.abs(pcm).max(), -1, 1)
    yield "a hundredth", (pcm / 100).astype(np.float32)
    band = butter(6, (300, 3400), "bandpass", fs=RATE, output="sos")
    yield "telephone", np.asarray(sosfilt(band, pcm), np.float32)


def show(name: str, pcm: Floats) -> None:
    """One line of measures, and the codes of the checks that failed."""
    source = SourceInfo("wav", "pcm_f32le", 1, RATE, len(pcm) / RATE)
    report = check_sample([Decoded(pcm.astype(np.float32), RATE, source)], min_speech_seconds=1)
    failed = ", ".join(check.code for check in report.checks if not check.passed) or "-"
    print(
        f"{name:28} share {report.speech_seconds / report.seconds:.2f} level {report.level_dbfs:6.1f} "
        f"clipped {report.clipped_share:.5f} background {report.cleanness.background:.2f} "
        f"bandwidth {report.bandwidth_hz:5.0f} agreement {report.agreement:.3f} failed: {failed}",
        flush=True,
    )


def main() -> None:
    """Print the lines."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared")
    noises = [decode(path).pcm for path in sorted((root / "noise").glob("*.wav"))]
    long: dict[str, Floats] = {}
    for folder in sorted([*(root / "speech/sessions").glob("*/*"), *(root / "speech/dev").glob("*")]):
        pieces = [decode(path).pcm for path in sorted(folder.glob("*.flac"))]
        name = folder.relative_to(root / "speech").as_posix()
        long[name] = np.concatenate(pieces)[: 60 * RATE]
        show(name, long[name])
    for path in sorted((root / "speech/cohort").glob("*.flac"))[::5]:
        show(path.stem, decode(path).pcm)
    for name, pcm in long.items():
        for kind, changed in damaged(pcm[: 30 * RATE], noises):
            show(f"{name.split('/')[1]} {kind}", changed)
    speech = {name: cut(pcm, speech_segments(pcm)) for name, pcm in long.items()}
    for (one, a), (other, b) in itertools.combinations(speech.items(), 2):
        together = {f"{first} s": np.concatenate([a[: first * RATE], b[: (60 - first) * RATE]]) for first in (30, 48)}
        same = "same" if one.split("/")[1] == other.split("/")[1] and "sessions" in one else "two"
        for name, pcm in together.items():
            print(f"{same} {one} {name} + {other}: agreement {voice_agreement(pcm):.3f}", flush=True)


if __name__ == "__main__":
    main()
