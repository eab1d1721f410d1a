"""Promise: an accusation is never a guess. What the channels found, and whether an account may be named."""

from __future__ import annotations

import math
import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.provenance.models import Verdict
from app.provenance.rules import (
    CONFIRM_RATE,
    GENERATION_Z,
    LEAD_RATE,
    MARGIN,
    STRONG_RATE,
    STRONG_SECONDS,
    TESTED_SECONDS,
    WORDS_SHARE,
    Informed,
    MarkFound,
    PrintFound,
    combine,
    verdict_of_mark,
    verdict_of_print,
)

MARKED, OTHER, THIRD = (uuid.UUID(int=n) for n in (1, 2, 3))
CLEAR = MarkFound(MARKED, z=20.0, z_generation=14.0, runner_up_z=3.0, bound=1e-30)
WEAK = replace(CLEAR, z=6.0, bound=1e-3)
NOISE = replace(CLEAR, z=3.0, bound=0.9)
TWINS = replace(CLEAR, runner_up_z=CLEAR.z - MARGIN + 0.01)
OVER = replace(CLEAR, sounds_other=True)
ACCOUNT_ONLY = replace(CLEAR, z_generation=GENERATION_Z - 0.01)

SAME = PrintFound(frozenset({MARKED}), seconds=5.0, bound=1e-6)
ELSE = replace(SAME, generations=frozenset({OTHER}))
RIVALS = replace(SAME, generations=frozenset({MARKED, OTHER}))
SHORT = replace(SAME, seconds=STRONG_SECONDS - 0.01)
UNCLEAR = replace(SAME, bound=STRONG_RATE * 1.01)
UNSEEN = replace(SAME, unseen=1)
CHOSEN = Informed(MARKED, bound=1e-5)
LUCKY = Informed(MARKED, bound=CONFIRM_RATE * 1.01)
STRANGER = Informed(THIRD, bound=1e-9)

