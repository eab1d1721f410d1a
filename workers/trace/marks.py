"""The channel of the mark: readings compared with the tags that were issued, and what lies where."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.provenance.rules import MarkFound
from workers.marks.detect import Reading
from workers.marks.matching import ACCEPT_BOUND, Match, false_match_bound, nearest_each
from workers.trace.known import Made, Tags

_SHARED = 0.5  # two stretches are the same when they share this part of the shorter one


@dataclass(frozen=True)
class MarkHit:
    """The issued tag that fits best."""

    found: MarkFound
    match: Match
    tags: int
    """How many tags it was compared with."""
    readings: int
    """How many readings were."""
    elsewhere: int
    """Other generations whose marks are in other stretches of the query."""

    @property
    def accepted(self) -> bool:
        """Whether the mark says by itself that this audio was made here."""
        return self.found.bound <= ACCEPT_BOUND


@dataclass(frozen=True)
class _Heard:
    """The best tag of one reading."""

    generation_id: uuid.UUID
    match: Match


def best_mark(readings: Sequence[Reading], tags: Mapping[int, Tags], searches: int) -> MarkHit | None:
    """The best of all tags over all readings, each compared with the tags of its key; None when either is missing.

    `searches` counts this search and those before it on the same query. The bound of the first is doubled, that of the
    second taken four times, and so on: so the chances of all of them together stay below what each is held to.
    A tag that is found only in another stretch is no rival but another clip.
    """
    heard = _heard(readings, tags, searches)
    if not heard:
        return None
    best = max(heard, key=lambda each: each.match.z)
    rivals, elsewhere = _others(best, [each for each in heard if each.match.accepted])
    return MarkHit(
        found=MarkFound(
            generation_id=best.generation_id,
            z=best.match.z,
            z_generation=best.match.z_generation,
            runner_up_z=max([best.match.runner_up_z, *rivals]),
            bound=best.match.bound,
        ),
        match=best.match,
        tags=sum(len(each.ids) for each in tags.values()),
        readings=len(readings),
        elsewhere=elsewhere,
    )


def _heard(readings: Sequence[Reading], tags: Mapping[int, Tags], searches: int) -> list[_Heard]:
    """The best tag of every reading, with the bound of the whole search."""
    comparisons = {epoch: len(tags[epoch].ids) * count for epoch, count in _epochs(readings).items() if epoch in tags}
    heard = []
    for epoch, compared in comparisons.items():
        of_epoch = [reading for reading in readings if (reading.epoch or 0) == epoch]
        for match in nearest_each(of_epoch, tags[epoch].rows, 2**searches):  # their bounds know nothing of other keys
            whole = replace(match, bound=match.bound * sum(comparisons.values()) / compared)
            heard.append(_Heard(tags[epoch].ids[match.index], whole))
    return heard


def _epochs(readings: Sequence[Reading]) -> Counter[int]:
    """How many readings were made under each key."""
    return Counter(reading.epoch or 0 for reading in readings)


def _others(best: _Heard, sure: Sequence[_Heard]) -> tuple[list[float], int]:
    """z of other generations that are in the same stretch as the best, and how many are elsewhere.

    Of each generation the shortest reading that it is sure in says where it is.
    """
    places: dict[uuid.UUID, _Heard] = {}
    for each in sorted(sure, key=lambda each: (each.match.reading.end - each.match.reading.start, -each.match.z)):
        places.setdefault(each.generation_id, each)
    own = places.pop(best.generation_id, best).match.reading
    rivals = [each.match.z for each in places.values() if _same_stretch(own, each.match.reading)]
    return rivals, len(places) - len(rivals)


def _same_stretch(one: Reading, other: Reading) -> bool:
    shared = min(one.end, other.end) - max(one.start, other.start)
    return shared > _SHARED * min(one.end - one.start, other.end - other.start)


@dataclass(frozen=True)
class Presence:
    """Which of a few clips has its mark in the query, when it is known how the query was changed."""

    generation_id: uuid.UUID
    z: float
    bound: float
    margin: float
    """By how much z beats that of the other clips in the same reading, and in any reading that is sure of another clip,
    whatever its key; infinite when there is no other."""


def presence(readings: Sequence[Reading], clips: Sequence[Made]) -> Presence | None:
    """The clip of a few whose tag agrees best with any reading; None without readings of its key.

    The same bound as that of the blind search (Hoeffding), over clips times readings instead of millions of tags.
    Says nothing unless `bound` is small and `margin` clear.
    """
    heard: list[_Heard] = []
    clips_of = Counter(clip.key_epoch for clip in clips)
    comparisons = sum(clips_of[epoch] * count for epoch, count in _epochs(readings).items())
    for epoch in clips_of:
        of_epoch = [clip for clip in clips if clip.key_epoch == epoch]
        rows = np.frombuffer(b"".join(clip.tag for clip in of_epoch), np.uint8).reshape(-1, 16)
        matches = nearest_each([reading for reading in readings if (reading.epoch or 0) == epoch], rows)
        heard += [_Heard(of_epoch[match.index].generation_id, match) for match in matches]
    if not heard:
        return None
    best = max(heard, key=lambda each: each.match.z)
    z, bound = best.match.z, false_match_bound(best.match.z, 1, comparisons)
    others = [each.match.z for each in heard if each.generation_id != best.generation_id]
    rivals = [other for other in others if false_match_bound(other, 1, comparisons) <= ACCEPT_BOUND]
    return Presence(best.generation_id, z, bound, z - max([best.match.runner_up_z, *rivals]))
