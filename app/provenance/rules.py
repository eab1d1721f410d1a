"""From what the channels found to a verdict. Pure.

The rule above all rules: a name is never a guess. A name needs a mark that chance would hardly ever give, signed
credentials that are intact, or a fingerprint that only one clip explains; and nothing that points elsewhere.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from app.provenance.findings import Channel
from app.provenance.models import Verdict

CONFIRM_RATE = 1e-4
"""A mark confirms when fewer than one in ten thousand such queries, on any audio, would match some tag by chance."""
LEAD_RATE = 1e-1
MARGIN = 2.0
"""By how much z must beat the best tag of any other generation."""
GENERATION_Z = 4.0
"""What the 64 bits of the generation alone must reach: below it only the account is sure, not which clip.
By chance 64 random bits reach it once in 3,000 (exp(-z*z/2)), on top of the rate above."""
STRONG_RATE = 1e-4
"""What a fingerprint's chance of a wrong match must be below."""
STRONG_SECONDS = 3.0
"""A fingerprint names a clip only over as much of the query, and only where no other clip explains as much of it."""
TESTED_SECONDS = 1.5
"""So much must sound the same for the informed test of the mark to count."""


@dataclass(frozen=True)
class MarkFound:
    """The issued tag that fits a query best."""

    generation_id: uuid.UUID
    z: float
    z_generation: float
    runner_up_z: float
    bound: float
    """Expected number of wrong matches this good in this search, an upper bound for any audio."""
    sounds_other: bool = False
    """The stored fingerprint of the generation does not agree with the query: its mark may have been carried over from
    the clip to foreign speech. False, too, where nothing is stored to compare with."""


@dataclass(frozen=True)
class Informed:
    """A test of the mark against the stored originals of clips that the fingerprint had found."""

    generation_id: uuid.UUID
    bound: float
    """Chance that it picks a wrong one of them, or one whose mark is not there, from above."""


@dataclass(frozen=True)
class PrintFound:
    """The stretch of the query that stored fingerprints explain best."""

    generations: frozenset[uuid.UUID]
    """All that explain it about equally well: rivals, when there are several."""
    seconds: float
    bound: float
    """Chance that other speech agrees so well."""
    unseen: int = 0
    """Generations that may sound the same, but whose fingerprints are gone."""
    incomparable: frozenset[uuid.UUID] = frozenset()
    """Of the generations that other channels name, those that lie elsewhere in the query, or have no fingerprint."""
    informed: Informed | None = None
    stock_voice: bool = False
    """Whoever has the engine can have the same words spoken in the same voice: its sound alone names nobody."""
    absent: bool = False
    """The sound is there clearly without the mark of its clip: from elsewhere, where the same engine spoke the same
    words in a voice of the same person, or somebody took the mark out. Nobody is named for what others may have made.
    """


@dataclass(frozen=True)
class Conclusion:
    """A verdict, and what it rests on."""

    verdict: Verdict
    generation_id: uuid.UUID | None
    """Named only by CONFIRMED and STRONG."""
    false_match_rate: float
    """Upper bound of the chance that audio of other origin gives such a result; 0 where only a signature speaks."""
    channel: Channel | None
    """Which channel carried it; None when nothing was found."""


def verdict_of_mark(found: MarkFound | None) -> Verdict:
    """The verdict that the mark supports. A figure that is not a number never passes."""
    if found is None or not found.bound <= LEAD_RATE:
        return Verdict.NO_EVIDENCE
    if not found.bound <= CONFIRM_RATE or found.sounds_other:
        return Verdict.LEAD
    if found.z - found.runner_up_z >= MARGIN and found.z_generation >= GENERATION_Z:
        return Verdict.CONFIRMED
    return Verdict.AMBIGUOUS


def verdict_of_print(found: PrintFound | None) -> Verdict:
    """The verdict that the fingerprint supports, with the informed test of the mark if it was made.

    CONFIRMED rests on the informed test, which may also decide between rivals, and over a shorter stretch; STRONG on
    the fingerprint alone.
    """
    if found is None or not found.generations or not found.bound <= LEAD_RATE:
        return Verdict.NO_EVIDENCE
    test = found.informed
    enough = found.bound <= STRONG_RATE and found.seconds >= TESTED_SECONDS
    if enough and test is not None and test.bound <= CONFIRM_RATE and test.generation_id in found.generations:
        return Verdict.CONFIRMED
    if not enough or found.seconds < STRONG_SECONDS:
        return Verdict.LEAD
    if (found.stock_voice or found.absent) and len(found.generations) == 1:
        return Verdict.LEAD
    return Verdict.STRONG if len(found.generations) == 1 and not found.unseen else Verdict.AMBIGUOUS


