"""Promise: nobody unpaid or unverified clones, or speaks with a cloned voice. Every combination of facts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from app.accounts.models import Role, Standing
from app.accounts.rules import Capability, capabilities
from app.policy.rules import CloneFacts, SpeakFacts, may_clone, may_speak

NOW = datetime(2026, 5, 1, tzinfo=UTC)
C = Capability
WHAT_EACH_MAY: dict[tuple[Role, Standing], set[Capability]] = {
    (Role.CUSTOMER, Standing.ACTIVE): {C.SIGN_IN, C.SPEAK, C.CLONE},
    (Role.CUSTOMER, Standing.RESTRICTED): {C.SIGN_IN, C.SPEAK},
    (Role.CUSTOMER, Standing.SUSPENDED): {C.SIGN_IN},
    (Role.CUSTOMER, Standing.BANNED): set(),
    (Role.MODERATOR, Standing.ACTIVE): {C.SIGN_IN, C.MODERATE},
    (Role.MODERATOR, Standing.RESTRICTED): {C.SIGN_IN},
    (Role.MODERATOR, Standing.SUSPENDED): {C.SIGN_IN},
    (Role.MODERATOR, Standing.BANNED): set(),
    (Role.SENIOR, Standing.ACTIVE): {C.SIGN_IN, C.MODERATE},
    (Role.SENIOR, Standing.RESTRICTED): {C.SIGN_IN},
    (Role.SENIOR, Standing.SUSPENDED): {C.SIGN_IN},
    (Role.SENIOR, Standing.BANNED): set(),
    (Role.OPERATOR, Standing.ACTIVE): set(C),
    (Role.OPERATOR, Standing.RESTRICTED): {C.SIGN_IN, C.SPEAK},
    (Role.OPERATOR, Standing.SUSPENDED): {C.SIGN_IN},
    (Role.OPERATOR, Standing.BANNED): set(),
}


@pytest.mark.parametrize(("role", "standing"), list(product(Role, Standing)))
def test_role_and_standing_give_capabilities(role: Role, standing: Standing) -> None:
    until = NOW + timedelta(days=1) if standing is Standing.SUSPENDED else None
    assert capabilities(role, standing, until, NOW) == WHAT_EACH_MAY[role, standing]


def test_a_suspension_ends_by_itself_and_not_before() -> None:
    ends = [capabilities(Role.CUSTOMER, Standing.SUSPENDED, NOW, NOW + timedelta(seconds=s)) for s in (-1, 0)]
    assert [Capability.SPEAK in allowed for allowed in ends] == [False, True]


CLONE = CloneFacts(may_clone=True, plan_name="Starter", plan_paid=True, verified=True, voices=2, voice_slots=3)


@pytest.mark.parametrize(("standing", "paid", "verified", "free"), list(product([True, False], repeat=4)))
def test_cloning_needs_all_of_standing_plan_person_and_slot(
    standing: bool, paid: bool, verified: bool, free: bool
) -> None:
    facts = replace(CLONE, may_clone=standing, plan_paid=paid, verified=verified, voices=2 if free else 3)
    verdict = may_clone(facts)
    assert verdict.allowed is all((standing, paid, verified, free))
    wrong = [
        rule
        for rule, holds in (
            ("clone.standing", standing),
            ("clone.plan", paid),
            ("clone.verified", verified),
            ("clone.slots", free),
        )
        if not holds
    ]
    assert verdict.rule == (wrong[0] if wrong else "")


SPEAK = SpeakFacts(
    may_speak=True,
    plan_name="Starter",
    plan_paid=True,
    verified=True,
    cloned=True,
    voice_ready=True,
    voice_problem="This voice is not finished yet.",
    consent_in_force=True,
    characters=10,
    characters_left=10,
    open_clips=0,
    concurrency=1,
)


@pytest.mark.parametrize(
    ("standing", "paid", "verified", "cloned", "consent", "ready"), list(product([True, False], repeat=6))
)
def test_a_cloned_voice_needs_plan_person_and_consent_and_a_stock_voice_does_not(
    standing: bool, paid: bool, verified: bool, cloned: bool, consent: bool, ready: bool
) -> None:
    verdict = may_speak(
        replace(
            SPEAK,
            may_speak=standing,
            plan_paid=paid,
            verified=verified,
            cloned=cloned,
            consent_in_force=consent,
            voice_ready=ready,
        )
    )
    wrong = [
        rule
        for rule, holds in (
            ("speak.standing", standing),
            ("speak.plan", paid or not cloned),
            ("speak.verified", verified or not cloned),
            ("voice_not_verified", consent or not cloned),
            ("voice_not_ready", ready),
        )
        if not holds
    ]
    assert verdict.allowed is (not wrong)
    assert verdict.rule == (wrong[0] if wrong else "")


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"characters": 11}, "quota_exceeded"),
        ({"characters_left": 9}, "quota_exceeded"),
        ({"characters_left": -3}, "quota_exceeded"),
        ({"open_clips": 1}, "speak.concurrency"),
        ({}, ""),
    ],
)
def test_the_allowance_ends_exactly_where_it_says(change: dict[str, int], rule: str) -> None:
    assert may_speak(replace(SPEAK, **change)).rule == rule


def test_every_refusal_says_what_and_how_to_make_it_pass() -> None:
    refusals = [
        may_clone(replace(CLONE, **{name: value}))
        for name, value in (("may_clone", False), ("plan_paid", False), ("verified", False), ("voices", 3))
    ] + [
        may_speak(replace(SPEAK, **{name: value}))
        for name, value in (
            ("may_speak", False),
            ("plan_paid", False),
            ("verified", False),
            ("consent_in_force", False),
            ("voice_ready", False),
            ("characters", 11),
            ("open_clips", 1),
        )
    ]
    assert len({verdict.rule for verdict in refusals}) == len(refusals)
    for verdict in refusals:
        assert verdict.message.endswith(".")
        assert verdict.fix.endswith(".")
