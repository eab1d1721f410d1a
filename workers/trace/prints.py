"""The channel of the fingerprint: which stored clips explain which stretch of the query."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from app.provenance.rules import STRONG_SECONDS
from workers.marks.alignment import Candidate, Verified, verify
from workers.marks.fingerprint import QUERY_SECONDS, Query
from workers.marks.landmarks import BINS_PER_OCTAVE, FRAMES_PER_SECOND
from workers.trace.known import Floats, Known, Made

_RATE = 16_000
_SHARED = 0.5  # two stretches are the same when they share more than this part of the shorter one


@dataclass(frozen=True)
class Explained:
    """A clip that explains a stretch of the query."""

    made: Made
    where: Verified

    @property
    def seconds(self) -> float:
        """Length of the stretch in the query."""
        return self.where.query_to - self.where.query_from


@dataclass(frozen=True)
class PrintHit:
    """The stretch of the query that is explained best, and by what."""

    query: Query
    best: Explained
    rivals: tuple[Explained, ...]
    """Other generations that explain the same stretch so well that the fingerprint can't decide."""
    verified: tuple[Explained, ...]
    """All that explain something, wherever."""
    elsewhere: int
    """Further stretches that other clips explain."""

    @property
    def equals(self) -> tuple[Explained, ...]:
        """The best and its rivals."""
        return (self.best, *self.rivals)

    @property
    def generations(self) -> frozenset[uuid.UUID]:
        """Their ids."""
        return frozenset(each.made.generation_id for each in self.equals)

    def agrees_too(self, clip: Made) -> bool:
        """Whether a clip that the index did not propose explains the same stretch all the same."""
        if clip.fingerprint is None:
            return False
        where = self.best.where
        place = Candidate(
            number=-1,
            hits=0,
            shift=-round(math.log2(where.pitch) * BINS_PER_OCTAVE),
            speed=where.speed,
            offset=(where.original_from - where.query_from * where.speed) * FRAMES_PER_SECOND,
        )
        found = verify(self.query, clip.fingerprint, place)
        return found is not None and is_rival(self.best, Explained(clip, found))


def explain(audio: Floats, known: Known) -> tuple[PrintHit | None, int]:
    """The best explained stretch of 16 kHz audio, None when there is none, and how many clips the index proposed."""
    prints = known.prints
    if prints is None:
        return None, 0
    query = Query(audio[: int(QUERY_SECONDS * _RATE)], _RATE)
    candidates = prints.search(query)
    made = known.numbered([candidate.number for candidate in candidates])
    verified = []
    for candidate in candidates:
        clip = made.get(candidate.number)
        if clip is None or clip.fingerprint is None:  # erased since the index was built
            continue
        where = verify(query, clip.fingerprint, candidate)
        if where is not None:
            verified.append(Explained(clip, where))
    return weigh(query, verified), len(candidates)


def weigh(query: Query, verified: Sequence[Explained]) -> PrintHit | None:
    """Sort clips that explain something into the best, its rivals, and those of other stretches."""
    if not verified:
        return None
    ranked = sorted(verified, key=lambda each: -each.where.score)
    best = ranked[0]
    own = best.made.generation_id
    rivals: dict[uuid.UUID, Explained] = {}
    places: list[Explained] = [best]
    for each in ranked[1:]:
        if is_rival(best, each):
            if each.made.generation_id != own:
                rivals.setdefault(each.made.generation_id, each)
        elif not any(_shared(place, each) > _SHARED * min(place.seconds, each.seconds) for place in places):
            places.append(each)
    return PrintHit(query, best, tuple(rivals.values()), tuple(ranked), len(places) - 1)


def is_rival(best: Explained, other: Explained) -> bool:
    """Whether `other` explains the stretch of `best`, but for less than what would name a clip by itself."""
    shared = _shared(best, other)
    return shared > _SHARED * min(best.seconds, other.seconds) and best.seconds - shared < STRONG_SECONDS


def _shared(one: Explained, other: Explained) -> float:
    return min(one.where.query_to, other.where.query_to) - max(one.where.query_from, other.where.query_from)