def combine(
    mark: MarkFound | None,
    signed: uuid.UUID | None,
    prints: PrintFound | None = None,
    words: float | None = None,
) -> Conclusion:
    """The verdict of all channels together, and the generation that it may name.

    `signed` is the generation that intact credentials, signed with our key, name: as sure as the mark. `words` is the
    share of a query's words that some text explains, if any does: never more than a lead. Channels that point to
    different generations are a contradiction: ambiguous, never a name. Among rivals with the same sound only mark
    and credentials decide.
    """
    by_mark, by_print = verdict_of_mark(mark), verdict_of_print(prints)
    marked = mark.generation_id if mark is not None else None
    bound = min(mark.bound, 1.0) if mark is not None and mark.bound <= 1.0 else 1.0
    if _contradiction(by_mark, marked, signed, by_print, prints):
        return Conclusion(Verdict.AMBIGUOUS, None, bound, "mark" if by_mark in _SURE else "fingerprint")
    if signed is not None:
        return Conclusion(Verdict.CONFIRMED, signed, bound if bound <= CONFIRM_RATE else 0.0, "credentials")
    if by_mark is Verdict.CONFIRMED:
        return Conclusion(Verdict.CONFIRMED, marked, bound, "mark")
    if prints is not None and by_print is Verdict.CONFIRMED and prints.informed is not None:
        return Conclusion(Verdict.CONFIRMED, prints.informed.generation_id, prints.informed.bound, "mark")
    if by_mark is Verdict.AMBIGUOUS:
        if _sound_decides(mark, prints):
            return Conclusion(Verdict.CONFIRMED, marked, bound, "mark")
        return Conclusion(Verdict.AMBIGUOUS, None, bound, "mark")
    if prints is not None and by_print is Verdict.STRONG:
        (named,) = prints.generations
        return Conclusion(Verdict.STRONG, named, prints.bound, "fingerprint")
    if prints is not None and by_print is Verdict.AMBIGUOUS:
        return Conclusion(Verdict.AMBIGUOUS, None, prints.bound, "fingerprint")
    return _lead(by_mark, by_print, bound, prints, words)


_SURE = (Verdict.CONFIRMED, Verdict.AMBIGUOUS)


def _sound_decides(mark: MarkFound | None, prints: PrintFound | None) -> bool:
    """Whether a mark that fits two clips, as those of one account may, is in the sound of the one that it fits best."""
    if mark is None or prints is None:
        return False
    clear = prints.bound <= STRONG_RATE and prints.seconds >= TESTED_SECONDS and not prints.unseen
    return clear and prints.generations == {mark.generation_id}


def _contradiction(
    by_mark: Verdict,
    marked: uuid.UUID | None,
    signed: uuid.UUID | None,
    by_print: Verdict,
    prints: PrintFound | None,
) -> bool:
    """Whether two channels that are sure point to different generations."""
    marks = {marked} if by_mark in _SURE else set()
    if signed is not None and marks - {signed}:
        return True
    if prints is None or by_print in (Verdict.NO_EVIDENCE, Verdict.LEAD):
        return False
    if by_print is Verdict.CONFIRMED and prints.informed is not None:
        return bool((marks | ({signed} if signed else set())) - {prints.informed.generation_id} - prints.incomparable)
    sure = {signed} if signed is not None else ({marked} if by_mark is Verdict.CONFIRMED else set())
    return bool(sure - prints.generations - prints.incomparable)


def _lead(
    by_mark: Verdict, by_print: Verdict, bound: float, prints: PrintFound | None, words: float | None
) -> Conclusion:
    """What points somewhere, and names nobody."""
    if prints is not None and by_print is Verdict.LEAD:
        return Conclusion(Verdict.LEAD, None, min(bound, prints.bound), "fingerprint")
    if by_mark is Verdict.LEAD:
        return Conclusion(Verdict.LEAD, None, bound, "mark")
    if words is not None and words >= WORDS_SHARE:
        return Conclusion(Verdict.LEAD, None, bound, "words")
    return Conclusion(Verdict.NO_EVIDENCE, None, bound, None)


WORDS_SHARE = 0.6
"""Of the words heard in a stretch of the query, as many must be in a text, in order, for a lead."""
