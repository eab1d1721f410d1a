"""Measures the keyed mark alone: traced share after each attack by groups of voices, false matches, quality, and cost.

OMP_NUM_THREADS=1 python -m benches.watermark --shared ../shared --corpus FOLDER --tags 10000000

Reports on voices that no part of the mark was chosen or trained with: readers of speech/dev below --shared (their sex
is in SPEAKERS.TXT), readers of speech/cohort that benches/mark_training kept for development, and the half of the
engine's voices in --corpus (a folder of benches/trace/corpus.py) that it did not train with. The attacks are those of
benches/trace/suite.py that have a goal for the mark alone, and the measured rooms. "Traced" is what the rule of
workers/marks/matching.py accepts among --tags issued tags. All tags are scanned for the first --scan clips of each
attack, where "wrong" would count another tag that is accepted; for the others the own tag is held against the same
threshold. PESQ is measured where the package `pesq` can be imported.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benches.mark_training.data import readers, voices
from benches.trace.attacks import RATE, Floats, load, resampled
from benches.trace.materials import Materials
from benches.trace.suite import Attack, suite
from workers.audio.noise import cleanness
from workers.marks import assure
from workers.marks.matching import ACCEPT_BOUND, accept_z, false_match_bound, nearest
from workers.marks.pattern import signs
from workers.marks.spectrum import power, stft
from workers.marks.watermark import STRENGTH_DB, Watermark

Tags = NDArray[np.uint8]
GROUPS = ("human f", "human m", "readers", "engine f", "engine m")
SHORT_SECONDS, LONG_SECONDS = 3, 10
EXTRA = ("gain", "polarity", "eq", "dynamics", "rir1", "rir2", "rir3", "rir4", "recorded-10", "babble-10", "other+0")


@dataclass(frozen=True)
class Voice:
    """A clip before it is marked."""

    group: str
    name: str
    pcm: Floats
    rate: int

    def first(self, seconds: float) -> Floats:
        """Its beginning."""
        return self.pcm[: int(seconds * self.rate)]

    @property
    def seconds(self) -> float:
        return len(self.pcm) / self.rate


def heard(shared: Path, corpus: Path, each: int) -> list[Voice]:
    """Clips of at least five seconds, at most `each` of a voice."""
    lines = [line.split("|") for line in (shared / "speech/SPEAKERS.TXT").read_text().splitlines() if line[:1] != ";"]
    sexes = {fields[0].strip(): fields[1].strip().lower() for fields in lines if len(fields) > 1}
    found: list[Voice] = []
    for folder in sorted((shared / "speech/dev").iterdir()):
        group = f"human {sexes[folder.name]}"
        found += _longest(group, sorted(folder.rglob("*.flac")), RATE, each)
    found += [clip for path in readers(shared)[1] for clip in _longest("readers", [path], RATE, 1)]
    for voice in voices(corpus)[1]:
        sex = sexes[voice.removeprefix("real_")] if voice.startswith("real_") else voice[1]
        found += _longest(f"engine {sex}", sorted(corpus.glob(f"{voice}-*.wav")), 24_000, each)
    return found


def _longest(group: str, files: Sequence[Path], rate: int, each: int) -> list[Voice]:
    clips = [Voice(group, path.stem, load(path, rate), rate) for path in files]
    return sorted((clip for clip in clips if clip.seconds >= 5), key=lambda clip: -clip.seconds)[:each]


class Marked:
    """Clips under one key, each with its own tag; made when they are first asked for."""

    def __init__(
        self, mark: Watermark, clips: Sequence[Voice], tags: Tags, strength: float, materials: Materials
    ) -> None:
        self.mark, self.clips, self.tags = mark, clips, tags
        self._strength, self._materials = strength, materials
        self._made: dict[tuple[int, float], Floats] = {}

    def copy(self, k: int, attack: Attack) -> Floats | None:
        """What the attack leaves of clip `k`, 16 kHz; None where the clip is too short for it."""
        clip = self.clips[k]
        if clip.seconds < attack.longer_than:
            return None
        whole = SHORT_SECONDS if attack.shorter_than < 5 else LONG_SECONDS if attack.longer_than else 5
        audio = self.marked(k, whole)
        length = int(attack.seconds * RATE)
        begin = int(attack.chance(clip.name + " cut").integers(0, max(len(audio) - length, 0) + 1))
        return attack.apply(audio[begin : begin + length], self._materials, clip.name)

    def marked(self, k: int, seconds: float) -> Floats:
        """The first seconds of clip `k`, marked, at 16 kHz."""
        if (k, seconds) not in self._made:
            clip = self.clips[k]
            made = self.mark.embed(clip.first(seconds), clip.rate, self.tags[k].tobytes(), self._strength)
            self._made[k, seconds] = resampled(made, clip.rate, RATE)
        return self._made[k, seconds]


def robustness(made: Marked, table: Sequence[Attack], scan: int, full: int) -> None:
    """Prints a row for each attack."""
    heads = ["attack", "n", "traced", *GROUPS, "wrong", "z mean", "z tenth", "goal"]
    print("\n| " + " | ".join(heads) + " |\n" + "| --- " * len(heads) + "|")
    for attack in table:
        rows: dict[str, list[bool]] = {group: [] for group in GROUPS}
        z, wrong = [], 0
        step = max(len(made.clips) // full, 1) if attack.stretched else 1
        for k in range(0, len(made.clips), step):
            audio = made.copy(k, attack)
            if audio is None:
                continue
            found = made.mark.read(audio, RATE, "full" if attack.stretched else "plain")
            own = nearest(found, made.tags[k : k + 1])
            bound = false_match_bound(own.z, len(made.tags), len(found)) if own else 1.0
            rows[made.clips[k].group].append(bound <= ACCEPT_BOUND)
            z.append(own.z if own else 0.0)
            if k // step < scan:
                best = nearest(found, made.tags)
                wrong += bool(best and best.accepted and best.index != k)
        every = [each for group in rows.values() for each in group]
        shares = [f"{np.mean(group):.1%}" if group else "-" for group in (every, *rows.values())]
        goal = f"{attack.target_alone:.0%}" if attack.target_alone else "-"
        figures = [f"{np.mean(z):.1f}", f"{np.percentile(z, 10):.1f}", goal]
        print("| " + " | ".join([attack.label, str(len(z)), *shares, str(wrong), *figures]) + " |", flush=True)


def chance(made: Marked, scan: int) -> None:
    """Prints how z is spread for tags that are not there: in unmarked clips, and other tags in marked ones."""
    count = min(len(made.tags), 1_000_000)
    others = signs(made.tags[-count:])
    for name in ("unmarked", "marked, other tags"):
        largest, second, fourth, total = 0.0, 0.0, 0.0, 0
        for k in range(0, len(made.clips), max(len(made.clips) // scan, 1)):
            clip = made.clips[k]
            audio = made.marked(k, 5) if name != "unmarked" else resampled(clip.first(5), clip.rate, RATE)
            for reading in made.mark.read(audio, RATE)[:8]:
                z = others @ (reading.bits / np.linalg.norm(reading.bits))
                largest, total = max(largest, float(z.max())), total + count
                second, fourth = second + float(np.sum(z**2)), fourth + float(np.sum(z**4))
        expected = np.sqrt(2 * np.log(total))
        print(
            f"{name}: {total:.1e} comparisons, variance {second / total:.4f} (normal: 1), fourth moment"
            f" {fourth / total:.3f} (normal: 3), largest z {largest:.2f} (below {expected:.2f} expected)"
        )


def log_spectral_distance(a: Floats, b: Floats) -> float:
    """Rms difference of log spectra in dB over frames and bins within 50 dB of the peak."""
    first, second = (10 * np.log10(power(stft(x)) + 1e-9) for x in (a, b))
    return float(np.sqrt(np.mean((first - second)[first > first.max() - 50] ** 2)))


def quality(pairs: list[tuple[Floats, Floats]]) -> None:
    """Prints what the mark does to the sound."""
    changes = [cleanness(marked).overall - cleanness(plain).overall for plain, marked in pairs]
    distances = [log_spectral_distance(plain, marked) for plain, marked in pairs]
    print(f"\nDNSMOS overall: change {np.mean(changes):+.3f} on average, {min(changes):+.3f} at worst")
    print(f"log-spectral distance: {np.mean(distances):.2f} dB on average, {max(distances):.2f} at worst")
    if importlib.util.find_spec("pesq"):
        from pesq import pesq

        scores = [pesq(RATE, plain, marked, "wb") for plain, marked in pairs]
        print(f"PESQ-WB: {np.mean(scores):.2f} on average, {min(scores):.2f} at worst")


def seconds(work: Callable[[], object]) -> float:
    """Processor time of one call: what it costs of one core, also on a busy machine."""
    start = time.process_time()
    work()
    return time.process_time() - start


def cost(made: Marked) -> None:
    """Prints what marking, reading and matching take, on ten engine clips at their own rate where there are so many."""
    mark, tags, own = made.mark, made.tags, made.tags[0].tobytes()
    chosen = range(max(len(made.clips) - 10, 0), len(made.clips))
    plain = [(made.clips[k].first(5), made.clips[k].rate) for k in chosen]
    marked = [made.marked(k, 5) for k in chosen]
    total = sum(len(clip) / rate for clip, rate in plain)
    ten = np.concatenate(marked[:2])
    embed_s = seconds(lambda: [mark.embed(clip, rate, own) for clip, rate in plain])
    checked_s = seconds(lambda: [assure.embed_checked(mark, clip, rate, own) for clip, rate in plain])
    read_s = seconds(lambda: [mark.read(clip, RATE) for clip in marked])
    full_s, plain_s = seconds(lambda: mark.read(ten, RATE, "full")), seconds(lambda: mark.read(ten, RATE))
    readings = mark.read(ten, RATE)
    nearest_s = seconds(lambda: nearest(readings, tags))
    print(f"share of real time on one core: embed {embed_s / total:.2%}, plain read {read_s / total:.2%},", end=" ")
    print(f"embed with self-test {checked_s / total:.1%}; ten seconds: plain read {plain_s:.2f} s,", end=" ")
    print(f"full {full_s:.2f} s, its {len(readings)} readings among {len(tags)} tags {nearest_s:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--each", type=int, default=4, help="clips of each voice at most")
    parser.add_argument("--full", type=int, default=30, help="clips for the attacks that need the full search")
    parser.add_argument("--tags", type=int, default=10_000_000)
    parser.add_argument("--scan", type=int, default=4, help="clips of each attack that all tags are scanned for")
    parser.add_argument("--strength", type=float, default=STRENGTH_DB, help="dB")
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    tags = rng.integers(0, 256, (options.tags, 16), dtype=np.uint8)
    clips = heard(options.shared, options.corpus, options.each)
    made = Marked(Watermark(rng.bytes(32)), clips, tags, options.strength, Materials(options.shared))
    sizes = ", ".join(f"{group}: {sum(clip.group == group for clip in made.clips)}" for group in GROUPS)
    print(f"clips {sizes}; {options.strength} dB; {len(tags)} tags; accepted from z {accept_z(len(tags), 24):.2f}")
    cost(made)
    chance(made, 12)
    at_16k = [resampled(clip.first(5), clip.rate, RATE) for clip in made.clips[::4]]
    quality([(plain, made.marked(4 * k, 5)) for k, plain in enumerate(at_16k)])
    table = [attack for attack in suite() if attack.target_alone or attack.key in EXTRA]
    robustness(made, table, options.scan, options.full)


if __name__ == "__main__":
    main()
