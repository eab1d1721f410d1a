"""What the text rules found in a text: the facts that the gate decides on, without any way to look again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What comes of a rule. FLAG lets it pass and tells moderators."""

    ALLOW = "allow"
    FLAG = "flag"
    REFUSE = "refuse"


@dataclass(frozen=True)
class TextMatch:
    """One rule that a text meets."""

    rule: str
    """Id of the rule in its pack."""
    title: str
    category: str
    outcome: Outcome
    """FLAG or REFUSE."""
    severity: int
    """1 to 5."""
    why: str
    """A sentence for the person."""
    fix: str
    spans: tuple[tuple[int, int], ...]
    """Where in the text: first character and the one after the last, of the first few places. Never empty."""
    words: str
    """The words at the first place, for the person; never for the record."""

    def as_facts(self) -> dict[str, Any]:
        """For the record: the places, not the words, so that a text can be erased."""
        return {
            "rule": self.rule,
            "title": self.title,
            "category": self.category,
            "outcome": self.outcome.value,
            "severity": self.severity,
            "spans": [list(span) for span in self.spans],
        }


@dataclass(frozen=True)
class TextFindings:
    """Every rule that a text meets, gravest first, and the version of each pack that was asked."""

    matches: tuple[TextMatch, ...] = ()
    packs: Mapping[str, str] = field(default_factory=dict)

    @property
    def refusal(self) -> TextMatch | None:
        """The gravest rule that refuses, if any does."""
        return next((match for match in self.matches if match.outcome is Outcome.REFUSE), None)
