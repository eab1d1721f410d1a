"""From soft bits to an issued tag, with the rate of false matches that the answer rests on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.marks.detect import Reading
from workers.marks.pattern import BITS, TAG_BYTES, signs
from workers.marks.spectrum import Floats

ACCEPT_BOUND = 1e-4  # at most so many wrong matches expected for one query, whatever the audio
_SHORTLIST = 512  # tags scored with soft bits: one that can be accepted is among the nearest few by hard bits


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

    One pass over the tags by hard bits for each reading, then soft bits for the nearest 512: 10^5 tags and the
    readings of a five-second clip take some 20 ms of one core (benches/watermark.py). Memory: 24 bytes for each tag
    besides the tags themselves.
    """
    if tags.ndim != 2 or tags.shape[1] != TAG_BYTES or tags.dtype != np.uint8:
        raise ValueError(f"Tags are a uint8 array of shape (n, {TAG_BYTES}), not {tags.dtype} {tags.shape}.")
    if not readings or not len(tags):
        return None
    words = np.ascontiguousarray(tags).view(np.uint64)
    lists = [_shortlist(reading, words) for reading in readings]
    scores = [_agreements(reading.bits, tags[rows]) for reading, rows in zip(readings, lists, strict=True)]
    which = int(np.argmax([score.max() for score in scores]))
    reading, place = readings[which], int(np.argmax(scores[which]))
    index, z = int(lists[which][place]), float(scores[which][place])
    rows, every = np.concatenate(lists), np.concatenate(scores)
    every[np.all(words[rows] == words[index], axis=1)] = -np.inf  # the same tag twice is no rival
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


def _shortlist(reading: Reading, words: NDArray[np.uint64]) -> NDArray[np.intp]:
    if len(words) <= _SHORTLIST:
        return np.arange(len(words))
    received = np.packbits(reading.bits > 0).view(np.uint64)
    errors = np.bitwise_count(words[:, 0] ^ received[0]) + np.bitwise_count(words[:, 1] ^ received[1])
    return np.argpartition(errors, _SHORTLIST)[:_SHORTLIST].copy()  # a view would keep all n indices alive


def _agreements(soft: Floats, tags: NDArray[np.uint8]) -> Floats:
    return np.asarray(signs(tags) @ soft / (np.linalg.norm(soft) + 1e-9), dtype=np.float32)


def _agreement(soft: Floats, bits: Floats) -> float:
    return float(soft @ bits / (np.linalg.norm(soft) + 1e-9))
