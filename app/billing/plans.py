"""The plans, in one readable table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """What a plan allows. Characters are those of the text spoken, counted when the clip is done."""

    id: str
    name: str
    paid: bool
    characters_a_month: int
    voice_slots: int
    """How many cloned voices at once; 0 means stock voices only."""
    concurrency: int
    """How many clips may be waiting or running at once."""
    priority: int
    """Lower runs first."""


PLANS: dict[str, Plan] = {
    plan.id: plan
    for plan in (
        Plan("free", "Free", False, 10_000, 0, 2, 9),
        Plan("starter", "Starter", True, 30_000, 3, 3, 6),
        Plan("creator", "Creator", True, 120_000, 10, 5, 5),
        Plan("studio", "Studio", True, 600_000, 50, 10, 3),
    )
}
