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
    MarkFound,
    combine,
    verdict_of_mark,
)

MARKED, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
CLEAR = MarkFound(MARKED, z=20.0, z_generation=14.0, runner_up_z=3.0, bound=1e-30)
WEAK = replace(CLEAR, z=6.0, bound=1e-3)
NOISE = replace(CLEAR, z=3.0, bound=0.9)
TWINS = replace(CLEAR, runner_up_z=CLEAR.z - MARGIN + 0.01)
ACCOUNT_ONLY = replace(CLEAR, z_generation=GENERATION_Z - 0.01)

CASES = [
    ("nothing found", None, None, Verdict.NO_EVIDENCE, None),
    ("chance", NOISE, None, Verdict.NO_EVIDENCE, None),
    ("weak mark", WEAK, None, Verdict.LEAD, None),
    ("clear mark", CLEAR, None, Verdict.CONFIRMED, MARKED),
    ("twins", TWINS, None, Verdict.AMBIGUOUS, None),
    ("account sure, clip not", ACCOUNT_ONLY, None, Verdict.AMBIGUOUS, None),
    ("credentials alone", None, OTHER, Verdict.CONFIRMED, OTHER),
    ("credentials and chance", NOISE, OTHER, Verdict.CONFIRMED, OTHER),
    ("credentials and a weak mark of another", WEAK, OTHER, Verdict.CONFIRMED, OTHER),
    ("both agree", CLEAR, MARKED, Verdict.CONFIRMED, MARKED),
    ("credentials settle twins", TWINS, MARKED, Verdict.CONFIRMED, MARKED),
    ("contradiction", CLEAR, OTHER, Verdict.AMBIGUOUS, None),
    ("contradiction with twins", TWINS, OTHER, Verdict.AMBIGUOUS, None),
]


@pytest.mark.parametrize(("found", "signed", "verdict", "named"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_verdict_and_name(
    found: MarkFound | None, signed: uuid.UUID | None, verdict: Verdict, named: uuid.UUID | None
) -> None:
    assert combine(found, signed) == (verdict, named)


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
    assert combine(replace(CLEAR, **{figure: math.nan}), None)[1] is None


ANYTHING = st.floats(allow_nan=True, allow_infinity=True)
FOUND = st.builds(
    MarkFound,
    generation_id=st.sampled_from([MARKED, OTHER]),
    z=ANYTHING,
    z_generation=ANYTHING,
    runner_up_z=ANYTHING,
    bound=ANYTHING,
)


@given(found=st.none() | FOUND, signed=st.sampled_from([None, MARKED, OTHER]))
def test_a_name_always_rests_on_enough(found: MarkFound | None, signed: uuid.UUID | None) -> None:
    verdict, named = combine(found, signed)
    assert (named is not None) is (verdict in (Verdict.CONFIRMED, Verdict.STRONG))
    if named is None or named == signed:
        return
    assert signed is None
    assert found is not None
    assert found.generation_id == named
    assert found.bound <= CONFIRM_RATE
    assert found.z_generation >= GENERATION_Z
    assert found.z - found.runner_up_z >= MARGIN
