"""What is said of a mark, and which of a few clips it is of."""

from __future__ import annotations

import uuid

import numpy as np
import pytest

from app.provenance.rules import CONFIRM_RATE, LEAD_RATE, MarkFound
from workers.marks.detect import Reading
from workers.marks.matching import Match
from workers.marks.pattern import signs
from workers.trace.known import Floats, Made, Search, Tags
from workers.trace.marks import MarkHit, best_mark, presence
from workers.trace.search import RATE, find
from workers.trace.told import of_mark

TAGS = np.random.default_rng(4).integers(0, 256, (2, 16), np.uint8)


def reading(bits: np.ndarray, epoch: int = 1) -> Reading:
    return Reading(bits.astype(np.float32), 50.0, 1.0, 1.0, 1.0, 0.0, 0.0, 3.0, epoch)


def made(number: int, epoch: int) -> Made:
    return Made(uuid.UUID(int=number), uuid.UUID(int=9), epoch, TAGS[number].tobytes(), None, own_voice=True)


def test_marks_of_two_keys_in_one_stretch_are_rivals() -> None:
    one, other = made(0, 1), made(1, 2)
    mine, theirs = reading(signs(TAGS[0])), reading(signs(TAGS[1]), 2)
    alone = presence([mine], [one, other])
    assert alone is not None
    assert (alone.generation_id, alone.margin) == (one.generation_id, np.inf)
    both = presence([mine, theirs], [one, other])
    assert both is not None
    assert both.margin == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize(("bound", "words"), [(LEAD_RATE, "There may be a mark"), (LEAD_RATE * 1.01, "No mark")])
def test_a_mark_that_is_a_lead_is_not_called_chance(bound: float, words: str) -> None:
    assert bound > CONFIRM_RATE
    match = Match(0, 6.0, 30, 4.0, None, -np.inf, 1, bound, reading(signs(TAGS[0])))
    hit = MarkHit(MarkFound(uuid.UUID(int=1), 6.0, 4.0, -np.inf, bound), match, tags=10, readings=1, elsewhere=0)
    told = of_mark(hit, None, 10)
    assert told["sentence"].startswith(words)
    assert told["accepted"] is False


def test_the_chances_of_all_searches_of_a_query_stay_below_the_bound() -> None:
    noise = reading(np.random.default_rng(5).normal(size=128))
    issued = {1: Tags([uuid.UUID(int=1), uuid.UUID(int=2)], TAGS)}
    hits = [best_mark([noise], issued, searches) for searches in (1, 2, 3)]
    alone = presence([noise], [made(0, 1), made(1, 1)])
    assert alone is not None
    assert sum(alone.bound / hit.found.bound for hit in hits if hit is not None) <= 1.0


class Nothing:
    """Nothing is known; how much is listened to is remembered."""

    prints = texts = None
    heard: list[int]

    @property
    def reader(self) -> Nothing:
        return self

    def tags(self) -> dict[int, Tags]:
        return {}

    def read(self, pcm: Floats, _sample_rate: int, _search: Search = "plain") -> list[Reading]:
        self.heard = [len(pcm)]
        return []


def test_audio_of_any_length_takes_no_longer_than_ten_minutes_of_it() -> None:
    nothing = Nothing()
    find(np.zeros(700 * RATE, np.float32), nothing)  # type: ignore[arg-type]  # what is not there is not asked for
    assert nothing.heard == [600 * RATE]
