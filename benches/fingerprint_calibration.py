"""How often a fingerprint's check says yes where it must not, and how often it says no where it must not.

    python -m benches.fingerprint_calibration ask CLIPS --shared ../shared --out folder [--part 0 --parts 2]
    python -m benches.fingerprint_calibration report --out folder

CLIPS is a folder of benches.trace.corpus. Queries of 2, 3 and 5 seconds, each through one of the attacks, are aligned
by force with clips that they are no copies of: at the best offset of the sketch under every third of the changes that
a search tries, and at the three places with most pairs of peaks in common under every change. So each pair of query
and clip has a chance that in a real search only few get. Kinds of pairs: another text of the same voice (no two words
in common), the same text in another voice (also whole clips, of 4 to 8 seconds), human speech, and everything but
speech. Copies are searched for in an index of all clips and of pieces of human speech. Everything is drawn from the
names of the clips: each run gives the same. The report is Markdown. Two processes take half an hour.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft

from benches.fingerprint_scale import load
from benches.trace import attacks
from benches.trace.attacks import RATE, Floats, resampled
from benches.trace.corpus import COMMON, Spoken, catalogue
from benches.trace.materials import Materials, excerpt
from workers.index import Candidate, Index, lookup
from workers.index.lookup import PLAIN, VARIANTS
from workers.marks import alignment, fingerprint, sketch
from workers.marks.alignment import Change
from workers.marks.fingerprint import Fingerprint, Query, parse
from workers.marks.landmarks import QUERY_PAIRS

SECONDS = (2, 3, 5)
WHOLE = 10
"""Seconds that no clip of the common text has: queries of whole clips."""
CLIP_RATE = 24_000
PIECE = 8  # seconds of human speech that are an entry of the index
FIRST_PERSON = 1000
_SIZE = 1600  # slots, of the transforms: a clip and a query
_PLACES, _PLACES_IN_ALL, _EVERY = 3, 5000, 3
_DRAWS = {"same text, other voice": 12, "same voice, other text": 4, "human speech": 3, "no speech": 3}
_CLIPS_OF_EACH = 24  # that human speech and noises are compared to

Attack = Callable[[Floats, np.random.Generator, Materials], Floats]
_SEMITONE = 2 ** (1 / 12)
ATTACKS: dict[str, tuple[Attack, Change]] = {
    "none": (lambda x, _, __: x, (1.0, 1.0)),
    "MP3 32k": (lambda x, _, __: attacks.mp3(x, 32), (1.0, 1.0)),
    "Opus 16k": (lambda x, _, __: attacks.opus(x, 16), (1.0, 1.0)),
    "G.711": (lambda x, _, __: attacks.g711(x), (1.0, 1.0)),
    "GSM": (lambda x, _, __: attacks.gsm(x), (1.0, 1.0)),
    "white noise 20 dB": (lambda x, rng, _: attacks.added(x, attacks.coloured(len(x), rng, 0), 20), (1.0, 1.0)),
    "white noise 10 dB": (lambda x, rng, _: attacks.added(x, attacks.coloured(len(x), rng, 0), 10), (1.0, 1.0)),
    "babble 10 dB": (lambda x, rng, has: attacks.added(x, _bed(has.babble, x, rng), 10), (1.0, 1.0)),
    "synthetic room 0.4 s": (lambda x, rng, _: attacks.room(x, attacks.decay(0.4, rng)), (1.0, 1.0)),
    "synthetic room 0.6 s": (lambda x, rng, _: attacks.room(x, attacks.decay(0.6, rng)), (1.0, 1.0)),
    "room rir1": (lambda x, _, has: attacks.room(x, has.rooms["rir1"]), (1.0, 1.0)),
    "room rir3": (lambda x, _, has: attacks.room(x, has.rooms["rir3"]), (1.0, 1.0)),
    "other speech 0 dB": (lambda x, rng, has: attacks.added(x, _bed(has.anyone(rng), x, rng), 0), (1.0, 1.0)),
    "other speech -5 dB": (lambda x, rng, has: attacks.added(x, _bed(has.anyone(rng), x, rng), -5), (1.0, 1.0)),
    "music 0 dB": (lambda x, rng, has: attacks.added(x, _bed(has.music(rng), x, rng), 0), (1.0, 1.0)),
    "speed 0.9": (lambda x, _, __: attacks.speed(x, 0.9), (0.9, 0.9)),
    "speed 1.05": (lambda x, _, __: attacks.speed(x, 1.05), (1.05, 1.05)),
    "speed 1.1": (lambda x, _, __: attacks.speed(x, 1.1), (1.1, 1.1)),
    "tempo 0.9": (lambda x, _, __: attacks.tempo(x, 0.9), (0.9, 1.0)),
    "tempo 1.1": (lambda x, _, __: attacks.tempo(x, 1.1), (1.1, 1.0)),
    "pitch +1": (lambda x, _, __: attacks.pitch(x, 1), (1.0, _SEMITONE)),
    "pitch +2": (lambda x, _, __: attacks.pitch(x, 2), (1.0, _SEMITONE**2)),
    "pitch -2": (lambda x, _, __: attacks.pitch(x, -2), (1.0, _SEMITONE**-2)),
}


def _bed(sound: Floats, audio: Floats, rng: np.random.Generator) -> Floats:
    return excerpt(sound, len(audio) / RATE, rng)[0]


@dataclass(frozen=True)
class Asked:
    """A query that is no copy of `clips`, or is one of its `source` where there are none."""

    kind: str
    seconds: int
    attack: str
    audio: Floats
    source: int
    begin: float
    clips: Sequence[int]

    @cached_property
    def query(self) -> Query:
        """As it is searched for."""
        return Query(self.audio, RATE)


class Corpus:
    """The clips, their fingerprints and an index of them."""

    def __init__(self, folder: Path, shared: Path, index: Path) -> None:
        """Makes all fingerprints."""
        self.folder, self.clips, self.materials = folder, catalogue(folder), Materials(shared)
        self.data = {n: fingerprint.make(load(folder, each), CLIP_RATE) for n, each in enumerate(self.clips)}
        self.prints: list[Fingerprint] = [parse(data) for data in self.data.values()]
        self.people = self.materials.people()
        pieces = [x[s : s + PIECE * RATE] for x in self.people.values() for s in range(0, len(x), PIECE * RATE)]
        self.own = Index(index / "own")
        self.own.add(self.data.items())
        self.data |= {FIRST_PERSON + n: fingerprint.make(piece, RATE) for n, piece in enumerate(pieces)}
        self.all = Index(index / "all")
        self.all.add(self.data.items())
        self.transforms = np.stack(
            [scipy.fft.rfft(sketch.signs(each.sketch), _SIZE, axis=0).astype(np.complex64) for each in self.prints]
        )

    def audio(self, number: int) -> Floats:
        """A clip at the rate of attacks."""
        return resampled(load(self.folder, self.clips[number]), CLIP_RATE, RATE)

    def asked(self) -> Iterator[Callable[[], Asked]]:
        """All queries; each is made when it is called."""
        common_text = [n for n, each in enumerate(self.clips) if each.name.endswith(f"-{COMMON}")]
        words = [_words(each) for each in self.clips]
        turn = 0
        for draw in range(_DRAWS["same text, other voice"]):
            for number in common_text:
                turn += 1
                apart = [n for n in common_text if n != number]
                yield self._from_clip("same text, other voice", WHOLE, turn + draw, draw, number, apart)
        for seconds in SECONDS:
            for number, clip in enumerate(self.clips):
                others = [n for n, each in enumerate(self.clips) if each.voice == clip.voice and n != number]
                apart = [n for n in others if not words[n] & words[number]]
                sets: list[tuple[str, list[int]]] = [("same voice, other text", apart)]
                if number in common_text:
                    sets.append(("same text, other voice", [n for n in common_text if n != number]))
                for kind, clips in sets:
                    for draw in range(_DRAWS[kind] if clips else 0):
                        turn += 1
                        yield self._from_clip(kind, seconds, turn, draw, number, clips)
                turn += 1
                yield self._from_clip("copy", seconds, turn, 0, number, ())
            for kind, sounds in (("human speech", self.people), ("no speech", self.materials.unspoken())):
                for name, sound in sounds.items():
                    for draw in range(_DRAWS[kind]):
                        turn += 1
                        yield self._from_sound(kind, seconds, turn, draw, name, sound)

    def _from_clip(
        self, kind: str, seconds: int, turn: int, draw: int, number: int, clips: Sequence[int]
    ) -> Callable[[], Asked]:
        def make() -> Asked:
            rng = _chance(kind, seconds, draw, self.clips[number].name)
            audio, begin = excerpt(self.audio(number), seconds, rng)
            return self._attacked(kind, seconds, turn, audio, number, begin, clips, rng)

        return make

    def _from_sound(
        self, kind: str, seconds: int, turn: int, draw: int, name: str, sound: Floats
    ) -> Callable[[], Asked]:
        def make() -> Asked:
            rng = _chance(kind, seconds, draw, name)
            clips = [int(n) for n in rng.choice(len(self.clips), _CLIPS_OF_EACH, replace=False)]
            audio, begin = excerpt(sound, seconds, rng)
            return self._attacked(kind, seconds, turn, audio, -1, begin, clips, rng)

        return make

    def _attacked(
        self,
        kind: str,
        seconds: int,
        turn: int,
        audio: Floats,
        source: int,
        begin: float,
        clips: Sequence[int],
        rng: np.random.Generator,
    ) -> Asked:
        attack = list(ATTACKS)[turn % len(ATTACKS)]
        heard = ATTACKS[attack][0](audio, rng, self.materials)
        return Asked(kind, seconds, attack, heard, source, begin, clips)


def _words(clip: Spoken) -> set[tuple[str, str]]:
    """Every two words that follow each other."""
    words = [word.strip(".,").lower() for word in clip.text.split()]
    return set(pairwise(words))


def _chance(*names: object) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(repr(names).encode()))


# negatives


def forced(corpus: Corpus, asked: Asked) -> list[dict[str, Any]]:
    """For each clip, the best scores of a query that is no copy of it."""
    by_sketch, by_pairs = _by_sketch(corpus, asked), _by_pairs(corpus, asked)
    rows = []
    for clip in asked.clips:
        print_of = corpus.prints[clip]
        places = [(*place, 0) for place in by_sketch[clip]]
        places += [(c.speed, float(-c.shift), c.offset, c.hits) for c in by_pairs.get(clip, [])]
        seen = [_scores(asked.query, print_of, *place) for place in places]
        told = alignment.agrees(asked.query, corpus.data[clip], [ATTACKS[asked.attack][1]])
        rows.append(
            {
                "kind": asked.kind,
                "seconds": asked.seconds,
                "attack": asked.attack,
                "voice": corpus.clips[clip].voice,
                "source": corpus.clips[asked.source].voice if asked.source >= 0 else "",
                "places": [each for each in seen if each is not None],
                "agrees": told is not None,
            }
        )
    return rows


def _scores(
    query: Query, original: Fingerprint, speed: float, shift: float, offset: float, hits: int
) -> tuple[float, int, float, float] | None:
    """(score of the sketch, pairs in common, seconds, agreement) as `verify` would have them."""
    candidate = Candidate(0, hits, -round(shift), speed, offset)
    speed, offset, hits = alignment._fit(query, original, candidate)
    best = alignment._around(query, original, speed, offset, shift)
    if best is None:
        return None
    return round(best.score, 2), hits, round((best.end - best.start) / 100, 2), round(best.agreement, 4)


def _by_pairs(corpus: Corpus, asked: Asked) -> dict[int, list[Candidate]]:
    """The places of each clip with most pairs in common."""
    asked_for = [lookup.Asked.of(asked.query.pairs(QUERY_PAIRS), *PLAIN), *lookup.variants(asked.query)]
    places = lookup.look(corpus.own.segments, asked_for, _PLACES_IN_ALL)
    found: dict[int, list[Candidate]] = {}
    for candidate in lookup.distinct(places, len(places) + 1):
        mine = found.setdefault(candidate.number, [])
        if len(mine) < _PLACES:
            mine.append(candidate)
    return found


def _by_sketch(corpus: Corpus, asked: Asked) -> dict[int, list[tuple[float, float, float]]]:
    """(speed, shift, offset) of each clip's best places by correlation of the sketch."""
    found: dict[int, list[tuple[float, tuple[float, float, float]]]] = {clip: [] for clip in asked.clips}
    least = int(alignment.LEAST_SECONDS * sketch.SLOTS_PER_SECOND)
    for bins, speed in [PLAIN, *VARIANTS[::_EVERY]]:
        count = int(asked.query.bands.frames * speed / sketch.SLOT)
        if count < least:
            continue
        heard = sketch.pattern(asked.query.bands.slots(0, sketch.SLOT / speed, count, -float(bins)))
        transform = np.conj(scipy.fft.rfft(heard, _SIZE, axis=0))
        energy = np.concatenate([[0.0], np.cumsum(np.sum(heard * heard, axis=1))])
        for clip in asked.clips:
            slots = len(corpus.prints[clip].sketch)
            lags = np.arange(least - count, slots - least + 1)
            agreement = scipy.fft.irfft(np.einsum("fb,fb->f", corpus.transforms[clip], transform), _SIZE)[lags]
            shared = energy[np.minimum(count, slots - lags)] - energy[np.maximum(0, -lags)]
            value = agreement / np.sqrt(shared + 1e-9)
            at = int(np.argmax(value))
            found[clip].append((float(value[at]), (speed, -float(bins), float(lags[at] * sketch.SLOT))))
    return {clip: [place for _, place in sorted(each, reverse=True)[:2]] for clip, each in found.items()}


