"""Who may do what, in words: the decisions that the gate must come to, written down without it.

Each combination of the values is in exactly one row. `python -m tests.rules.write_gate_doc` makes docs/gate.md of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

ACTIONS = ("start a voice", "speak with a stock voice", "speak with a cloned voice")
ACCOUNTS = (
    "active",
    "restricted",
    "suspended",
    "suspended, time is up",
    "banned",
    "deletion asked for",
    "restricted, deletion asked for",
    "moderator",
)
PLANS = ("free", "starter", "creator", "studio")
PERSONS = ("never verified", "verified", "check due, in time", "check overdue")
CONSENTS = ("none", "in force", "taken back")

Combination = tuple[str, str, str, str, str]
"""Action, account, plan, person, consent."""

ANY = ("any",)
PAID = ("starter", "creator", "studio")
GOOD = ("active", "suspended, time is up")
SPEAKING = ("active", "suspended, time is up", "restricted")
CLOSING = ("deletion asked for", "restricted, deletion asked for")
PROVED = ("verified", "check due, in time")
CLONE, STOCK, CLONED = ACTIONS


@dataclass(frozen=True)
class Row:
    """One decision for every combination of its values. `rule` is empty when it is allowed."""

    action: str
    accounts: tuple[str, ...]
    plans: tuple[str, ...]
    persons: tuple[str, ...]
    consents: tuple[str, ...]
    rule: str

    def holds(self, combination: Combination) -> bool:
        """Whether a combination is one of this row."""
        action, *values = combination
        columns = (self.accounts, self.plans, self.persons, self.consents)
        return action == self.action and all(
            column == ANY or value in column for value, column in zip(values, columns, strict=True)
        )


TABLE = (
    Row(CLONE, ("restricted", "suspended", "banned"), ANY, ANY, ANY, "clone.standing"),
    Row(CLONE, ("moderator",), ANY, ANY, ANY, "clone.role"),
    Row(CLONE, CLOSING, ANY, ANY, ANY, "clone.closing"),
    Row(CLONE, GOOD, ("free",), ANY, ANY, "clone.plan"),
    Row(CLONE, GOOD, PAID, ("never verified",), ANY, "clone.verified"),
    Row(CLONE, GOOD, PAID, ("check overdue",), ANY, "clone.recheck"),
    Row(CLONE, GOOD, PAID, PROVED, ANY, ""),
    Row(STOCK, ("suspended", "banned"), ANY, ANY, ANY, "speak.standing"),
    Row(STOCK, ("moderator",), ANY, ANY, ANY, "speak.role"),
    Row(STOCK, CLOSING, ANY, ANY, ANY, "speak.closing"),
    Row(STOCK, SPEAKING, ANY, ANY, ANY, ""),
    Row(CLONED, ("suspended", "banned"), ANY, ANY, ANY, "speak.standing"),
    Row(CLONED, ("moderator",), ANY, ANY, ANY, "speak.role"),
    Row(CLONED, CLOSING, ANY, ANY, ANY, "speak.closing"),
    Row(CLONED, SPEAKING, ("free",), ANY, ANY, "speak.plan"),
    Row(CLONED, SPEAKING, PAID, ("never verified",), ANY, "speak.verified"),
    Row(CLONED, SPEAKING, PAID, ("check overdue",), ANY, "speak.recheck"),
    Row(CLONED, SPEAKING, PAID, PROVED, ("none", "taken back"), "voice_not_verified"),
    Row(CLONED, SPEAKING, PAID, PROVED, ("in force",), ""),
)

COMBINATIONS: tuple[Combination, ...] = tuple(product(ACTIONS, ACCOUNTS, PLANS, PERSONS, CONSENTS))
