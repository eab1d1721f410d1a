"""From what the channels found to a verdict. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from app.provenance.models import Verdict

CONFIRM_RATE = 1e-4
"""A mark confirms when fewer than one in ten thousand such queries, on any audio, would match some tag by chance.
The bound is n tags x h hypotheses x exp(-z*z/2) and holds for every input, because the tags are random."""
LEAD_RATE = 1e-1
MARGIN = 2.0
"""By how much z must beat the runner-up of another generation."""


@dataclass(frozen=True)
class MarkFound:
    """The best tag for a query: its z, that of the next best tag, and how much was tried."""

    z: float
    runner_up_z: float
    tags: int
    hypotheses: int


def false_match_bound(z: float, tags: int, hypotheses: int) -> float:
    """Upper bound of the chance that any of `tags` random tags reaches `z` in any of `hypotheses` alignments."""
    return min(1.0, tags * hypotheses * math.exp(-z * z / 2)) if z > 0 else 1.0


def verdict_of_mark(found: MarkFound | None) -> tuple[Verdict, float]:
    """The verdict that the mark alone supports, and its false-match rate."""
    if found is None:
        return Verdict.NO_EVIDENCE, 1.0
    rate = false_match_bound(found.z, found.tags, found.hypotheses)
    if rate <= CONFIRM_RATE:
        if found.z - found.runner_up_z < MARGIN:
            return Verdict.AMBIGUOUS, rate
        return Verdict.CONFIRMED, rate
    if rate <= LEAD_RATE:
        return Verdict.LEAD, rate
    return Verdict.NO_EVIDENCE, rate


def combine(mark: Verdict, mark_generation: object, credentials_generation: object) -> Verdict:
    """The verdict of both channels. `..._generation` is what each names, or None.

    Intact credentials, signed with our key, name a generation as surely as the mark. Two channels that name different
    generations are a contradiction: ambiguous, never a name.
    """
    if credentials_generation is None:
        return mark
    if mark is Verdict.CONFIRMED and mark_generation != credentials_generation:
        return Verdict.AMBIGUOUS
    return Verdict.AMBIGUOUS if mark is Verdict.AMBIGUOUS else Verdict.CONFIRMED
