"""Writes docs/gate.md: `make docs` or `.venv/bin/python -m tests.rules.write_gate_doc`. A test fails when it is old."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from app.policy.packs import builtin_packs
from app.policy.rules import Verdict, may_clone, may_speak
from tests.rules.gate_table import ACTIONS, ANY, CLOSING, PAID, TABLE, Row
from tests.rules.test_gate import CLONE, CLONE_WRONGS, SPEAK, SPEAK_WRONGS

DOCUMENT = Path(__file__).parents[2] / "docs" / "gate.md"

HEAD = """# The gate

Nobody unpaid or unverified clones, and no cloned voice speaks without consent in force. This page says what the gate
answers in every case. It is written by `make docs` from the table that the tests hold the code to, so it can't be old.

The gate stands in the transaction that makes the work: when a voice is started, when a new sample is added, when a
consent has it cloned, and for every clip. A verdict is kept with the job: outcome, rule, the facts that it rested on
and the versions of the text rules. What falls away later counts too: standing is asked again when a worker takes the
job, and a consent that is taken back stops what is under way.
"""

ORDER = """## The order of the rules

The first rule that fails answers: deletion, standing, role, plan, person, consent, state of the voice, format, what
runs at once, characters of the month, limit of the key, text. What a person can change least comes first, so that
nobody pays or shows a passport only to hear that the account is banned. The text comes last, so that nobody learns what
the text rules think of a text that they could not have had spoken. For a stock voice, plan, person and consent are not
asked.

A voice may take the last slot of the plan; the next one is refused by `clone.slots`. A text may use the last character
of the month or of the key's limit.
"""

WORDS = """## What the words mean

| word | meaning |
| --- | --- |
| paid | the plans starter, creator and studio |
| restricted | may sign in and speak, but not clone |
| suspended, time is up | a suspension ends by itself; from then on the account is active |
| deletion asked for | the holder asked for the account to be deleted; it can be taken back until that is done |
| moderator | accounts of moderators and senior moderators; those of operators count as customers |
| check due, in time | the card or the name has changed, and the time to prove the person again has not run out |
| check overdue | that time has run out |
| consent: none | the voice is a draft; no sentence was read, or no reading of it was accepted |
"""


def render() -> str:
    """The document."""
    parts = [
        HEAD,
        "## Who may do what\n",
        *(_decisions(action) for action in ACTIONS),
        WORDS,
        ORDER,
        _refusals(),
        _texts(),
    ]
    return "\n".join(parts)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


def _decisions(action: str) -> str:
    asks_consent = any(row.consents != ANY for row in TABLE if row.action == action)
    head = ("account", "plan", "person", *(("consent",) if asks_consent else ()), "answer")
    return f"### To {action}\n\n" + _table(
        head, (_decision(row, asks_consent) for row in TABLE if row.action == action)
    )


def _decision(row: Row, asks_consent: bool) -> tuple[str, ...]:
    values = [row.accounts, row.plans, row.persons, *([row.consents] if asks_consent else [])]
    return (
        *(_words(value) for value in values),
        f"refused: `{row.rule}`" if row.rule else "**allowed**",
    )


def _words(values: tuple[str, ...]) -> str:
    return {PAID: "paid", CLOSING: "deletion asked for"}.get(values) or "; ".join(values)


def _refusals() -> str:
    verdicts = [may_clone(replace(CLONE, **change)) for _, change, _ in CLONE_WRONGS]
    verdicts += [may_speak(replace(SPEAK, **change)) for name, change, _ in SPEAK_WRONGS if name != "restricted"]
    rows = [_refusal(verdict) for verdict in verdicts if not verdict.rule.startswith("text.")]
    head = ("rule", "what the person reads, with examples for names and numbers", "what makes it pass")
    return "## Every refusal\n\n" + _table(head, rows)


def _refusal(verdict: Verdict) -> tuple[str, ...]:
    return f"`{verdict.rule}`", verdict.message, verdict.fix


def _texts() -> str:
    rows = [
        (f"`text.{rule.id}`", rule.title, rule.outcome.value, str(rule.severity), rule.voices)
        for pack in builtin_packs()
        for rule in pack.rules
    ]
    note = "These come with Vouch; [text-rules.md](text-rules.md) says how to change them and add to them.\n\n"
    return "## Text rules\n\n" + note + _table(("rule", "what it finds", "outcome", "severity", "voices"), rows)


if __name__ == "__main__":
    DOCUMENT.write_text(render())
