"""How well the speaker match tells people apart: false acceptances and refusals over LibriSpeech.

    python benches/speakers.py [../shared/speech]

Needs the folder with sessions/ (three readers in two sessions each), dev/ (five readers) and cohort/ (125 others). The
sample is up to 60 s of one session; it is compared with single utterances that have at least five seconds of speech: of
the same reader in the other session (genuine), and of everybody else (impostors). The same once more with white noise
at 15 dB, and through a telephone band, on the utterance only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from workers.audio.decode import decode
from workers.audio.speakers import ACCEPT, REFUSE, Voiceprint, encoders, match
from workers.audio.vad import RATE, cut, speech_segments

Floats = NDArray[np.float32]
LEAST_SECONDS, SAMPLE_SECONDS = 5, 60


def recordings(root: Path) -> dict[tuple[str, str], list[Floats]]:
    """Speech of each utterance, pauses left out, by (reader, session)."""
    found: dict[tuple[str, str], list[Floats]] = {}
    for path in sorted(root.rglob("*.flac")):
        reader, session, _ = path.stem.split("-")
        pcm = decode(path).pcm
        found.setdefault((reader, session), []).append(cut(pcm, speech_segments(pcm)))
    return found


def noisy(pcm: Floats) -> Floats:
    """White noise 15 dB under the speech."""
    noise = np.random.default_rng(0).standard_normal(len(pcm)) * np.sqrt(np.mean(pcm**2)) * 10 ** (-15 / 20)
    return (pcm + noise).astype(np.float32)


def telephone(pcm: Floats) -> Floats:
    """300 to 3400 Hz."""
    return np.asarray(sosfilt(butter(4, (300, 3400), "bandpass", fs=RATE, output="sos"), pcm), np.float32)


def embedded(speech: Floats) -> Voiceprint:
    """Both embeddings of speech that has no pauses any more."""
    dvector, resemblyzer = encoders()
    return Voiceprint(dvector.embed(speech), resemblyzer.embed(speech))


def report(name: str, scores: list[float]) -> None:
    """One line: spread of the scores and the share of each outcome."""
    values = np.array(scores)
    accepted, refused = np.mean(values >= ACCEPT), np.mean(values < REFUSE)
    spread = " ".join(f"{value:.3f}" for value in np.percentile(values, [0, 5, 50, 95, 100]))
    print(
        f"{name:22} n={len(values):5}  min 5% 50% 95% max: {spread}  "
        f"accept {accepted:.2%} review {1 - accepted - refused:.2%} refuse {refused:.2%}"
    )


def main() -> None:
    """Print the table."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/speech")
    speech = recordings(root)
    sessions = {tuple(path.name for path in (p.parent, p)) for p in (root / "sessions").glob("*/*")}
    samples = {key: embedded(np.concatenate(speech[key])[: SAMPLE_SECONDS * RATE]) for key in sorted(sessions)}
    changes: dict[str, Callable[[Floats], Floats]] = {"clean": lambda pcm: pcm, "noisy": noisy, "telephone": telephone}
    for name, change in changes.items():
        genuine, impostor = [], []
        for key, utterances in speech.items():
            for utterance in utterances:
                if len(utterance) < LEAST_SECONDS * RATE:
                    continue
                heard = embedded(change(utterance))
                for owner, sample in samples.items():
                    if owner != key:
                        (genuine if owner[0] == key[0] else impostor).append(match(sample, heard).score)
        report(f"{name}, same person", genuine)
        report(f"{name}, other person", impostor)


if __name__ == "__main__":
    main()
