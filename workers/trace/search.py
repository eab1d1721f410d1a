"""Where audio comes from: every channel in order of its cost, until one has answered.

The plain reading of the mark and the fingerprint cost a fraction of a second each and answer nearly all queries.
A fingerprint that is verified says how the copy was changed, and the mark is read there alone. Only when both leave it
open is the mark searched for over all changes of speed, tempo and pitch, and only when nothing is found is the query
transcribed.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from app.provenance.findings import Channel, Evidence, Matched
from app.provenance.models import Verdict
from app.provenance.rules import CONFIRM_RATE, Conclusion, Informed, PrintFound, combine, verdict_of_mark
from workers.marks import informed
from workers.marks.alignment import agrees
from workers.marks.detect import Reading
from workers.marks.fingerprint import QUERY_SECONDS, Query
from workers.marks.informed import Stretch, twins
from workers.marks.search import Search
from workers.trace import told
from workers.trace.known import Floats, Known
from workers.trace.marks import MarkHit, best_mark, presence
from workers.trace.prints import Explained, PrintHit, explain
from workers.trace.told import Tested
from workers.trace.words import WordsHit, hear

RATE = 16_000
"""Hz of what is searched."""


@dataclass(frozen=True)
class Effort:
    """How much the slow searches may cost."""

    full_seconds: float
    """So much of a query, from its start, is searched for marks over all changes of speed and pitch; a second of it
    takes a fifth of a second."""
    words: bool
    """Whether what is said is transcribed, where nothing else was found."""


THOROUGH = Effort(120.0, words=True)
COARSE = Effort(30.0, words=False)
"""For people without an account: anybody can ask, and anybody can say the same words."""
QUICK = Effort(0.0, words=False)
"""While somebody waits whose upload is most probably nothing of ours."""
PRESENCE_MARGIN = 2.0
"""By how much z of a clip must beat that of its rivals, to be told from them by its tag."""
MOST_TWINS = 8
"""Stored originals that are fetched to be compared; more rivals stay undecided unless their marks can be read."""
MARKED_AGAIN_SECONDS = 120.0
"""How far into an original a stretch may end to be compared with the original marked again: all before it is marked."""
_UNSURE = (Verdict.NO_EVIDENCE, Verdict.LEAD)
_AROUND = 0.5  # seconds on either side of the stretch that the mark is read in
_TIME_STEPS = (-0.004, -0.002, 0.0, 0.002, 0.004)  # around the speed of the fingerprint
_PITCH_STEP = 2 ** (1 / 48)  # that of the fingerprint's search

Watch = Callable[[float, str], None]
"""Told how far the search is (0 to 1) and what comes next. May raise to end it."""


@dataclass(frozen=True)
class Findings:
    """What was found."""

    verdict: Verdict
    generation_id: uuid.UUID | None
    """Named only by CONFIRMED and STRONG."""
    false_match_rate: float
    channel: Channel | None
    """Which channel carried the verdict."""
    evidence: list[Evidence]
    matched: Matched | None
    """None when no place is known, or nobody may be named."""
    best: uuid.UUID | None = None
    """What everything points to most, whether it may be named or not. For measurements: it is never shown or kept."""
    seconds: dict[str, float] = field(default_factory=dict)
    """What each step took, for measurements."""


def find(
    audio: Floats,
    known: Known,
    signed: uuid.UUID | None = None,
    watch: Watch = lambda _share, _step: None,
    *,
    effort: Effort = THOROUGH,
) -> Findings:
    """Search everything known for where `audio`, mono float32 at 16 kHz, comes from.

    `signed` is the generation that intact credentials of the file name. The evidence is that of mark, fingerprint and
    words; that of the credentials is the caller's. Time is bounded: what is beyond the longest query of a fingerprint,
    600 s, is not looked at.
    """
    return _Search(audio[: int(QUERY_SECONDS * RATE)], known, signed, watch).run(effort)


class _Search:
    """One query on its way through the channels."""

    def __init__(self, audio: Floats, known: Known, signed: uuid.UUID | None, watch: Watch) -> None:
        self.audio, self.known, self.signed, self.watch = audio, known, signed, watch
        self.tags = known.tags()
        self.searches = 0
        self.mark: MarkHit | None = None
        self.hit: PrintHit | None = None
        self.found: PrintFound | None = None
        self.tested: Tested | None = None
        self.sound: Explained | None = None
        """Where the clip sounds like the query whose mark is there, when the index did not propose it."""
        self.sound_compared = True
        self.words: WordsHit | None = None
        self.heard: int | None = None
        self.candidates: int | None = None
        self.seconds: dict[str, float] = {}

    def run(self, effort: Effort) -> Findings:
        """Channel after channel."""
        if not self.tags:  # where nothing was made, there is nothing to look for
            effort = QUICK
        self.watch(0.0, "looking for the mark")
        self._read_mark("plain", self.audio, "mark")
        self.watch(0.2, "comparing fingerprints")
        self._compare_prints()
        if self.hit is not None and not self._confirmed_by_mark():
            self.watch(0.4, "comparing with the original")
            self._inform(self.hit)
        if effort.full_seconds and not self._sure_of_mark() and self._conclude().verdict in _UNSURE:
            self.watch(0.5, "looking for a changed copy")
            self._read_mark("full", self.audio[: int(effort.full_seconds * RATE)], "changed copy")
        self._check_sound()
        conclusion = self._conclude()
        if effort.words and conclusion.verdict is Verdict.NO_EVIDENCE:
            self.watch(0.8, "listening to the words")
            with self._timed("words"):
                self.words, self.heard = hear(self.audio, self.known)
            conclusion = self._conclude()
        return self._findings(conclusion)

    def _sure_of_mark(self) -> bool:
        return self.mark is not None and self.mark.accepted

    def _confirmed_by_mark(self) -> bool:
        return verdict_of_mark(self.mark.found if self.mark is not None else None) is Verdict.CONFIRMED

    def _conclude(self) -> Conclusion:
        share = self.words.share if self.words is not None else None
        return combine(self.mark.found if self.mark is not None else None, self.signed, self.found, share)

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - start

    def _read_mark(self, search: Search, audio: Floats, step: str, start: float = 0.0) -> list[Reading]:
        """Read the mark and keep the best so far; gives the readings. Every search counts in the bounds of all."""
        with self._timed(step):
            readings = [
                replace(reading, start=reading.start + start, end=reading.end + start)
                for reading in self.known.reader.read(audio, RATE, search)
            ]
            self.searches += 1
            hit = best_mark(readings, self.tags, self.searches)
            if hit is not None and (self.mark is None or hit.found.bound < self.mark.found.bound):
                self.mark = hit
        return readings

    def _compare_prints(self) -> None:
        with self._timed("fingerprint"):
            self.hit, candidates = explain(self.audio, self.known)
            self.candidates = candidates if self.known.prints is not None else None
        if self.hit is None:
            return
        best = self.hit.best
        named = {each for each in (self.signed, self._marked()) if each is not None}
        self.found = PrintFound(
            generations=self.hit.generations,
            seconds=best.seconds,
            bound=best.where.false_rate,
            unseen=self.known.unseen_twins(best.made.generation_id),
            stock_voice=not best.made.own_voice,
            incomparable=self._incomparable(self.hit, named - self.hit.generations),
        )

    def _check_sound(self) -> None:
        """Whether the clip that the mark names sounds like the query: a mark can be carried over, a sound can't."""
        marked = self._marked()
        if self.mark is None or marked is None:
            return
        if self.hit is not None and any(self._there(each, self.mark, marked) for each in self.hit.verified):
            return
        clip = self.known.made([marked]).get(marked)
        if clip is None or clip.fingerprint is None:
            self.sound_compared = False
            return
        reading = self.mark.match.reading
        start = max(reading.start - _AROUND, 0.0)
        query = Query(self.audio[int(start * RATE) : int((reading.end + _AROUND) * RATE)], RATE)
        with self._timed("sound of the mark"):
            sound = agrees(query, clip.fingerprint, [(1 / reading.time_scale, reading.pitch_scale)])
        if sound is None:
            self.mark = replace(self.mark, found=replace(self.mark.found, sounds_other=True))
        else:
            moved = replace(sound, query_from=sound.query_from + start, query_to=sound.query_to + start)
            self.sound = Explained(clip, moved)

    def _marked(self) -> uuid.UUID | None:
        return self.mark.found.generation_id if self.mark is not None and self.mark.accepted else None

    def _incomparable(self, hit: PrintHit, others: set[uuid.UUID]) -> frozenset[uuid.UUID]:
        """Of generations that other channels name and the fingerprint's best does not: those that are no contradiction.

        Their fingerprint is gone; or it agrees with the same stretch after all (the index had more twins than it
        gave); or their mark lies in another stretch of the query.
        """
        fine = set()
        made = self.known.made(sorted(others))
        for each in others:
            clip = made.get(each)
            elsewhere = self.mark is not None and each == self._marked() and self._apart(hit, self.mark)
            if clip is None or clip.fingerprint is None or elsewhere or hit.agrees_too(clip):
                fine.add(each)
        return frozenset(fine)

    @staticmethod
    def _there(each: Explained, mark: MarkHit, marked: uuid.UUID) -> bool:
        """Whether it is the clip of the mark, and where the mark was read."""
        reading = mark.match.reading
        shared = min(reading.end, each.where.query_to) - max(reading.start, each.where.query_from)
        return each.made.generation_id == marked and shared >= 0.5 * min(reading.end - reading.start, each.seconds)

    @staticmethod
    def _apart(hit: PrintHit, mark: MarkHit) -> bool:
        reading, where = mark.match.reading, hit.best.where
        shared = min(reading.end, where.query_to) - max(reading.start, where.query_from)
        return shared < 0.5 * min(reading.end - reading.start, hit.best.seconds)

    def _inform(self, hit: PrintHit) -> None:
        """Read the mark as the fingerprint says that the copy was changed, and compare it with the rivals' own."""
        assert self.found is not None, "there is one with the hit"
        where = hit.best.where
        start = max(where.query_from - _AROUND, 0.0)
        audio = self.audio[int(start * RATE) : int((where.query_to + _AROUND) * RATE)]
        readings = self._read_mark(_pairs(where.speed, where.pitch), audio, "mark of the candidate", start)
        with self._timed("informed"):
            self.tested = self._present(hit, readings) or self._compared(hit)
        if self.tested is not None and self.tested.decided:
            test = Informed(self.tested.generation_id, self.tested.bound)
            self.found = replace(self.found, informed=test)
        if self.tested is not None and self.tested.absent:
            self.found = replace(self.found, absent=True)
        if self._sure_of_mark():
            others = {self._marked()} - {None} - hit.generations
            fine = self._incomparable(hit, {each for each in others if each is not None})
            self.found = replace(self.found, incomparable=self.found.incomparable | fine)

    def _present(self, hit: PrintHit, readings: Sequence[Reading]) -> Tested | None:
        """Whose tag of the rivals' is in the query; None when none clearly is."""
        found = presence(readings, [each.made for each in hit.equals])
        if found is None or found.bound > CONFIRM_RATE or found.margin < PRESENCE_MARGIN:
            return None
        return Tested("presence", found.generation_id, found.z, found.bound, True)

    def _compared(self, hit: PrintHit) -> Tested | None:
        """The query compared with the stored originals; None without them, or with too many rivals."""
        if len(hit.equals) > MOST_TWINS or (len(hit.equals) > 1 and self.found is not None and self.found.unseen):
            return None
        begin = max(each.where.query_from for each in hit.equals)
        stretches = []
        for each in hit.equals:
            original = self.known.original(each.made.generation_id)
            if original is None:
                return None
            stretches.append(_stretch(each, begin, original))
        return self._twins(hit, stretches) if len(stretches) > 1 else self._mark_of(hit.best, stretches[0])

    def _twins(self, hit: PrintHit, stretches: Sequence[Stretch]) -> Tested | None:
        """Which rival's original the query is a copy of."""
        decision = twins(self.audio, stretches)
        if decision is None:
            return None
        decided = decision.clear and decision.bound <= CONFIRM_RATE
        chosen = hit.equals[decision.index].made.generation_id
        return Tested("twins", chosen, decision.z, decision.bound, decided)

    def _mark_of(self, best: Explained, stretch: Stretch) -> Tested | None:
        """Whether the mark of the only clip that sounds so is in the query, or clearly not."""
        if best.where.original_to > MARKED_AGAIN_SECONDS:
            return None
        original = stretch.original[: int((best.where.original_to + _AROUND) * RATE)]
        again = self.known.marked_again(best.made, original)
        if again is None:
            return None
        found = informed.presence(self.audio, replace(stretch, original=original), again)
        if found is None:
            return None
        decided = found.clear and found.bound <= CONFIRM_RATE
        return Tested("presence", best.made.generation_id, found.z, found.bound, decided, found.absent)

    def _findings(self, conclusion: Conclusion) -> Findings:
        issued = sum(len(tags.ids) for tags in self.tags.values())
        evidence: list[Evidence] = [told.of_mark(self.mark, self.tested, issued, sound_compared=self.sound_compared)]
        if self.candidates is not None:
            evidence.append(told.of_prints(self.hit, self.candidates))
        if self.heard is not None and self.known.texts is not None:
            evidence.append(told.of_words(self.words, self.heard))
        return Findings(
            verdict=conclusion.verdict,
            generation_id=conclusion.generation_id,
            false_match_rate=conclusion.false_match_rate,
            channel=conclusion.channel,
            evidence=evidence,
            matched=self._matched(conclusion.generation_id),
            best=conclusion.generation_id or self._best(),
            seconds=self.seconds,
        )

    def _best(self) -> uuid.UUID | None:
        if self.hit is not None:
            return self.tested.generation_id if self.tested is not None else self.hit.best.made.generation_id
        return self.mark.found.generation_id if self.mark is not None else None

    def _matched(self, named: uuid.UUID | None) -> Matched | None:
        """Where the named clip is, by its fingerprint."""
        explained = [*(self.hit.verified if self.hit is not None else ()), *([self.sound] if self.sound else ())]
        of_it = [each.where for each in explained if each.made.generation_id == named]
        return told.matched(of_it[0]) if of_it else None


def _pairs(speed: float, pitch: float) -> list[tuple[float, float]]:
    """(pitch, time) scales of a copy near what its fingerprint says."""
    pitches = {pitch} | {near for near in (1.0, speed) if abs(near / pitch - 1) < 2 * (_PITCH_STEP - 1)}
    return [(scale, (1 + step) / speed) for scale in sorted(pitches) for step in _TIME_STEPS]


def _stretch(each: Explained, begin: float, original: Floats) -> Stretch:
    """A rival's original from the moment `begin` of the query on."""
    where = each.where
    return Stretch(
        original=original,
        original_from=where.original_from + (begin - where.query_from) * where.speed,
        original_to=where.original_to,
        query_from=begin,
        speed=where.speed,
        pitch=where.pitch,
    )
