"""What is said of a mark, and which of a few clips it is of."""

from __future__ import annotations

import uuid

import numpy as np
import pytest

from app.provenance.rules import CONFIRM_RATE, LEAD_RATE, MarkFound
from workers.marks.detect import Reading
from workers.marks.matching import Match
from workers.marks.pattern import signs
from workers.trace.known import Made
from workers.trace.marks import MarkHit, presence
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
