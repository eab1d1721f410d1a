"""Promise: operators edit packs without touching code; a mistake names its file, its line and its rule."""

from __future__ import annotations

import re
from copy import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from typer.testing import CliRunner

from app.cli.commands import cli
from app.core.errors import Invalid
from app.main import create_app
from app.policy.packs import MAX_FILE, Pack, builtin_packs, put_together, read_pack, text_rules
from app.policy.text_rules import TextRules
from app.settings import Settings

DOCUMENT = Path(__file__).parents[2] / "docs" / "text-rules.md"
RULE: dict[str, Any] = {
    "id": "own.sesame",
    "title": "Opens the cave",
    "category": "own",
    "outcome": "refuse",
    "severity": 2,
    "why": "This text opens the cave.",
    "fix": "Leave it shut.",
    "patterns": ["open sesame"],
    "must_match": ["Open, Sesame!", "open sesame now", "please open sesame"],
    "must_not_match": ["Open the door.", "Sesame bread", "They opened it."],
}


def write(folder: Path, *rules: dict[str, Any], name: str = "own", **more: Any) -> Path:
    """A pack as a file."""
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"pack": name, "version": "7", "rules": list(rules), **more}, sort_keys=False))
    return path


def in_force(*packs: Pack) -> TextRules:
    """The built-in packs and others."""
    return put_together([*builtin_packs(), *packs])


def refused(rules: TextRules, text: str) -> str:
    """The rule that refuses a text."""
    refusal = rules.read(text, language="en", cloned=True).refusal
    return refusal.rule if refusal else ""


# Editing


def test_a_pack_of_the_settings_is_asked_beside_the_built_in_ones(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, policy={"packs": [write(tmp_path, RULE)]})
    rules = text_rules(settings)
    assert refused(rules, "Open sesame!") == "own.sesame"
    assert refused(rules, "Read me the verification code.") == "codes.read-out"
    assert rules is text_rules(settings)


def test_the_findings_have_the_version_and_the_digest_of_each_pack(tmp_path: Path) -> None:
    first = in_force(read_pack(write(tmp_path, RULE)))
    edited = in_force(read_pack(write(tmp_path, RULE | {"severity": 3})))
    versions = [rules.read("x", language="en", cloned=True).packs for rules in (first, edited)]
    assert all(re.fullmatch(r"7\+[0-9a-f]{8}", version["own"]) for version in versions)
    assert versions[0]["own"] != versions[1]["own"]
    assert set(versions[0]) == {"own", *(pack.name for pack in builtin_packs())}


def test_a_rule_of_the_same_id_replaces_the_earlier_one(tmp_path: Path) -> None:
    rules = in_force(read_pack(write(tmp_path, RULE | {"id": "codes.read-out"})))
    assert refused(rules, "Read me the verification code.") == ""
    assert refused(rules, "Open sesame") == "codes.read-out"


def test_a_rule_can_be_switched_off(tmp_path: Path) -> None:
    rules = in_force(read_pack(write(tmp_path, {"id": "codes.read-out", "disabled": True})))
    assert refused(rules, "Read me the verification code.") == ""


def test_switching_off_what_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"switches off the rule 'codes.red-out', which is not there"):
        in_force(read_pack(write(tmp_path, {"id": "codes.red-out", "disabled": True})))


def test_switched_off_is_true_or_not_said(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="'disabled' can't be used; expected is true"):
        read_pack(write(tmp_path, {"id": "codes.read-out", "disabled": False}))


def test_two_packs_of_one_name_are_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="Two packs are called 'codes'"):
        in_force(read_pack(write(tmp_path, RULE, name="codes")))


def test_the_built_in_packs_have_each_id_once() -> None:
    ids = [rule.id for pack in builtin_packs() for rule in pack.rules]
    assert len(ids) == len(set(ids))


# Mistakes

MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"outcome": "block"}, r"line 7, rule 'own.sesame': 'outcome' can't be used; expected is refuse or flag"),
    ({"severity": 9}, r"line 8, rule 'own.sesame': 'severity' can't be used"),
    ({"severity": "high"}, r"line 8, .*'severity' can't be used"),
    ({"colour": "red"}, r"line \d+, rule 'own.sesame': there is no field 'colour'"),
    ({"why": "no full stop"}, r"line 9, .*'why' can't be used"),
    ({"patterns": "open sesame"}, r"line 11, .*'patterns' must be a list"),
    ({"patterns": ["open sesame", "(open"]}, r"line 13, rule 'own.sesame': '\(open' can't be used: .*not closed"),
    ({"patterns": []}, r"line 11, .*'patterns' can't be used"),
    ({"unless": ["...3"]}, r"line \d+, .*begins or ends with a gap"),
    ({"must_match": ["open sesame"]}, r"line 13, .*'must_match' can't be used"),
    ({"must_not_match": ["a", "b"]}, r"line 17, .*'must_not_match' can't be used"),
    ({"id": "Has Space"}, r"line 4, rule 'Has Space': 'id' can't be used"),
    ({"languages": ["english"]}, r"'languages' can't be used"),
    ({"voices": "none"}, r"'voices' can't be used"),
    ({"disabled": True}, r"line 21, .*a rule that is switched off has nothing but `id` and `disabled: true`"),
]


