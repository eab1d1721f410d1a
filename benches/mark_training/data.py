"""Marks speech, damages it at random, and keeps band energies beside the pattern that is in them.

    OMP_NUM_THREADS=1 python -m benches.mark_training.data OUT --shared ../shared --corpus FOLDER

Human speech: speech/cohort below --shared, one recording of each of 125 readers, of which 25 are kept for development
(`readers`). Engine speech: the first half of the voices of each kind in --corpus (a folder of benches/trace/corpus.py).
Needs the command ffmpeg with libgsm. Everything is drawn from --seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import soxr
from numpy.typing import NDArray

from benches.mark_training import untrained
from benches.mark_training.damage import ATTACKS, Damage
from benches.trace import attacks
from benches.trace.attacks import RATE, Floats, load
from workers.marks import shaping, spectrum
from workers.marks.pattern import BITS, PILOT, signs
from workers.marks.spectrum import HOP, SLOT, WINDOW
from workers.marks.watermark import Watermark

SECONDS = 6
DEVELOPMENT = 25  # readers of the cohort
REACH = 6  # frames: how far the alignment is looked for
SCALED = 0.15  # share of clips whose speed, tempo or pitch is changed, too


@dataclass(frozen=True)
class Example:
    """Energies (frames, BANDS) and the pattern in them (slots, BANDS); slot k begins at frame 5 * k + offset."""

    attack: str
    energies: NDArray[np.float16]
    wanted: NDArray[np.float16]
    offset: int


def readers(shared: Path) -> tuple[list[Path], list[Path]]:
    """Recordings to train with and to develop with: other readers."""
    files = sorted((shared / "speech/cohort").glob("*.flac"))
    order = np.random.default_rng(0).permutation(len(files))
    return [files[k] for k in order[DEVELOPMENT:]], [files[k] for k in order[:DEVELOPMENT]]


def voices(corpus: Path) -> tuple[list[str], list[str]]:
    """Engine voices to train with (half of each kind), and the others; matched voices (real_) are among the others."""
    found = sorted({path.stem.rsplit("-", 1)[0] for path in corpus.glob("*.wav")})
    kinds = {name[:2]: [v for v in found if v[:2] == name[:2]] for name in found if not name.startswith("real")}
    train = [name for names in kinds.values() for name in names[: (len(names) + 1) // 2]]
    return train, [name for name in found if name not in train]


def scaled(audio: Floats, rng: np.random.Generator) -> tuple[Floats, float, float]:
    """Speed, tempo or pitch changed: the audio, its pitch scale and its time scale."""
    factor = float(rng.uniform(0.9, 1.1))
    kind = rng.choice(["speed", "tempo", "pitch"])
    if kind == "tempo":
        return attacks.tempo(audio, factor), 1.0, 1 / factor
    if kind == "speed":
        return attacks.speed(audio, factor), factor, 1 / factor
    return attacks.pitch(audio, 12 * np.log2(factor)), factor, 1.0


def delay(audio: Floats, reference: Floats) -> int:
    """By how many samples `audio` comes later, at most a fifth of a second."""
    size = 1 << (len(audio) + len(reference)).bit_length()
    cross = np.abs(np.fft.irfft(np.fft.rfft(audio, size) * np.conj(np.fft.rfft(reference, size)), size))
    reach = RATE // 5
    lags = np.concatenate([cross[-reach:], cross[: reach + 1]])
    return int(np.argmax(lags)) - reach


def aligned(energies: Floats, wanted: Floats, reach: int) -> int:
    """The offset in frames at which the pattern fits best, by the reader without training."""
    fits = []
    for offset in range(-reach, reach + 1):
        shifted = energies[offset:] if offset >= 0 else np.pad(energies, ((-offset, 0), (0, 0)), mode="edge")
        values = untrained.evidence(shifted)
        count = min(len(values), len(wanted))
        fits.append(float(np.sum(values[:count] * wanted[:count]) / (np.linalg.norm(values[:count]) + 1e-9)))
    return int(np.argmax(fits)) - reach


def example(plain: Floats, rate: int, attack: str, others: list[Floats], rng: np.random.Generator) -> Example:
    """One piece of plain speech, marked and damaged."""
    tag = rng.bytes(16)
    mark = Watermark(rng.bytes(32))
    marked = soxr.resample(mark.embed(plain, rate, tag), rate, RATE).astype(np.float32)
    slots = len(marked) // (SLOT * HOP) + 2
    amplitude = np.concatenate([[PILOT], np.ones(BITS)]).astype(np.float32)
    bits = np.concatenate([[1], signs(tag)]).astype(np.float32)
    wanted = ((amplitude * bits) @ mark.pattern.over(slots, mark.pattern.start(tag))).reshape(slots, -1)
    return damaged(marked, wanted, attack, others, rng)


def damaged(marked: Floats, wanted: Floats, attack: str, others: list[Floats], rng: np.random.Generator) -> Example:
    pitch, time_scale, reach, audio = 1.0, 1.0, REACH, marked
    if rng.uniform() < SCALED:
        audio, pitch, time_scale = scaled(marked, rng)
        reach = 4 * REACH
        audio = ATTACKS[attack][1](Damage(rng, others), audio)
    else:
        audio = ATTACKS[attack][1](Damage(rng, others), audio)
        shift = delay(audio, marked)
        audio = audio[shift:] if shift >= 0 else np.pad(audio, (-shift, 0))
    power = spectrum.power(spectrum.stft(np.pad(spectrum.levelled(audio), WINDOW)))
    energies = spectrum.band_energies(power, pitch)
    if time_scale != 1.0:  # frames at the time they had when the clip was marked
        places = np.arange(int(len(energies) / time_scale)) * time_scale
        energies = energies[np.minimum(np.round(places).astype(int), len(energies) - 1)]
    offset = aligned(energies, wanted, reach)
    return Example(attack, energies.astype(np.float16), wanted.astype(np.float16), offset)


def _examples(work: tuple[list[tuple[Floats, int]], list[Floats], int, int]) -> list[Example]:
    sources, others, each, seed = work
    rng = np.random.default_rng(seed)
    names = list(ATTACKS)
    weights = np.array([ATTACKS[name][0] for name in names])
    found = []
    with patch.object(shaping, "_evidence", untrained.evidence):  # else training would need the weights that it makes
        for audio, rate in sources:
            for attack in rng.choice(names, each, replace=False, p=weights / weights.sum()):
                found.append(example(audio, rate, str(attack), others, rng))  # noqa: PERF401
    return found


def _sources(files: list[Path], rate: int) -> Iterator[tuple[Floats, int]]:
    for file in files:
        audio = load(file, rate)
        step = SECONDS * rate
        for begin in range(0, len(audio), step):
            if len(audio) - begin >= step // 2:
                yield audio[begin : begin + step], rate


def save(path: Path, examples: list[Example]) -> None:
    """All examples in one file that needs numpy alone."""
    np.savez(
        path,
        attack=np.array([e.attack for e in examples]),
        frames=np.array([len(e.energies) for e in examples]),
        slots=np.array([len(e.wanted) for e in examples]),
        offset=np.array([e.offset for e in examples]),
        energies=np.concatenate([e.energies for e in examples]),
        wanted=np.concatenate([e.wanted for e in examples]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--each", type=int, default=10, help="attacks for each piece of six seconds")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    train, development = readers(options.shared)
    engine = [p for v in voices(options.corpus)[0] for p in sorted(options.corpus.glob(f"{v}-*.wav"))]
    options.out.mkdir(parents=True, exist_ok=True)
    sets = {"train": [*_sources(train, RATE), *_sources(engine, 24_000)], "development": [*_sources(development, RATE)]}
    for name, sources in sets.items():
        others = [load(path) for path in (train if name == "train" else development)]
        blocks = [sources[k : k + 8] for k in range(0, len(sources), 8)]
        work = [(block, others, options.each, options.seed + 1000 * k) for k, block in enumerate(blocks)]
        with ProcessPoolExecutor(options.processes) as pool:
            examples = [e for found in pool.map(_examples, work) for e in found]
        save(options.out / f"{name}.npz", examples)
        print(f"{name}: {len(sources)} pieces, {len(examples)} examples", flush=True)


if __name__ == "__main__":
    main()
