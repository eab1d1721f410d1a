"""Promise: the gate answers every combination of standing, plan, person, consent and action as the table says.

The same table makes docs/gate.md.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.accounts.models import Role, Standing
from app.accounts.rules import Capability, capabilities, is_verified
from app.billing.plans import PLANS
from app.policy.findings import Outcome, TextFindings
from app.policy.rules import CloneFacts, SpeakFacts, Verdict, VoiceProblem, may_clone, may_speak
from tests.rules.gate_table import ACCOUNTS, ACTIONS, CLONE, COMBINATIONS, PAID, STOCK, TABLE, Combination
from tests.rules.gate_table import PLANS as PLAN_WORDS
from tests.rules.test_gate import FLAGGED, REFUSED
from tests.rules.write_gate_doc import DOCUMENT, render

NOW = datetime(2026, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)

# What the words of the table are in rows of the database
ACCOUNT: dict[str, tuple[Role, Standing, datetime | None, bool]] = {
    "active": (Role.CUSTOMER, Standing.ACTIVE, None, False),
    "restricted": (Role.CUSTOMER, Standing.RESTRICTED, None, False),
    "suspended": (Role.CUSTOMER, Standing.SUSPENDED, NOW + DAY, False),
    "suspended, time is up": (Role.CUSTOMER, Standing.SUSPENDED, NOW, False),
    "banned": (Role.CUSTOMER, Standing.BANNED, None, False),
    "deletion asked for": (Role.CUSTOMER, Standing.ACTIVE, None, True),
    "restricted, deletion asked for": (Role.CUSTOMER, Standing.RESTRICTED, None, True),
    "moderator": (Role.MODERATOR, Standing.ACTIVE, None, False),
}
PERSON: dict[str, tuple[datetime | None, datetime | None]] = {
    "never verified": (None, None),
    "verified": (NOW - DAY, None),
    "check due, in time": (NOW - DAY, NOW + DAY),
    "check overdue": (NOW - DAY, NOW - DAY),
}


def answer(combination: Combination) -> Verdict:
    """What the gate says, from facts that the real rules of accounts and plans make of the words."""
    action, account, plan_id, person, consent = combination
    role, standing, until, closing = ACCOUNT[account]
    verified_at, recheck_by = PERSON[person]
    plan = PLANS[plan_id]
    able = capabilities(role, standing, until, NOW, closing=closing)
    shared: dict[str, Any] = {
        "standing": standing.value,
        "closing": closing,
        "plan_name": plan.name,
        "plan_paid": plan.paid,
        "verified": is_verified(verified_at, recheck_by, NOW),
        "recheck_due": verified_at is not None,
    }
    if action == CLONE:
        return may_clone(
            CloneFacts(may_clone=Capability.CLONE in able, voices=0, voice_slots=plan.voice_slots, **shared)
        )
    return may_speak(
        SpeakFacts(
            may_speak=Capability.SPEAK in able,
            cloned=action != STOCK,
            consent_in_force=consent == "in force",
            voice_problem=None if consent == "in force" or action == STOCK else VoiceProblem.CONSENT,
            format_name="mp3_44100_128",
            format_allowed=plan.has_format("mp3_44100_128"),
            open_clips=0,
            concurrency=plan.concurrency,
            characters=100,
            characters_left=plan.characters_a_month,
            key_cap_left=None,
            text=TextFindings(),
            **shared,
        )
    )


def test_every_combination_is_in_exactly_one_row() -> None:
    assert [c for c in COMBINATIONS if sum(row.holds(c) for row in TABLE) != 1] == []


def test_the_table_knows_every_plan_and_standing() -> None:
    assert set(PLAN_WORDS) == set(PLANS)
    assert {standing for _, standing, _, _ in ACCOUNT.values()} == set(Standing)
    assert {plan.id for plan in PLANS.values() if plan.paid} == set(PAID)


def test_every_row_is_needed() -> None:
    assert [row for row in TABLE if not any(row.holds(c) for c in COMBINATIONS)] == []


@pytest.mark.parametrize("account", ACCOUNTS)
@pytest.mark.parametrize("action", ACTIONS)
def test_the_gate_answers_as_the_table_says(action: str, account: str) -> None:
    wrong = []
    for combination in COMBINATIONS:
        if combination[:2] != (action, account):
            continue
        (row,) = (row for row in TABLE if row.holds(combination))
        verdict = answer(combination)
        if (verdict.rule, verdict.allowed) != (row.rule, not row.rule):
            wrong.append((combination, verdict.rule, row.rule))
    assert wrong == []


def test_the_document_is_the_table() -> None:
    assert DOCUMENT.read_text() == render(), "docs/gate.md is old: `make docs` writes it"


# What is worse never helps

CLONES = st.builds(
    CloneFacts,
    may_clone=st.booleans(),
    standing=st.sampled_from(list(Standing)),
    closing=st.booleans(),
    plan_name=st.just("Starter"),
    plan_paid=st.booleans(),
    verified=st.booleans(),
    recheck_due=st.booleans(),
    voices=st.integers(0, 4),
    voice_slots=st.integers(0, 4),
)
SPEAKS = st.builds(
    SpeakFacts,
    may_speak=st.booleans(),
    standing=st.sampled_from(list(Standing)),
    closing=st.booleans(),
    plan_name=st.just("Starter"),
    plan_paid=st.booleans(),
    verified=st.booleans(),
    recheck_due=st.booleans(),
    cloned=st.booleans(),
    consent_in_force=st.booleans(),
    voice_problem=st.none() | st.sampled_from(list(VoiceProblem)),
    format_name=st.just("wav_24000"),
    format_allowed=st.booleans(),
    open_clips=st.integers(0, 3),
    concurrency=st.integers(0, 3),
    characters=st.integers(0, 20),
    characters_left=st.integers(-5, 20),
    key_cap_left=st.none() | st.integers(-5, 20),
    text=st.sampled_from([None, TextFindings(), FLAGGED, REFUSED]),
)
WORSE_ACCOUNT: list[dict[str, Any]] = [{"closing": True}, {"plan_paid": False}, {"verified": False}]
WORSE_CLONE = [*WORSE_ACCOUNT, {"may_clone": False}, {"voices": 5}, {"voice_slots": 0}]
WORSE_SPEAK = [
    *WORSE_ACCOUNT,
    {"may_speak": False},
    {"cloned": True},
    {"consent_in_force": False},
    *({"voice_problem": problem} for problem in VoiceProblem),
    {"format_allowed": False},
    {"open_clips": 3},
    {"concurrency": 0},
    {"characters": 20},
    {"characters_left": -5},
    {"key_cap_left": -5},
    {"text": REFUSED},
]


@given(CLONES, st.sampled_from(WORSE_CLONE))
def test_a_restriction_more_never_makes_a_clone_possible(facts: CloneFacts, worse: dict[str, Any]) -> None:
    assert may_clone(facts).allowed or not may_clone(replace(facts, **worse)).allowed


@given(SPEAKS, st.sampled_from(WORSE_SPEAK))
def test_a_restriction_more_never_makes_speech_possible(facts: SpeakFacts, worse: dict[str, Any]) -> None:
    assert may_speak(facts).allowed or not may_speak(replace(facts, **worse)).allowed


@given(SPEAKS)
def test_a_verdict_is_whole(facts: SpeakFacts) -> None:
    verdict = may_speak(facts)
    refused = verdict.outcome is Outcome.REFUSE
    assert (verdict.rule != "") is (verdict.message != "") is (verdict.fix != "") is refused
    assert (verdict.flags != ()) is (verdict.outcome is Outcome.FLAG)
