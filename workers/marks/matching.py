"""From soft bits to an issued tag, with the rate of false matches that the answer rests on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.marks.detect import Reading
from workers.marks.pattern import BITS, TAG_BYTES, signs
from workers.marks.spectrum import Floats

ACCEPT_BOUND = 1e-4  # at most so many wrong matches expected for one query, whatever the audio
_SHORTLIST = 512  # tags scored with soft bits: one that can be accepted is among the nearest few by hard bits
_BLOCK = 1 << 15  # tags compared at once: they stay in the processor's cache while every reading passes


@dataclass(frozen=True)
class Match:
    """The issued tag that fits best. A match is evidence only when `accepted`."""

    index: int  # row of the tag in the searched list
    z: float  # agreement of soft bits and tag, at most 11.3; like a standard normal for any other tag
    errors: int  # of 128 bits with the wrong sign
    z_generation: float  # the same over the half that only this generation has
    runner_up: int | None  # row of the best tag of other content, None when there is none
    runner_up_z: float  # -inf when there is none
    hypotheses: int  # readings that were compared
    bound: float  # expected number of wrong matches this good for this query, from above
    reading: Reading

    @property
    def accepted(self) -> bool:
        """Whether a wrong match this good is expected less than ACCEPT_BOUND times for such a query."""
        return self.bound <= ACCEPT_BOUND


def false_match_bound(z: float, tags: int, hypotheses: int) -> float:
    """Expected number of issued tags that match some reading with `z` or more by chance, from above.

    Hoeffding's inequality: tags are random bits, independent of audio that does not carry them, so whatever
    the audio is, P(z or more) <= exp(-z * z / 2) for each of tags * hypotheses comparisons. Says nothing
    about a tag that an attacker could choose, nor about other generations of an account whose mark is there
    (see z_generation).
    """
    return tags * hypotheses * math.exp(-(max(z, 0.0) ** 2) / 2)


def accept_z(tags: int, hypotheses: int) -> float:
    """The z from which a match is accepted among so many tags and readings."""
    return math.sqrt(2 * math.log(max(tags * hypotheses, 1) / ACCEPT_BOUND))


def nearest(readings: Sequence[Reading], tags: NDArray[np.uint8], searches: int = 1) -> Match | None:
    """The tag of `tags` (n, 16) uint8 that agrees best with any of the readings; None when either is empty.

    `searches` is how many searches of the same audio may be made until one is accepted: each has its chance of a
    wrong match, so `bound` is for all of them together.

    One pass over the tags in blocks, by hard bits and for all readings at once, then soft bits for the nearest 512 of
    each reading (benches/watermark.py measures it). Memory besides the tags: some megabytes, however many there are;
    `tags` may be a memory map.
    """
    found = _scored(readings, tags)
    if not found:
        return None
    which = int(np.argmax([scores.max() for _, scores in found]))
    return _match(readings, found, which, range(len(found)), tags, searches)


def nearest_each(readings: Sequence[Reading], tags: NDArray[np.uint8], searches: int = 1) -> list[Match]:
    """The best tag of every reading, in their order, by one pass over the tags.

    Takes what `nearest` takes; `bound` counts all readings; the runner-up is that of the same reading.
    """
    found = _scored(readings, tags)
    return [_match(readings, found, which, [which], tags, searches) for which in range(len(found))]


_Scored = tuple[NDArray[np.intp], Floats]  # rows of the nearest tags, and their z


def _scored(readings: Sequence[Reading], tags: NDArray[np.uint8]) -> list[_Scored]:
    """The nearest tags of each reading and how well they agree; nothing when there are no readings or no tags."""
    if tags.ndim != 2 or tags.shape[1] != TAG_BYTES or tags.dtype != np.uint8:
        raise ValueError(f"Tags are a uint8 array of shape (n, {TAG_BYTES}), not {tags.dtype} {tags.shape}.")
    if not readings or not len(tags):
        return []
    lists = _shortlists(readings, np.ascontiguousarray(tags).view(np.uint64))
    return [(rows, _agreements(reading.bits, tags[rows])) for reading, rows in zip(readings, lists, strict=True)]


def _match(
    readings: Sequence[Reading],
    found: Sequence[_Scored],
    which: int,
    rivals_from: Iterable[int],
    tags: NDArray[np.uint8],
    searches: int,
) -> Match:
    """The best tag of reading `which`; its runner-up is looked for among the scores of the readings `rivals_from`."""
    reading, (rows, scores) = readings[which], found[which]
    place = int(np.argmax(scores))
    index, z = int(rows[place]), float(scores[place])
    rows, every = (np.concatenate(parts) for parts in zip(*(found[k] for k in rivals_from), strict=True))
    every[np.all(tags[rows] == tags[index], axis=1)] = -np.inf  # the same tag twice is no rival
    rival = int(np.argmax(every))
    rival_z = float(every[rival])
    bits = signs(tags[index])
    half = BITS // 2
    return Match(
        index=index,
        z=z,
        errors=int(np.sum((reading.bits > 0) != (bits > 0))),
        z_generation=_agreement(reading.bits[:half], bits[:half]),
        runner_up=int(rows[rival]) if rival_z > -np.inf else None,
        runner_up_z=rival_z,
        hypotheses=len(readings),
        bound=searches * false_match_bound(z, len(tags), len(readings)),
        reading=reading,
    )


@dataclass(frozen=True)
class AccountMatch:
    """The account whose half of a tag fits several queries together best."""

    index: int  # row in the searched list
    z: float  # agreement of the pooled soft bits with its half, at most 8; like a standard normal for any other
    runner_up_z: float  # -inf when there is no other account
    queries: int  # that were pooled
    bound: float  # expected number of accounts that fit so well by chance, from above

    @property
    def accepted(self) -> bool:
        """Whether a wrong account this good is expected less than ACCEPT_BOUND times."""
        return self.bound <= ACCEPT_BOUND


def nearest_account(
    queries: Sequence[Sequence[Reading]], halves: NDArray[np.uint8], searches: int = 1
) -> AccountMatch | None:
    """The account that made several clips which are each too damaged to be traced, if one account made them all.

    `queries` has the readings of each clip, all under one key; `halves` (n, 8) uint8 the last 8 bytes of tags, which
    all clips of an account and key share. None when either is empty. Of each clip the most mark-like reading counts,
    weighted by its pilot: both are chosen without looking at any tag, so Hoeffding's bound holds for the sum as it does
    for one reading: P(z or more) <= exp(-z * z / 2) for an account with random bits that made none of the clips. Clips
    of other accounts only weaken it. Says nothing when an account had a part in only some of the clips, nor which
    generations they are. `searches` counts the ways of grouping clips that are tried until one is accepted.
    """
    width = TAG_BYTES // 2
    if halves.ndim != 2 or halves.shape[1] != width or halves.dtype != np.uint8:
        raise ValueError(f"Halves are a uint8 array of shape (n, {width}), not {halves.dtype} {halves.shape}.")
    best = [max(readings, key=lambda reading: reading.metric) for readings in queries if readings]
    if not best or not len(halves):
        return None
    pooled = np.sum([max(reading.pilot, 0.0) * reading.bits[BITS // 2 :] for reading in best], axis=0)
    blocks = [_agreements(pooled, halves[begin : begin + _BLOCK]) for begin in range(0, len(halves), _BLOCK)]
    scores = np.concatenate(blocks)
    index = int(np.argmax(scores))
    z = float(scores[index])
    scores[np.all(halves == halves[index], axis=1)] = -np.inf
    return AccountMatch(index, z, float(scores.max()), len(best), searches * false_match_bound(z, len(halves), 1))


def _shortlists(readings: Sequence[Reading], words: NDArray[np.uint64]) -> list[NDArray[np.intp]]:
    """Rows of the tags (n, 2) with the fewest errors against each reading."""
    near = [_Nearest(reading) for reading in readings]
    for begin in range(0, len(words), _BLOCK):
        block = words[begin : begin + _BLOCK]
        high, low = np.ascontiguousarray(block[:, 0]), np.ascontiguousarray(block[:, 1])
        for each in near:
            each.add(begin, high, low)
    return [each.rows() for each in near]


class _Nearest:
    """Keeps the tags with the fewest errors against one reading, while all tags pass by."""

    def __init__(self, reading: Reading) -> None:
        self._high, self._low = np.packbits(reading.bits > 0).view(np.uint64)
        self._rows = np.zeros(0, np.intp)
        self._errors = np.zeros(0, np.uint8)
        self._limit = BITS + 1  # a tag with so many errors or more can't be among the nearest any more

    def add(self, begin: int, high: NDArray[np.uint64], low: NDArray[np.uint64]) -> None:
        errors = np.bitwise_count(high ^ self._high)
        errors += np.bitwise_count(low ^ self._low)
        found = np.flatnonzero(errors < self._limit)
        self._rows = np.concatenate([self._rows, found + begin])
        self._errors = np.concatenate([self._errors, errors[found]])
        if len(self._rows) > 4 * _SHORTLIST:
            self._prune()

    def rows(self) -> NDArray[np.intp]:
        if len(self._rows) > _SHORTLIST:
            self._prune()
        return self._rows

    def _prune(self) -> None:
        kept = np.argpartition(self._errors, _SHORTLIST)[:_SHORTLIST]
        self._rows, self._errors = self._rows[kept], self._errors[kept]
        self._limit = int(self._errors.max())


def _agreements(soft: Floats, tags: NDArray[np.uint8]) -> Floats:
    return np.asarray(signs(tags) @ soft / (np.linalg.norm(soft) + 1e-9), dtype=np.float32)


def _agreement(soft: Floats, bits: Floats) -> float:
    return float(soft @ bits / (np.linalg.norm(soft) + 1e-9))