# copies


def searched(corpus: Corpus, asked: Asked) -> list[dict[str, Any]]:
    """What the search and the check make of a copy."""
    true = corpus.clips[asked.source]
    candidates = corpus.all.search(asked.query, thorough=True)
    change = ATTACKS[asked.attack][1]
    seen = []
    for rank, each in enumerate(candidates):
        score = _scores(
            asked.query, parse(corpus.data[each.number]), each.speed, float(-each.shift), each.offset, each.hits
        )
        right = each.number == asked.source and abs(each.offset / 100 - asked.begin) < 0.3
        seen.append((rank, each.number, right, each.hits, score))
    told = alignment.agrees(asked.query, corpus.data[asked.source], [change])
    row = {"kind": "copy", "seconds": asked.seconds, "attack": asked.attack, "voice": true.voice, "seen": seen}
    return [row | {"agrees": told is not None}]


def run(options: argparse.Namespace) -> None:
    """Ask every query of this part, and write what came out."""
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, (options.out / f"part{options.part}.jsonl").open("w") as out:
        corpus = Corpus(options.clips, options.shared, Path(folder))
        makers = list(corpus.asked())
        order = np.random.default_rng(0).permutation(len(makers))
        for k in order[options.part :: options.parts]:
            asked = makers[k]()
            for row in searched(corpus, asked) if asked.kind == "copy" else forced(corpus, asked):
                out.write(json.dumps(row) + "\n")