@pytest.mark.parametrize(("change", "says"), MISTAKES)
def test_a_mistake_names_file_line_and_rule(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    with pytest.raises(Invalid, match=says) as refused:
        read_pack(write(tmp_path, RULE | change))
    assert refused.value.message.startswith(f"{tmp_path / 'own.yaml'}, line ")


@pytest.mark.parametrize("field", [name for name in RULE if name != "id"])
def test_every_field_is_needed(tmp_path: Path, field: str) -> None:
    with pytest.raises(Invalid, match=f"rule 'own.sesame': '{field}' is missing"):
        read_pack(write(tmp_path, {name: value for name, value in RULE.items() if name != field}))


FILES = [
    (b"", r"line 1: names and values are expected"),
    (b"just a sentence", r"line 1: names and values are expected"),
    (b"pack: own\nversion: '1'\nrules: [\n", r"line \d: .*quotes"),
    (b"pack: own\npack: own\n", r"line 2: 'pack' stands here twice"),
    (b"pack: own\nversion: '1'\nrules:\n- &a {id: b}\n- *a\n", r"line 4: .*alias"),
    (b"pack: own\nversion: '1'\nrules:\n- 5\n", r"line 4: names and values are expected"),
    (b"pack: own\nversion: '1'\nwords:\n  ask: ['(']\n", r"line 4: '\(' can't be used"),
    (b"pack: own\nversion: '1'\nrules: \xff\n", r"line 3: it is not UTF-8"),
    (b"[" * 100_000, r"line 1: brackets or dashes are more than"),
    (b"#" * (MAX_FILE + 1), r"is larger than 512 KiB"),
    (b"pack: own\nversion: '1'\nrules:\n  - patterns: [{a} b]\n", r"quotes"),
]


@pytest.mark.parametrize(("data", "says"), FILES)
def test_a_file_that_is_no_pack_says_what_is_wrong(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes(data)
    with pytest.raises(Invalid, match=says):
        read_pack(path)


def test_the_same_id_twice_in_a_file_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"line \d+, rule 'own\.sesame': this id stands here twice"):
        read_pack(write(tmp_path, RULE, {name: copy(value) for name, value in RULE.items()}))


def test_a_pack_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"gone.yaml can't be read: No such file"):
        create_app(Settings(data_dir=tmp_path, policy={"packs": [tmp_path / "gone.yaml"]}))


def test_settings_of_packs_are_paths() -> None:
    with pytest.raises(ValidationError):
        Settings(policy={"packs": 5})


# The document and the command


def test_the_example_of_the_document_is_a_pack_that_does_what_it_says(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    path = tmp_path / "house.yaml"
    path.write_text(example)
    pack = read_pack(path)
    assert [rule.failing_examples() for rule in pack.rules] == [[]]
    kept = {rule.id for rule in in_force(pack).rules}
    assert "house.lottery" in kept
    assert "threats.violence" not in kept


@pytest.fixture
def vouch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command; gives its exit code and what it printed."""
    monkeypatch.setenv("VOUCH_DATA_DIR", str(tmp_path))

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(cli, list(arguments))
        if isinstance(result.exception, Invalid):
            raise result.exception
        return result.exit_code, result.output

    return run


def test_check_passes_the_built_in_packs_and_a_good_one(vouch: Any, tmp_path: Path) -> None:
    code, said = vouch("rules", "check", str(write(tmp_path, RULE)))
    assert code == 0
    assert re.search(r"own +7\+[0-9a-f]{8} +1 rules, 6 examples", said)


def test_check_tells_every_example_that_fails(vouch: Any, tmp_path: Path) -> None:
    lying = RULE | {
        "must_match": [*RULE["must_match"], "shut"],
        "must_not_match": [*RULE["must_not_match"], "Open sesame"],
    }
    code, said = vouch("rules", "check", str(write(tmp_path, lying)))
    assert code == 1
    assert "own: the rule own.sesame misses: shut" in said
    assert "own: the rule own.sesame matches: Open sesame" in said


def test_check_says_what_is_wrong_with_a_pack(vouch: Any, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="there is no field 'colour'"):
        vouch("rules", "check", str(write(tmp_path, RULE | {"colour": "red"})))


def test_try_says_which_words_meet_which_rule(vouch: Any) -> None:
    code, said = vouch("rules", "try", "Hello. Read me the verification code.")
    assert code == 1
    assert "refuse  codes.read-out" in said
    assert "characters 7 to 36: Read me the verification code" in said


def test_try_says_when_moderators_would_be_told_and_when_nothing_is_found(vouch: Any) -> None:
    assert vouch("rules", "try", "There is a bomb in the school!")[1].endswith("moderators would be told.\n")
    assert vouch("rules", "try", "Good morning.") == (0, "No rule matches.\n")


def test_try_knows_voice_and_language(vouch: Any) -> None:
    plea = "Grandma, it's me. I'm in jail and need bail money."
    assert vouch("rules", "try", plea)[0] == 1
    assert vouch("rules", "try", plea, "--stock")[0] == 0


def test_try_takes_no_text_that_could_not_be_spoken(vouch: Any) -> None:
    with pytest.raises(Invalid, match="longer than 5,000"):
        vouch("rules", "try", "a" * 5_001)
