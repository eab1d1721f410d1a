"""Searching segments: which places have many pairs in common with the query, at one offset in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.index.segment import Segment
from workers.marks.alignment import Candidate
from workers.marks.fingerprint import Query
from workers.marks.landmarks import BINS_PER_OCTAVE, QUERY_PAIRS, Pairs

Ints = NDArray[np.int64]

PLAIN = (0, 1.0)
_SPEEDS = range(-8, 9)  # bins of 1/48 octave: 0.89 to 1.12
_PITCHES = range(-9, 10)  # -2.25 to +2.25 semitones
_TEMPOS = (0.88, 0.9, 0.92, 0.94, 0.96, 0.98, 1.02, 1.04, 1.06, 1.08, 1.1, 1.12)
VARIANTS: tuple[tuple[int, float], ...] = (
    *((-k, 2 ** (k / BINS_PER_OCTAVE)) for k in _SPEEDS if k),
    *((0, tempo) for tempo in _TEMPOS),
    *((-k, 1.0) for k in _PITCHES if k),
)
"""(shift, stretch) of the query's pairs for copies that are faster, of another tempo, or higher; see landmarks.pair."""

VARIANT_PAIRS, VARIANT_PAIRS_LEAST, VARIANT_PAIRS_IN_ALL = 150, 60, 900
"""Pairs per second that a variant is searched with, the strongest; fewer of a query beyond 6 s, which has enough."""
_SURE_HITS = 25
"""A plain match of so many pairs needs no search over speed and pitch."""
_BIN = 4  # frames: places are counted in bins of 40 ms, two neighbours together
_LEAST_HITS = 4
_AHEAD = 1 << 17  # frames: more than a query is long, so that offsets are positive
_TABLE_MOST = 22  # bits
_READ_AHEAD = 2  # files: the system reads the next one while this one is searched
_POSTINGS_MOST = 1 << 20  # of one variant in one segment, the rarest codes first: bounds time and memory


@dataclass(frozen=True)
class _Place:
    segment: Segment
    item: int
    bin: int
    hits: int
    shift: int
    stretch: float


@dataclass(frozen=True)
class Asked:
    """The pairs of one variant: each code once, and at which frames of the original's time the query has it."""

    codes: Ints  # sorted
    first: Ints  # of each code among the frames
    counts: Ints
    frames: Ints
    shift: int
    stretch: float

    @classmethod
    def of(cls, pairs: Pairs, shift: int, stretch: float) -> Asked:
        order = np.argsort(pairs.code, kind="stable")
        codes, first = np.unique(pairs.code[order], return_index=True)
        counts = np.diff(np.append(first, len(order)))
        frames = np.rint(pairs.frame[order] * stretch).astype(np.int64)
        return cls(codes.astype(np.int64), first, counts, frames, shift, stretch)


def search(segments: Sequence[Segment], query: Query, most: int = 20, *, thorough: bool = False) -> list[Candidate]:
    """The `most` best places, best first, one per number and about one offset.

    The plain query first; unless that finds a sure match (or with `thorough` in any case), also its variants in
    speed, tempo and pitch. A hit is a pair in common at the place's offset; other clips have some by chance.
    """
    places = look(segments, [Asked.of(query.pairs(QUERY_PAIRS), *PLAIN)], 8 * most)
    if thorough or max((place.hits for place in places), default=0) < _SURE_HITS:
        places += look(segments, variants(query), 8 * most)
    return distinct(places, most)


def variants(query: Query) -> list[Asked]:
    """The query as a copy that is faster, of another tempo, or higher."""
    fair = int(VARIANT_PAIRS_IN_ALL / max(query.seconds, 1.0))
    per_second = min(max(fair, VARIANT_PAIRS_LEAST), VARIANT_PAIRS)
    return [Asked.of(query.pairs(per_second, *variant), *variant) for variant in VARIANTS]


def distinct(places: list[_Place], most: int) -> list[Candidate]:
    """The best place of each number and second of offset, as candidates."""
    found: dict[tuple[int, int], Candidate] = {}
    for place in sorted(places, key=lambda place: -place.hits):
        row = place.segment.items[place.item]
        offset = float(int(row["first"]) + (place.bin + 1) * _BIN - _AHEAD)
        candidate = Candidate(int(row["number"]), place.hits, place.shift, place.stretch, offset)
        if not any((candidate.number, round(offset / 100) + near) in found for near in (-1, 0, 1)):
            found[candidate.number, round(offset / 100)] = candidate
        if len(found) == most:
            break
    return list(found.values())


def look(segments: Sequence[Segment], asked: Sequence[Asked], most: int) -> list[_Place]:
    """The `most` best places with at least four hits.

    Segment after segment: so each page of a file is mapped once, and only those of one file at a time.
    """
    places: list[_Place] = []
    for number, segment in enumerate(segments):
        if len(asked) > 1:  # these need most pages, which one by one would take long to read
            for each in segments[number : number + _READ_AHEAD]:
                each.prefetch()
        for variant in asked:
            found = _places(segment, variant)
            places += [_Place(segment, i, b, hits, variant.shift, variant.stretch) for i, b, hits in found]
        segment.release()
        places = sorted(places, key=lambda place: -place.hits)[:most]
    return places


def _places(segment: Segment, asked: Asked) -> list[tuple[int, int, int]]:
    """(item, bin, hits) of one variant in one segment."""
    if not len(asked.codes):
        return []
    which, item, frame = segment.find(asked.codes, _POSTINGS_MOST)
    if int(asked.counts.max()) > 1:  # a code that the query has several times
        times = asked.counts[which]
        item, frame = np.repeat(item, times), np.repeat(frame, times)
        within = np.arange(len(item)) - np.repeat(np.cumsum(times) - times, times)
        ours = asked.frames[np.repeat(asked.first[which], times) + within]
    else:
        ours = asked.frames[asked.first[which]]
    return _crowded(item, frame - ours)


def _crowded(item: Ints, offset: Ints) -> list[tuple[int, int, int]]:
    """(item, bin, hits) where a bin of offsets and the next have at least _LEAST_HITS together."""
    if len(item) < _LEAST_HITS:
        return []
    bins = (offset + _AHEAD) // _BIN
    bits = min(max(len(item).bit_length(), 10), _TABLE_MOST)
    mask = (1 << bits) - 1
    # First roughly, in a table that places share: only where that has enough can a place have enough.
    slot = (item * 0x9E3779B1 + bins) & mask
    table = np.minimum(np.bincount(slot, minlength=mask + 1), _LEAST_HITS).astype(np.uint8)
    near = table + np.roll(table, -1)
    near = np.maximum(near, np.roll(near, 1))
    kept = np.flatnonzero(near[slot] >= _LEAST_HITS)
    keys, hits = np.unique((item[kept] << 20) | bins[kept], return_counts=True)
    if not len(keys):
        return []
    following = np.searchsorted(keys, keys + 1)
    ends = np.minimum(following, len(keys) - 1)
    both = hits + np.where(keys[ends] == keys + 1, hits[ends], 0)
    best = np.flatnonzero(both >= _LEAST_HITS)
    best = best[np.argsort(-both[best], kind="stable")[:200]]
    return [(int(keys[k] >> 20), int(keys[k] & 0xFFFFF), int(both[k])) for k in best]