# what came out


def _score(place: Sequence[float]) -> float:
    return place[0] + alignment._worth(int(place[1]), place[2])


def report(folder: Path) -> str:
    """Tables of what the parts in a folder say, in Markdown."""
    rows = [json.loads(line) for path in sorted(folder.glob("part*.jsonl")) for line in path.open()]
    lines = ["| pairs that are no copies | seconds | pairs | 99 % | 99.9 % | largest | `agrees` |", f"|{'---|' * 7}"]
    for kind in _DRAWS:
        for seconds in (*SECONDS, WHOLE):
            these = [row for row in rows if (row["kind"], row["seconds"]) == (kind, seconds)]
            if these:
                best = [max(map(_score, row["places"]), default=-math.inf) for row in these]
                high = " | ".join(f"{value:.1f}" for value in np.percentile(best, [99, 99.9, 100]))
                said = np.mean([row["agrees"] for row in these])
                length = "whole" if seconds == WHOLE else seconds
                lines.append(f"| {kind} | {length} | {len(these):,} | {high} | {said:.2%} |")
    return "\n".join([*lines, "", *_tail(rows), "", *_copies(rows)]) + "\n"


def _tail(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The worst kind, by halves of the voices, beside what `false_rate` says for one pair."""
    worst = [row for row in rows if row["kind"] == "same text, other voice"]
    sets = [[row for row in worst if zlib.crc32(row["source"].encode()) % 2 == half] for half in (0, 1)]
    sets.append([row for row in worst if row["seconds"] == WHOLE])
    best = [np.array([max(map(_score, row["places"]), default=-math.inf) for row in each]) for each in sets]
    yield "| score | half of the voices | the other half | whole clips | `false_rate`, a pair |"
    yield f"|{'---|' * 5}"
    for score in (5, 10, 15, 20, 25, 30, 35, 40):
        cells = [f"{int(np.sum(each >= score))} of {len(each):,} ({np.mean(each >= score):.1e})" for each in best]
        yield f"| {score} | {' | '.join(cells)} | {alignment.false_rate(score) / alignment._CANDIDATES:.1e} |"


def _copies(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield "| copies: found / verified / with a false rate of 1e-4 / `agrees` | 2 s | 3 s | 5 s |"
    yield f"|{'---|' * 4}"
    for attack in ["all", *ATTACKS]:
        yield f"| {attack} | " + " | ".join(_copies_of(rows, attack, seconds) for seconds in SECONDS) + " |"


def _copies_of(rows: Sequence[dict[str, Any]], attack: str, seconds: int) -> str:
    these = [
        row for row in rows if (row["kind"], row["seconds"]) == ("copy", seconds) and attack in ("all", row["attack"])
    ]
    if not these:
        return ""
    best = [
        max((_score(place) for _, _, right, _, place in row["seen"] if right and place), default=None) for row in these
    ]
    there = np.array([score if score is not None else -math.inf for score in best])
    sure = np.array([alignment.false_rate(score) <= 1e-4 for score in there])
    shares = (np.isfinite(there), there >= alignment.ACCEPT_SCORE, sure, [row["agrees"] for row in these])
    return f"{len(these)}: " + " / ".join(f"{np.mean(each) * 100:.0f}" for each in shares) + " %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("ask", "report"))
    parser.add_argument("clips", type=Path, nargs="?")
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    options = parser.parse_args()
    if options.what == "ask":
        run(options)
    else:
        print(report(options.out))


if __name__ == "__main__":
    main()
