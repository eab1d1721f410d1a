"""Which rules a text meets. Pure: rules and text in, findings out; `app.policy.packs` reads rules from files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from app.policy.findings import Outcome, TextFindings, TextMatch
from app.policy.phrases import compile_phrases
from app.policy.plain import Reading, readings

MAX_PLACES = 10
"""Places of one rule that are kept."""
_QUOTED = 80
"""Characters of the quote."""

Span = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class TextRule:
    """One rule of a pack. Patterns are in the language of `app.policy.phrases`; compiling raises PhraseError."""

    id: str
    title: str
    category: str
    outcome: Outcome
    severity: int
    why: str
    fix: str
    languages: tuple[str, ...]
    """Applies only to clips in these languages, as en or de; empty: in all."""
    voices: Literal["all", "cloned"]
    patterns: tuple[str, ...]
    unless: tuple[str, ...]
    """Phrases whose words do not count for a match, as in "never read out the code"."""
    words: Mapping[str, tuple[str, ...]]
    must_match: tuple[str, ...]
    must_not_match: tuple[str, ...]
    pack: str
    _found: Any = field(init=False, repr=False, compare=False)
    _excused: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_found", compile_phrases(self.patterns, self.words))
        object.__setattr__(self, "_excused", compile_phrases(self.unless, self.words) if self.unless else None)

    def applies(self, language: str, cloned: bool) -> bool:
        """Whether it is asked at all for a clip in a language (as en or en-us) and a kind of voice."""
        spoken = not self.languages or language.lower().replace("_", "-").split("-")[0] in self.languages
        return spoken and (cloned or self.voices == "all")

    def places(self, read: Sequence[Reading]) -> list[Span]:
        """Where a text meets it, in order; the first `MAX_PLACES`."""
        excused = {at for reading in read for span in self._excuses(reading) for at in range(*span)}
        found = {span for reading in read for span in self._matches(reading, excused)}
        return _apart(sorted(found))[:MAX_PLACES]

    def failing_examples(self) -> list[tuple[str, bool]]:
        """Its own examples that it does not do justice to, and whether each should have matched."""
        wanted = [(example, True) for example in self.must_match] + [(e, False) for e in self.must_not_match]
        return [(example, match) for example, match in wanted if bool(self.places(readings(example))) is not match]

    def _excuses(self, reading: Reading) -> list[Span]:
        if self._excused is None:
            return []
        return [reading.place(*match.span()) for match in self._excused.finditer(reading.data)]

    def _matches(self, reading: Reading, excused: set[int]) -> list[Span]:
        matches = self._found.finditer(reading.without(excused))
        return [reading.place(*match.span()) for match in islice(matches, MAX_PLACES)]


def _apart(spans: list[Span]) -> list[Span]:
    """Sorted spans without those that overlap an earlier one."""
    kept: list[Span] = []
    for span in spans:
        if not kept or span[0] >= kept[-1][1]:
            kept.append(span)
    return kept


@dataclass(frozen=True)
class TextRules:
    """All rules in force."""

    rules: tuple[TextRule, ...]
    packs: Mapping[str, str]
    """The version of each pack."""

    def read(self, text: str, *, language: str, cloned: bool) -> TextFindings:
        """What the rules find in a text for a clip in a language; time is linear in the text. Never raises."""
        applying = [rule for rule in self.rules if rule.applies(language, cloned)]
        read = readings(text)
        matches = [_match(rule, text, spans) for rule in applying if (spans := rule.places(read))]
        matches.sort(key=lambda match: (match.outcome is not Outcome.REFUSE, -match.severity))
        return TextFindings(tuple(matches), self.packs)


def _match(rule: TextRule, text: str, spans: list[Span]) -> TextMatch:
    start, end = spans[0]
    words = " ".join(text[start:end].split())
    return TextMatch(
        rule=rule.id,
        title=rule.title,
        category=rule.category,
        outcome=rule.outcome,
        severity=rule.severity,
        why=rule.why,
        fix=rule.fix,
        spans=tuple(spans),
        words=words if len(words) <= _QUOTED else words[: _QUOTED - 1].rstrip() + "…",
    )
