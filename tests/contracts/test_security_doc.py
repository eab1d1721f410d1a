"""docs/security.md answers every requirement of its list once, and what it names exists."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

from app.accounts.models import Account
from app.main import create_app
from app.settings import Settings
from tests.world import World

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "security.md").read_text()
ANSWERS = {"met", "not met", "does not apply"}
LEVELS = {
    1: "6.1.1 6.2.1-6.2.8 6.3.1 6.3.2 6.4.1 6.4.2 7.2.1-7.2.4 7.4.1 7.4.2 8.1.1 8.2.1 8.2.2 8.3.1",
    2: "6.1.2 6.1.3 6.2.9-6.2.12 6.3.3 6.3.4 6.4.3 6.4.4 6.5.1-6.5.5 6.6.1-6.6.3 6.8.1-6.8.4 7.1.1-7.1.3 7.3.1 7.3.2 "
    "7.4.3-7.4.5 7.5.1 7.5.2 7.6.1 7.6.2 8.1.2 8.2.3 8.4.1",
}
"""The requirements of ASVS 5.0.0, chapters V6 to V8, of levels 1 and 2."""


def required() -> dict[str, int]:
    """Number to level."""
    found = {}
    for level, words in LEVELS.items():
        for word in words.split():
            first, _, last = word.partition("-")
            section, _, start = first.rpartition(".")
            end = (last or first).rpartition(".")[2]
            found |= {f"{section}.{number}": level for number in range(int(start), int(end) + 1)}
    return found


def rows() -> list[list[str]]:
    """The rows about requirements: number, level, in short, answer, why."""
    lines = [line for line in DOCUMENT.splitlines() if re.match(r"\| \d+\.\d+\.\d+ \|", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@cache
def names_in(path: str) -> frozenset[str]:
    """The tests that a file has."""
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_every_requirement_is_answered_once() -> None:
    wanted = required()
    assert len(wanted) == 60
    assert Counter(row[0] for row in rows()) == Counter(wanted.keys())
    assert {row[0]: int(row[1]) for row in rows()} == wanted
    assert {row[3] for row in rows()} == ANSWERS
    assert [row for row in rows() if len(row) != 5 or not all(row)] == []


def test_what_it_says_of_itself_is_true() -> None:
    counts = Counter(row[3] for row in rows())
    said = re.search(r"Of (\d+) requirements (\d+) are met, (\d+) are not met and (\d+) do not apply\.", DOCUMENT)
    assert said is not None
    assert [int(number) for number in said.groups()] == [
        counts.total(),
        counts["met"],
        counts["not met"],
        counts["does not apply"],
    ]
    (summary,) = re.findall(r"^Not met, most important first:.*?\n\n", DOCUMENT, re.DOTALL | re.MULTILINE)
    assert set(re.findall(r"\d+\.\d+\.\d+", summary)) == {row[0] for row in rows() if row[3] == "not met"}


def test_what_is_met_names_where_and_what_is_not_says_what_to_do() -> None:
    for number, _, _, answer, why in rows():
        if answer == "met":
            assert re.search(r"`(app|docs|tests)/[\w/]+\.\w+", why), number
        elif answer == "not met":
            assert "To do: " in why, number


def test_every_test_and_file_that_is_named_exists() -> None:
    named = re.findall(r"`((?:app|docs|tests)/[\w/.]+)(?:::(\w+))?`", DOCUMENT)
    assert len(named) > 100
    missing = [path for path, _ in named if not (ROOT / path).is_file()]
    assert missing == []
    absent = [f"{path}::{test}" for path, test in named if test and test not in names_in(path)]
    assert absent == []
    assert [path for path, test in named if path.startswith("tests/") and not test] == []


def test_every_setting_that_is_named_exists() -> None:
    for group, name in re.findall(r"`VOUCH_([A-Z]+)__([A-Z_]+)`", DOCUMENT):
        assert name.lower() in type(getattr(Settings(), group.lower())).model_fields, name


def test_password_fields_hide_what_is_typed_and_let_managers_help() -> None:
    fields = []
    for template in (ROOT / "app").rglob("*.html"):
        for field in re.findall(r"<input[^>]*\bname=\"[a-z_]*password\"[^>]*>", template.read_text()):
            fields.append(template.name)
            assert 'type="password"' in field, field
            assert re.search(r'autocomplete="(current|new)-password"', field), field
    assert len(fields) >= 6
    scripts = "".join(path.read_text() for path in (ROOT / "app" / "site" / "static" / "js").rglob("*.js"))
    assert "paste" not in scripts


def test_a_new_installation_has_no_account(world: World) -> None:
    create_app(world.settings).state.services.close()
    assert world.count(Account) == 0