V = Verdict
MARK_AND_CREDENTIALS = [
    ("nothing found", None, None, V.NO_EVIDENCE, None),
    ("chance", NOISE, None, V.NO_EVIDENCE, None),
    ("weak mark", WEAK, None, V.LEAD, None),
    ("clear mark", CLEAR, None, V.CONFIRMED, MARKED),
    ("twins", TWINS, None, V.AMBIGUOUS, None),
    ("account sure, clip not", ACCOUNT_ONLY, None, V.AMBIGUOUS, None),
    ("credentials alone", None, OTHER, V.CONFIRMED, OTHER),
    ("credentials and chance", NOISE, OTHER, V.CONFIRMED, OTHER),
    ("credentials and a weak mark of another", WEAK, OTHER, V.CONFIRMED, OTHER),
    ("both agree", CLEAR, MARKED, V.CONFIRMED, MARKED),
    ("credentials settle twins", TWINS, MARKED, V.CONFIRMED, MARKED),
    ("contradiction", CLEAR, OTHER, V.AMBIGUOUS, None),
    ("contradiction with twins", TWINS, OTHER, V.AMBIGUOUS, None),
]
FINGERPRINTS = [
    ("one clip sounds so", None, None, SAME, V.STRONG, MARKED),
    ("one clip, too little of it", None, None, SHORT, V.LEAD, None),
    ("one clip, not clear enough", None, None, UNCLEAR, V.LEAD, None),
    ("twins by sound", None, None, RIVALS, V.AMBIGUOUS, None),
    ("a twin that no index finds any more", None, None, UNSEEN, V.AMBIGUOUS, None),
    ("its mark is there", None, None, replace(SAME, informed=CHOSEN), V.CONFIRMED, MARKED),
    ("its mark may be there", None, None, replace(SAME, informed=LUCKY), V.STRONG, MARKED),
    ("the mark decides between twins", None, None, replace(RIVALS, informed=CHOSEN), V.CONFIRMED, MARKED),
    ("the mark does not decide", None, None, replace(RIVALS, informed=LUCKY), V.AMBIGUOUS, None),
    ("the mark is of none of them", None, None, replace(RIVALS, informed=STRANGER), V.AMBIGUOUS, None),
    ("short, but its mark is there", None, None, replace(SHORT, informed=CHOSEN), V.CONFIRMED, MARKED),
    ("too short, even with a mark", None, None, replace(SAME, seconds=TESTED_SECONDS - 0.01, informed=CHOSEN),
     V.LEAD, None),
    ("its mark is clearly not there", None, None, replace(SAME, absent=True), V.LEAD, None),
    ("its mark is not found blind, and is there", None, None, replace(SAME, absent=True, informed=CHOSEN),
     V.CONFIRMED, MARKED),
    ("a voice that anybody can have", None, None, replace(SAME, stock_voice=True), V.LEAD, None),
    ("a voice that anybody can have, and the mark", None, None, replace(SAME, stock_voice=True, informed=CHOSEN),
     V.CONFIRMED, MARKED),
    ("twins in a voice that anybody can have", None, None, replace(RIVALS, stock_voice=True), V.AMBIGUOUS, None),
    ("a mark in the speech of somebody else", OVER, None, None, V.LEAD, None),
    ("a mark in another clip's sound", OVER, None, ELSE, V.STRONG, OTHER),
    ("a mark in another clip's sound, which anybody can make", OVER, None, replace(ELSE, stock_voice=True),
     V.LEAD, None),
    ("mark and fingerprint agree", CLEAR, None, SAME, V.CONFIRMED, MARKED),
    ("the blind mark decides between twins", CLEAR, None, RIVALS, V.CONFIRMED, MARKED),
    ("mark and fingerprint contradict", CLEAR, None, ELSE, V.AMBIGUOUS, None),
    ("mark of another stretch", CLEAR, None, replace(ELSE, incomparable=frozenset({MARKED})), V.CONFIRMED, MARKED),
    ("mark and informed test contradict", replace(CLEAR, generation_id=OTHER), None,
     replace(RIVALS, informed=CHOSEN), V.AMBIGUOUS, None),
    ("a weak mark of another is no contradiction", replace(WEAK, generation_id=OTHER), None, SAME, V.STRONG, MARKED),
    ("account by mark, clip by fingerprint and test", ACCOUNT_ONLY, None,
     replace(SAME, informed=CHOSEN), V.CONFIRMED, MARKED),
    ("marks of two, the sound is of the better one", TWINS, None, SAME, V.CONFIRMED, MARKED),
    ("account by mark, clip by its sound", ACCOUNT_ONLY, None, SAME, V.CONFIRMED, MARKED),
    ("marks of two, the sound is of the other", TWINS, None, ELSE, V.AMBIGUOUS, None),
    ("marks of two that sound the same", TWINS, None, RIVALS, V.AMBIGUOUS, None),
    ("marks of two, too little of the sound", TWINS, None, replace(SAME, seconds=TESTED_SECONDS - 0.01),
     V.AMBIGUOUS, None),
    ("credentials settle twins by sound", None, MARKED, RIVALS, V.CONFIRMED, MARKED),
    ("credentials and fingerprint contradict", None, THIRD, RIVALS, V.AMBIGUOUS, None),
    ("credentials of a clip whose fingerprint is gone", None, THIRD,
     replace(RIVALS, incomparable=frozenset({THIRD})), V.CONFIRMED, THIRD),
]  # fmt: skip
CASES = [(*case[:3], None, *case[3:]) for case in MARK_AND_CREDENTIALS] + FINGERPRINTS


