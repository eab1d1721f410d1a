"""Promise: nobody unpaid or unverified clones, or speaks with a cloned voice; the first rule that fails says so."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from itertools import combinations_with_replacement, product
from typing import Any

import pytest

from app.accounts.models import Role, Standing
from app.accounts.rules import Capability, capabilities, is_verified
from app.policy.findings import Outcome, TextFindings, TextMatch
from app.policy.rules import CloneFacts, SpeakFacts, VoiceProblem, may_clone, may_speak

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


CLONE = CloneFacts(
    may_clone=True,
    standing="active",
    closing=False,
    plan_name="Starter",
    plan_paid=True,
    verified=True,
    recheck_due=False,
    voices=2,
    voice_slots=3,
)
SPEAK = SpeakFacts(
    may_speak=True,
    standing="active",
    closing=False,
    plan_name="Starter",
    plan_paid=True,
    verified=True,
    recheck_due=False,
    cloned=True,
    consent_in_force=True,
    voice_problem=None,
    format_name="wav_24000",
    format_allowed=True,
    open_clips=2,
    concurrency=3,
    characters=10,
    characters_left=10,
    key_cap_left=None,
    text=None,
)


def found(outcome: Outcome, rule: str = "codes.ask", severity: int = 3) -> TextMatch:
    """A text rule that matched."""
    return TextMatch(rule, "Asks for a code", "codes", outcome, severity, "Why.", "Fix.", ((0, 4),), "code")


PACKS = {"codes": "1+0a0a0a0a"}
FLAGGED = TextFindings((found(Outcome.FLAG),), PACKS)
REFUSED = TextFindings((found(Outcome.FLAG, "other.flag", 5), found(Outcome.REFUSE)), PACKS)

# What is wrong with the facts, and the rule that says so; in the order in which the rules speak.
Wrong = tuple[str, dict[str, Any], str]
ACCOUNT_WRONGS: list[Wrong] = [
    ("closing", {"closing": True}, "{}.closing"),
    ("restricted", {"capable": False, "standing": "restricted"}, "{}.standing"),
    ("suspended", {"capable": False, "standing": "suspended"}, "{}.standing"),
    ("banned", {"capable": False, "standing": "banned"}, "{}.standing"),
    ("moderator", {"capable": False}, "{}.role"),
    ("unpaid", {"plan_paid": False, "plan_name": "Free"}, "{}.plan"),
    ("recheck", {"verified": False, "recheck_due": True}, "{}.recheck"),
    ("unverified", {"verified": False}, "{}.verified"),
]


def wrongs_of(action: str, own: list[Wrong]) -> list[Wrong]:
    """The account's wrongs and the action's own, with the names of the action."""
    account = [
        (
            name,
            {f"may_{action}" if key == "capable" else key: value for key, value in change.items()},
            rule.format(action),
        )
        for name, change, rule in ACCOUNT_WRONGS
    ]
    return account + own


CLONE_WRONGS = wrongs_of("clone", [("no room", {"voices": 3}, "clone.slots")])
SPEAK_WRONGS = wrongs_of(
    "speak",
    [
        ("no consent", {"consent_in_force": False}, "voice_not_verified"),
        ("unfinished", {"voice_problem": VoiceProblem.UNFINISHED}, "voice_not_ready"),
        ("being made", {"voice_problem": VoiceProblem.BEING_MADE}, "voice_not_ready"),
        ("failed", {"voice_problem": VoiceProblem.FAILED}, "voice_not_ready"),
        ("consent gone", {"voice_problem": VoiceProblem.CONSENT}, "voice_not_ready"),
        ("over plan", {"voice_problem": VoiceProblem.PLAN}, "voice_over_plan"),
        ("switched off", {"voice_problem": VoiceProblem.DECISION}, "voice_disabled"),
        ("format", {"format_allowed": False}, "speak.format"),
        ("at once", {"open_clips": 3}, "speak.concurrency"),
        ("characters", {"characters_left": 9}, "quota_exceeded"),
        ("key", {"key_cap_left": 9}, "speak.key_cap"),
        ("text", {"text": REFUSED}, "text.codes.ask"),
    ],
)
STOCK_DOES_NOT_NEED = {"speak.plan", "speak.recheck", "speak.verified", "voice_not_verified"}


def test_nothing_wrong_is_allowed() -> None:
    assert may_clone(CLONE).outcome is Outcome.ALLOW
    assert may_speak(SPEAK).outcome is Outcome.ALLOW


@pytest.mark.parametrize(("first", "second"), list(combinations_with_replacement(range(len(CLONE_WRONGS)), 2)))
def test_cloning_is_refused_by_the_first_rule_that_fails(first: int, second: int) -> None:
    facts = replace(CLONE, **{**CLONE_WRONGS[second][1], **CLONE_WRONGS[first][1]})
    assert may_clone(facts).rule == CLONE_WRONGS[first][2]


@pytest.mark.parametrize(("first", "second"), list(combinations_with_replacement(range(len(SPEAK_WRONGS)), 2)))
def test_speaking_is_refused_by_the_first_rule_that_fails(first: int, second: int) -> None:
    facts = replace(SPEAK, **{**SPEAK_WRONGS[second][1], **SPEAK_WRONGS[first][1]})
    assert may_speak(facts).rule == SPEAK_WRONGS[first][2]


@pytest.mark.parametrize(
    ("name", "change", "rule"), SPEAK_WRONGS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_stock_voice_needs_neither_money_nor_person_nor_consent(name: str, change: dict[str, Any], rule: str) -> None:
    verdict = may_speak(replace(SPEAK, cloned=False, **change))
    assert verdict.rule == ("" if rule in STOCK_DOES_NOT_NEED else rule)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"characters": 11}, "quota_exceeded"),
        ({"characters": 11, "characters_left": 11, "key_cap_left": 10}, "speak.key_cap"),
        ({"characters_left": -3}, "quota_exceeded"),
        ({"key_cap_left": 10}, ""),
        ({"key_cap_left": -1}, "speak.key_cap"),
        ({"open_clips": 2, "concurrency": 2}, "speak.concurrency"),
    ],
)
def test_allowances_end_exactly_where_they_say(change: dict[str, Any], rule: str) -> None:
    assert may_speak(replace(SPEAK, **change)).rule == rule


def test_every_refusal_says_what_and_how_to_make_it_pass() -> None:
    refusals = [may_clone(replace(CLONE, **change)) for _, change, _ in CLONE_WRONGS]
    refusals += [may_speak(replace(SPEAK, **change)) for _, change, _ in SPEAK_WRONGS]
    for verdict in refusals:
        assert not verdict.allowed
        assert verdict.message.endswith(".")
        assert verdict.fix.endswith(".")
        assert "None" not in verdict.message


# Texts


def test_a_text_that_only_flags_is_allowed_and_flagged() -> None:
    verdict = may_speak(replace(SPEAK, text=FLAGGED))
    assert (verdict.outcome, verdict.allowed, verdict.rule) == (Outcome.FLAG, True, "")
    assert verdict.flags == (("codes.ask", "Asks for a code"),)


def test_a_flag_does_not_save_what_another_rule_refuses() -> None:
    verdict = may_speak(replace(SPEAK, text=FLAGGED, plan_paid=False))
    assert (verdict.outcome, verdict.rule, verdict.flags) == (Outcome.REFUSE, "speak.plan", ())


def test_a_refused_text_is_told_its_words_and_its_fix() -> None:
    verdict = may_speak(replace(SPEAK, text=REFUSED))
    assert verdict.message == "Why. It is about these words: “code”."
    assert verdict.fix == "Fix."


def test_the_record_has_outcome_rules_packs_and_facts_and_no_word_of_the_text() -> None:
    facts = may_speak(replace(SPEAK, text=FLAGGED)).as_facts()
    assert json.loads(json.dumps(facts)) == {
        "outcome": "flag",
        "rule": "",
        "flags": [{"rule": "codes.ask", "title": "Asks for a code"}],
        "packs": PACKS,
        "facts": {
            **{key: value for key, value in asdict(SPEAK).items() if key != "text"},
            "text": [
                {
                    "rule": "codes.ask",
                    "title": "Asks for a code",
                    "category": "codes",
                    "outcome": "flag",
                    "severity": 3,
                    "spans": [[0, 4]],
                }
            ],
        },
    }


def test_the_record_of_a_clone_says_what_it_rested_on() -> None:
    facts = may_clone(replace(CLONE, voices=3)).as_facts()
    assert (facts["outcome"], facts["rule"]) == ("refuse", "clone.slots")
    assert facts["facts"] == asdict(replace(CLONE, voices=3))


# Who is verified


@pytest.mark.parametrize(
    ("verified_at", "recheck_by", "holds"),
    [
        (None, None, False),
        (None, NOW + timedelta(days=1), False),
        (NOW, None, True),
        (NOW, NOW + timedelta(seconds=1), True),
        (NOW, NOW, False),
        (NOW, NOW - timedelta(days=1), False),
    ],
)
def test_a_proof_counts_until_it_must_be_repeated(
    verified_at: datetime | None, recheck_by: datetime | None, holds: bool
) -> None:
    assert is_verified(verified_at, recheck_by, NOW) is holds
