"""What somebody without the key learns from many marked clips, and what that does to the mark.

OMP_NUM_THREADS=1 python -m benches.mark_attacks --speech ../shared/speech/cohort --counts 10,100,1000

The attacker knows all of workers/marks but the key. They have N clips with unknown tags of one key epoch, with or
without the same clips unmarked, see them as cells, line each up with the mean of those before it, and average. "Pilot"
is how well the estimate agrees with the true pilot (correlation over the pattern at its best turn; 1 is all of it),
"bits" how much of the energy of a true bit's pattern lies in the 128 strongest directions of what is left (1 is all of
it; 128 random ones of the pattern's 2800 dimensions hold 0.05). Then the estimate is taken out of a fresh marked clip,
as strongly as a mark is put in, and the clip is read among 10^5 tags.

Where there are fewer recordings than clips, recordings are cut at other places and used again, always with other tags.
The other tables: the mean of twins, a second marking, and a mark moved to foreign speech.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benches.mark_training import untrained
from benches.trace.attacks import load
from workers.marks import assure, shaping, spectrum
from workers.marks.detect import Reading
from workers.marks.matching import Match, nearest
from workers.marks.spectrum import BANDS, PERIOD, RATE, SLOT, WINDOW, Floats
from workers.marks.watermark import Watermark

SECONDS = 5
TAGS = 100_000
FRESH = 12  # clips that are attacked with what was learnt
ROUNDS = 2  # of lining up and averaging


def energies_of(audio: Floats) -> Floats:
    """What the attacker sees: log band energies, (frames, BANDS)."""
    return spectrum.band_energies(spectrum.power(spectrum.stft(np.pad(spectrum.levelled(audio), (WINDOW, WINDOW)))))


def cells_of(audio: Floats) -> Floats:
    """Mean energies of the cells, (slots, BANDS)."""
    return np.asarray(spectrum.cells(energies_of(audio))[0], dtype=np.float32)


def differences(marked: Floats, original: Floats | None) -> Floats:
    """The attacker's view of the mark in one clip: against its original, or whitened."""
    if original is not None:
        known = cells_of(marked) - cells_of(original)
        return np.asarray(np.clip(known - known.mean(axis=0), -6, 6), dtype=np.float32)
    return untrained.evidence(energies_of(marked))


def around(view: Floats, start: int = 0) -> Floats:
    """A view laid out over one period, its first slot at `start`."""
    out = np.zeros((PERIOD, BANDS), np.float32)
    np.add.at(out, (start + np.arange(len(view))) % PERIOD, view)
    return out


def turns(first: Floats, second: Floats) -> Floats:
    """Agreement of two periods for each turn of the second, (PERIOD,)."""
    product = np.fft.rfft(first, axis=0) * np.conj(np.fft.rfft(second, axis=0))
    return np.asarray(np.fft.irfft(product.sum(axis=1), n=PERIOD), dtype=np.float32)


def learnt(views: Sequence[Floats]) -> tuple[Floats, list[int]]:
    """The mean of all views, each turned to agree best with the mean of the others, and the turns."""
    laid = [around(view) for view in views]
    total, places = laid[0].copy(), [0] * len(laid)
    for turn in range(ROUNDS + 1):
        for k, view in enumerate(laid):
            if turn == 0 and k == 0:
                continue
            if turn:
                total -= np.roll(view, places[k], axis=0)
            places[k] = int(np.argmax(turns(total, view)))
            total += np.roll(view, places[k], axis=0)
    return np.asarray(total / len(laid), dtype=np.float32), places


def directions(views: Sequence[Floats], places: Sequence[int], mean: Floats) -> Floats:
    """The 128 strongest directions of what is left of the views without their mean: (128, PERIOD * BANDS)."""
    left = np.array([(np.roll(around(v), p, axis=0) - mean).ravel() for v, p in zip(views, places, strict=True)])
    _, _, rows = np.linalg.svd(left, full_matrices=False)
    return np.asarray(rows[:128], dtype=np.float32)


def pilot_agreement(mark: Watermark, mean: Floats) -> tuple[float, int]:
    """Correlation with the true pilot at the best turn, and the turn."""
    pilot = mark.pattern.chips[0]
    found = turns(mean, pilot)
    turn = int(np.argmax(found))
    return float(found[turn] / (np.linalg.norm(mean) * np.linalg.norm(pilot) + 1e-9)), turn


def bits_share(mark: Watermark, rows: Floats, turn: int) -> float:
    """Mean share of a bit's pattern that lies in the attacker's directions."""
    bits = np.roll(mark.pattern.chips[1:], turn, axis=1).reshape(128, -1)
    bits = bits / np.linalg.norm(bits, axis=1, keepdims=True)
    return float(np.mean(np.sum((bits @ rows.T) ** 2, axis=1)))