@pytest.mark.parametrize(
    ("found", "signed", "prints", "verdict", "named"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_verdict_and_name(
    found: MarkFound | None,
    signed: uuid.UUID | None,
    prints: PrintFound | None,
    verdict: Verdict,
    named: uuid.UUID | None,
) -> None:
    conclusion = combine(found, signed, prints)
    assert (conclusion.verdict, conclusion.generation_id) == (verdict, named)


@pytest.mark.parametrize(
    ("bound", "verdict"),
    [
        (CONFIRM_RATE, Verdict.CONFIRMED),
        (CONFIRM_RATE * 1.01, Verdict.LEAD),
        (LEAD_RATE, Verdict.LEAD),
        (LEAD_RATE * 1.01, Verdict.NO_EVIDENCE),
    ],
)
def test_the_rates_are_the_limits(bound: float, verdict: Verdict) -> None:
    assert verdict_of_mark(replace(CLEAR, bound=bound)) is verdict


def test_the_only_tag_there_is_needs_no_runner_up() -> None:
    assert verdict_of_mark(replace(CLEAR, runner_up_z=-math.inf)) is Verdict.CONFIRMED


@pytest.mark.parametrize("figure", ["bound", "z", "z_generation", "runner_up_z"])
def test_a_figure_that_is_no_number_confirms_nothing(figure: str) -> None:
    assert combine(replace(CLEAR, **{figure: math.nan}), None).generation_id is None


@pytest.mark.parametrize("figure", ["bound", "seconds"])
def test_a_fingerprint_without_a_number_names_nobody(figure: str) -> None:
    assert verdict_of_print(replace(SAME, informed=CHOSEN, **{figure: math.nan})) in (V.NO_EVIDENCE, V.LEAD)


def test_words_are_a_lead_and_never_more() -> None:
    assert combine(None, None, None, 1.0).verdict is Verdict.LEAD
    assert combine(None, None, None, WORDS_SHARE - 0.01).verdict is Verdict.NO_EVIDENCE


@pytest.mark.parametrize(
    ("found", "signed", "prints", "rate", "channel"),
    [
        (CLEAR, None, None, CLEAR.bound, "mark"),
        (None, MARKED, None, 0.0, "credentials"),
        (NOISE, MARKED, None, 0.0, "credentials"),
        (CLEAR, MARKED, None, CLEAR.bound, "credentials"),
        (NOISE, None, SAME, SAME.bound, "fingerprint"),
        (NOISE, None, replace(RIVALS, informed=CHOSEN), CHOSEN.bound, "mark"),
        (NOISE, None, None, NOISE.bound, None),
        (None, None, None, 1.0, None),
    ],
)
def test_what_a_verdict_rests_on(
    found: MarkFound | None, signed: uuid.UUID | None, prints: PrintFound | None, rate: float, channel: str | None
) -> None:
    conclusion = combine(found, signed, prints)
    assert (conclusion.false_match_rate, conclusion.channel) == (rate, channel)


ANYTHING = st.floats(allow_nan=True, allow_infinity=True)
SOMEBODY = st.sampled_from([MARKED, OTHER, THIRD])
SEVERAL = st.frozensets(SOMEBODY, max_size=3)
FOUND = st.builds(
    MarkFound,
    generation_id=SOMEBODY,
    z=ANYTHING,
    z_generation=ANYTHING,
    runner_up_z=ANYTHING,
    bound=ANYTHING,
    sounds_other=st.booleans(),
)
PRINTS = st.builds(
    PrintFound,
    generations=SEVERAL,
    seconds=ANYTHING,
    bound=ANYTHING,
    unseen=st.integers(0, 2),
    incomparable=SEVERAL,
    stock_voice=st.booleans(),
    absent=st.booleans(),
    informed=st.none() | st.builds(Informed, generation_id=SOMEBODY, bound=ANYTHING),
)


def _by_mark(found: MarkFound | None, named: uuid.UUID) -> bool:
    return (
        found is not None
        and found.generation_id == named
        and found.bound <= CONFIRM_RATE
        and found.z_generation >= GENERATION_Z
        and not found.sounds_other
        and found.z - found.runner_up_z >= MARGIN
    )


def _by_print(prints: PrintFound | None, named: uuid.UUID) -> bool:
    if prints is None or named not in prints.generations:
        return False
    test = prints.informed
    decided = test is not None and test.generation_id == named and test.bound <= CONFIRM_RATE
    alone = len(prints.generations) == 1 and not prints.unseen and not (prints.stock_voice or prints.absent)
    long = prints.seconds >= STRONG_SECONDS
    return prints.bound <= STRONG_RATE and prints.seconds >= TESTED_SECONDS and (decided or (alone and long))


def _by_both(found: MarkFound | None, prints: PrintFound | None, named: uuid.UUID) -> bool:
    """A mark that is there, if not the only one, in the sound of its clip and of no other."""
    if found is None or prints is None or found.sounds_other or found.generation_id != named:
        return False
    clear = prints.bound <= STRONG_RATE and prints.seconds >= TESTED_SECONDS and not prints.unseen
    return found.bound <= CONFIRM_RATE and clear and prints.generations == {named}


@given(
    found=st.none() | FOUND,
    signed=st.none() | SOMEBODY,
    prints=st.none() | PRINTS,
    words=st.none() | ANYTHING,
)
def test_a_name_always_rests_on_enough(
    found: MarkFound | None, signed: uuid.UUID | None, prints: PrintFound | None, words: float | None
) -> None:
    conclusion = combine(found, signed, prints, words)
    named = conclusion.generation_id
    assert (named is not None) is (conclusion.verdict in (Verdict.CONFIRMED, Verdict.STRONG))
    if named is None:
        return
    assert named == signed or _by_mark(found, named) or _by_print(prints, named) or _by_both(found, prints, named)
    assert signed in (None, named), "credentials of another clip contradict"
    if found is not None and _by_mark(found, found.generation_id):
        assert found.generation_id == named, "the mark of another clip contradicts"
