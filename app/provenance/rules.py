"""From what the channels found to a verdict. Pure."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from app.provenance.models import Verdict

CONFIRM_RATE = 1e-4
"""A mark confirms when fewer than one in ten thousand such queries, on any audio, would match some tag by chance."""
LEAD_RATE = 1e-1
MARGIN = 2.0
"""By how much z must beat the best tag of any other generation."""
GENERATION_Z = 4.0
"""What the 64 bits of the generation alone must reach: below it only the account is sure, not which clip.
By chance 64 random bits reach it once in 3,000 (exp(-z*z/2)), on top of the rate above."""


@dataclass(frozen=True)
class MarkFound:
    """The issued tag that fits a query best."""

    generation_id: uuid.UUID
    z: float
    z_generation: float
    runner_up_z: float
    bound: float
    """Expected number of wrong matches this good in this search, an upper bound for any audio."""


def verdict_of_mark(found: MarkFound | None) -> Verdict:
    """The verdict that the mark alone supports. A figure that is not a number never passes."""
    if found is None or not found.bound <= LEAD_RATE:
        return Verdict.NO_EVIDENCE
    if not found.bound <= CONFIRM_RATE:
        return Verdict.LEAD
    if found.z - found.runner_up_z >= MARGIN and found.z_generation >= GENERATION_Z:
        return Verdict.CONFIRMED
    return Verdict.AMBIGUOUS


def combine(found: MarkFound | None, signed: uuid.UUID | None) -> tuple[Verdict, uuid.UUID | None]:
    """The verdict of mark and credentials together, and the generation that it may name.

    `signed` is the generation that intact credentials, signed with our key, name: as sure as the mark. Two channels
    that name different generations are a contradiction: ambiguous, never a name.
    """
    mark = verdict_of_mark(found)
    marked = found.generation_id if found is not None else None
    if signed is None:
        return mark, marked if mark is Verdict.CONFIRMED else None
    if mark in (Verdict.CONFIRMED, Verdict.AMBIGUOUS) and marked != signed:
        return Verdict.AMBIGUOUS, None
    return Verdict.CONFIRMED, signed