def removed(marked: Floats, view: Floats, mean: Floats, rows: Floats | None) -> Floats:
    """The clip with the estimate taken out: the mean at its best place and, with `rows`, what lies along them."""
    laid = around(view)
    place = int(np.argmax(turns(laid, mean)))
    estimate = np.roll(mean, place, axis=0).ravel()
    size = np.linalg.norm(estimate) + 1e-9
    gains = estimate * (laid.ravel() @ estimate) / size**2
    if rows is not None:
        turned = np.roll(rows.reshape(-1, PERIOD, BANDS), place, axis=1).reshape(len(rows), -1)
        gains = gains + (turned @ laid.ravel()) @ turned
    gains = gains.reshape(PERIOD, BANDS)
    slots = len(view)
    wanted = -gains[np.arange(slots) % PERIOD]
    rms = float(np.sqrt(np.mean(wanted**2))) + 1e-9
    wanted = np.clip(wanted * (3.0 / rms), -6, 6)  # as strong as a mark: what it costs the sound, a mark costs
    return with_gains(marked, np.asarray(wanted, dtype=np.float32))


def with_gains(audio: Floats, gains: Floats) -> Floats:
    """The audio with these gains of cells in dB, (slots, BANDS)."""
    padded = np.pad(audio, (WINDOW, 2 * WINDOW + SLOT * spectrum.HOP))
    spectra = spectrum.stft(padded)
    slots = min(len(gains), len(spectra) // SLOT)
    return np.asarray((padded + shaping.audio_of(spectra, gains[:slots], len(padded)))[WINDOW : WINDOW + len(audio)])


class Bench:
    """Marked clips of one key, made as they are needed, and what becomes of them."""

    def __init__(self, recordings: list[Floats]) -> None:
        self._rng = np.random.default_rng(17)
        self._recordings = recordings
        self.mark = Watermark(self._rng.bytes(32))
        self.tags = self._rng.integers(0, 256, (TAGS, 16), dtype=np.uint8)
        self.originals: list[Floats] = []
        self.marked: list[Floats] = []

    def make(self, clips: int) -> None:
        """Have at least so many clips; clip k carries tag k."""
        for k in range(len(self.marked), clips):
            recording = self._recordings[k % len(self._recordings)]
            begin = int(self._rng.integers(0, max(len(recording) - SECONDS * RATE, 1)))
            self.originals.append(recording[begin : begin + SECONDS * RATE])
            self.marked.append(self.embed(self.originals[k], k))

    def embed(self, clip: Floats, row: int) -> Floats:
        """The clip with a tag of the list."""
        return self.mark.embed(clip, RATE, self.tags[row].tobytes())

    def readings(self, audio: Floats, rate: int = RATE) -> list[Reading]:
        """As a trace reads it."""
        return self.mark.read(audio, rate)

    def among_all(self, readings: list[Reading], without: Sequence[int] = ()) -> Match | None:
        """The nearest tag, perhaps of a list that lacks some."""
        return nearest(readings, np.delete(self.tags, list(without), axis=0) if without else self.tags)

    def own_z(self, readings: list[Reading], row: int) -> float:
        """Agreement with one tag."""
        match = nearest(readings, self.tags[row][None])
        return match.z if match else 0.0


def traced(bench: Bench, clips: Sequence[tuple[int, Floats]]) -> str:
    """Share of the clips that lead to their tag, as they are and by telephone, and the mean z."""
    out = []
    for change in (_unchanged, _telephone):
        found = [(row, bench.readings(*change(audio))) for row, audio in clips]
        matches = [(row, bench.among_all(readings)) for row, readings in found]
        hits = sum(match is not None and match.accepted and match.index == row for row, match in matches)
        own = np.mean([bench.own_z(readings, row) for row, readings in found])
        out.append(f"{hits} of {len(clips)} (z {own:.1f})")
    return " | ".join(out)


def _unchanged(audio: Floats) -> tuple[Floats, int]:
    return audio, RATE


def _telephone(audio: Floats) -> tuple[Floats, int]:
    return assure.telephone(audio, RATE)


def _low_bit_rate(audio: Floats) -> tuple[Floats, int]:
    return assure.low_bit_rate(audio, RATE)


def averaging(bench: Bench, counts: Sequence[int]) -> None:
    """The table of averages; the first FRESH clips are attacked and are not among those that are averaged."""
    print("| clips | originals | pilot | bits | pilot out: traced | by telephone | all out: traced | by telephone |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    bench.make(FRESH)
    fresh = range(FRESH)
    print(f"| 0 | | | | {traced(bench, [(k, bench.marked[k]) for k in fresh])} | | |", flush=True)
    blind = [differences(bench.marked[k], None) for k in fresh]
    for count in counts:
        bench.make(FRESH + count)
        for known in (False, True):
            own = zip(bench.marked[FRESH : FRESH + count], bench.originals[FRESH:], strict=False)
            views = [differences(marked, original if known else None) for marked, original in own]
            mean, places = learnt(views)
            rows = directions(views, places, mean)
            pilot, turn = pilot_agreement(bench.mark, mean)
            share = bits_share(bench.mark, rows, turn)
            cells = [
                traced(bench, [(k, removed(bench.marked[k], blind[k], mean, use)) for k in fresh])
                for use in (None, rows)
            ]
            said = "known" if known else "unknown"
            print(f"| {count} | {said} | {pilot:.2f} | {share:.2f} | {' | '.join(cells)} |", flush=True)


def twins(bench: Bench) -> None:
    """Two, three and four markings of the same audio, averaged sample by sample."""
    print("\n| mean of | at least one traced | all traced | another named |\n| --- | --- | --- | --- |")
    for count in (2, 3, 4):
        some = every = wrong = 0
        for k in range(FRESH):
            rows = [5000 + 10 * k + j for j in range(count)]
            mixed = np.mean([bench.embed(bench.originals[k], row) for row in rows], axis=0).astype(np.float32)
            readings = bench.readings(mixed)
            best = bench.among_all(readings)
            each = [bench.among_all(readings, [other for other in rows if other != row]) for row in rows]
            hits = [match is not None and match.accepted for match in each]
            some, every = some + any(hits), every + all(hits)
            wrong += best is not None and best.accepted and best.index not in rows
        print(f"| {count} twins | {some} of {FRESH} | {every} of {FRESH} | {wrong} |", flush=True)


def remarking(bench: Bench) -> None:
    """Marked once more, by the same key with another tag."""
    print("\n| marked twice, then | first tag traced | second tag traced | lowest z of both |")
    print("| --- | --- | --- | --- |")
    again = [bench.embed(bench.marked[k], 7000 + k) for k in range(FRESH)]
    for name, change in {"nothing": _unchanged, "telephone": _telephone, "Opus 12k": _low_bit_rate}.items():
        hits, lowest = [0, 0], 99.0
        for k, audio in enumerate(again):
            readings = bench.readings(*change(audio))
            for which, (row, other) in enumerate(((k, 7000 + k), (7000 + k, k))):
                match = bench.among_all(readings, [other])
                hits[which] += match is not None and match.accepted
                lowest = min(lowest, bench.own_z(readings, row))
        print(f"| {name} | {hits[0]} of {FRESH} | {hits[1]} of {FRESH} | {lowest:.1f} |", flush=True)


def copying(bench: Bench) -> None:
    """The mark of one clip, carried over to speech that was never marked."""
    print("\n| carried over to other speech | attributed to the marked clip's tag | mean z |\n| --- | --- | --- |")
    ways: dict[str, Callable[[int, Floats], Floats]] = {
        "residual against the original, added": lambda k, a: a + bench.marked[k] - bench.originals[k],
        "residual against a denoised copy, added": lambda k, a: a + bench.marked[k] - denoised(bench.marked[k]),
        "gains of cells against the original": lambda k, a: with_gains(
            a, differences(bench.marked[k], bench.originals[k])
        ),
    }
    for name, way in ways.items():
        found = [(k, bench.readings(way(k, bench.originals[FRESH + k]))) for k in range(FRESH // 2)]
        best = [(k, bench.among_all(readings)) for k, readings in found]
        hits = sum(match is not None and match.accepted and match.index == k for k, match in best)
        own = np.mean([bench.own_z(readings, k) for k, readings in found])
        print(f"| {name} | {hits} of {len(found)} | {own:.1f} |", flush=True)


def denoised(audio: Floats) -> Floats:
    """A guess at the unmarked clip: each cell's level smoothed over its neighbours in time."""
    cells = cells_of(audio)
    smooth = (np.roll(cells, 1, axis=0) + np.roll(cells, -1, axis=0)) / 2
    return with_gains(audio, np.asarray(np.clip((smooth - cells) / 2, -6, 6), dtype=np.float32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, required=True, help="folder of recordings")
    parser.add_argument("--counts", default="10,100,1000", help="how many clips the attacker has")
    given = parser.parse_args()
    counts = [int(count) for count in given.counts.split(",")]
    paths = sorted(path for kind in ("*.flac", "*.wav") for path in given.speech.rglob(kind))
    recordings = [audio for path in paths if len(audio := load(path)) >= SECONDS * RATE]
    bench = Bench(recordings)
    bench.make(2 * FRESH)
    twins(bench)
    remarking(bench)
    copying(bench)
    print()
    averaging(bench, counts)


if __name__ == "__main__":
    main()
