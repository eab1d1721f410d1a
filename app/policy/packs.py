"""Packs of text rules: YAML files, the built-in ones and those of `policy.packs`. Read once per process.

docs/text-rules.md describes the format for the people who write packs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.core.errors import Invalid
from app.policy import yaml_lines
from app.policy.findings import Outcome
from app.policy.phrases import PhraseError, compile_phrases
from app.policy.text_rules import TextRule, TextRules
from app.policy.yaml_lines import Located, YamlProblem, read_yaml
from app.settings import Settings

BUILTIN = Path(__file__).with_name("builtin")
MAX_FILE = 512 * 1024
"""Bytes of one pack."""
MAX_RULES = 300

_Id = Annotated[str, Field(pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*$", max_length=60)]
_Sentence = Annotated[str, Field(pattern=r"^\S.*[.?!]$", max_length=300)]
_Example = Annotated[str, Field(min_length=1, max_length=5_000)]
_Phrases = Annotated[tuple[str, ...], Field(min_length=1, max_length=80)]
_Examples = Annotated[tuple[_Example, ...], Field(min_length=3, max_length=100)]


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_Checked = TypeVar("_Checked", bound=_Fields)


class _Rule(_Fields):
    id: _Id
    title: Annotated[str, Field(min_length=3, max_length=80)]
    category: _Id
    outcome: Literal["refuse", "flag"]
    severity: Annotated[int, Field(ge=1, le=5)]
    languages: tuple[Annotated[str, Field(pattern=r"^[a-z]{2,3}$")], ...] = ()
    voices: Literal["all", "cloned"] = "all"
    why: _Sentence
    fix: _Sentence
    patterns: _Phrases
    unless: tuple[str, ...] = ()
    must_match: _Examples
    must_not_match: _Examples


class _SwitchedOff(_Fields):
    id: _Id
    disabled: Literal["true"]


class _Pack(_Fields):
    pack: _Id
    version: Annotated[str, Field(pattern=r"^[0-9A-Za-z.-]{1,20}$")]
    words: dict[Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")], _Phrases] = {}
    rules: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Pack:
    """One file of rules."""

    name: str
    version: str
    """The version that it states and the beginning of the file's digest, which shows an edit without a new number."""
    rules: tuple[TextRule, ...]
    switched_off: tuple[str, ...]
    """Ids of rules of packs before it."""


def text_rules(settings: Settings) -> TextRules:
    """The rules in force: the built-in packs, then those of the settings. Read and compiled at the first call.

    Raises Invalid, which names file, line and rule. A changed file counts from the next start on.
    """
    return _in_force(settings.policy.packs)


@lru_cache(maxsize=8)
def _in_force(paths: tuple[Path, ...]) -> TextRules:
    return put_together([*builtin_packs(), *(read_pack(path) for path in paths)])


def builtin_packs() -> list[Pack]:
    """The packs that come with Vouch."""
    return [read_pack(path) for path in sorted(BUILTIN.glob("*.yaml"))]


def put_together(packs: Sequence[Pack]) -> TextRules:
    """All rules of some packs: of two with the same id the later one counts. Raises Invalid."""
    rules: dict[str, TextRule] = {}
    versions: dict[str, str] = {}
    for pack in packs:
        if pack.name in versions:
            raise _invalid(f"Two packs are called {pack.name!r}.", "Give your pack a name of its own.")
        versions[pack.name] = pack.version
        for off in pack.switched_off:
            if rules.pop(off, None) is None:
                raise _invalid(
                    f"The pack {pack.name!r} switches off the rule {off!r}, which is not there.", "Check the id."
                )
        rules |= {rule.id: rule for rule in pack.rules}
    if len(rules) > MAX_RULES:
        raise _invalid(f"There are {len(rules)} text rules; {MAX_RULES} are the most.", "Switch some off.")
    return TextRules(tuple(rules.values()), versions)


def read_pack(path: Path) -> Pack:
    """Read and compile one file. Raises Invalid, which names file, line and rule."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise _invalid(f"{path} can't be read: {error.strerror}.", "Check the path and its permissions.") from error
    if len(data) > MAX_FILE:
        raise _invalid(f"{path} is larger than {MAX_FILE // 1024} KiB.", "Make several packs of it.")
    return _Reader(path, data).pack()


class _Reader:
    def __init__(self, path: Path, data: bytes) -> None:
        self._path = path
        self._digest = hashlib.sha256(data).hexdigest()[:8]
        try:
            self._file: Located = read_yaml(data.decode())
        except UnicodeDecodeError as error:
            self._wrong((), "it is not UTF-8", line=data[: error.start].count(b"\n") + 1)
        except YamlProblem as error:
            self._wrong((), error.message, line=error.line)

    def pack(self) -> Pack:
        """What the file says, checked and compiled."""
        fields = self._checked(_Pack, self._file.value, ())
        above: dict[str, tuple[str, ...]] = {}
        for name, entries in fields.words.items():
            self._compile(entries, ("words", name), above)
            above[name] = entries
        rules: dict[str, TextRule] = {}
        off = []
        for number, entry in enumerate(fields.rules):
            at = ("rules", number)
            if isinstance(entry, dict) and "disabled" in entry:
                if len(entry) > 2:
                    self._wrong(
                        (*at, "disabled"), "a rule that is switched off has nothing but `id` and `disabled: true`"
                    )
                off.append(self._checked(_SwitchedOff, entry, at).id)
                continue
            rule = self._rule(self._checked(_Rule, entry, at), fields, at)
            if rule.id in rules:
                self._wrong((*at, "id"), "this id stands here twice")
            rules[rule.id] = rule
        return Pack(fields.pack, f"{fields.version}+{self._digest}", tuple(rules.values()), tuple(off))

    def _rule(self, fields: _Rule, pack: _Pack, at: yaml_lines.Path) -> TextRule:
        self._compile(fields.patterns, (*at, "patterns"), pack.words)
        self._compile(fields.unless, (*at, "unless"), pack.words)
        values = fields.model_dump() | {"outcome": Outcome(fields.outcome)}
        try:
            return TextRule(**values, words=pack.words, pack=pack.pack)
        except PhraseError as error:
            self._wrong((*at, "patterns"), str(error))

    def _compile(self, phrases: Iterable[str], at: yaml_lines.Path, words: Mapping[str, tuple[str, ...]]) -> None:
        """One by one, so that the line of the wrong one can be said."""
        for number, phrase in enumerate(phrases):
            try:
                compile_phrases([phrase], words)
            except PhraseError as error:
                self._wrong((*at, number), f"{phrase!r} can't be used: {error}")

    def _checked(self, kind: type[_Checked], value: Any, at: yaml_lines.Path) -> _Checked:
        try:
            return kind.model_validate(value)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            self._wrong((*at, *first["loc"]), _in_words(first["type"], first["loc"]))

    def _wrong(self, at: yaml_lines.Path, message: str, line: int = 0) -> NoReturn:
        rule = ""
        if at[:1] == ("rules",) and len(at) > 1:
            entry = self._file.value["rules"][at[1]]
            rule = f", rule {entry['id']!r}" if isinstance(entry, dict) and "id" in entry else ""
        where = f"{self._path}, line {line or self._file.line(at)}{rule}"
        raise _invalid(f"{where}: {message}.", "docs/text-rules.md describes what a pack looks like.")


_PROBLEMS = {
    "extra_forbidden": "there is no field {name!r}",
    "missing": "{name!r} is missing",
    "model_type": "names and values are expected here, such as `id: my.rule`",
    "tuple_type": "{name!r} must be a list, one entry a line after a dash",
}
_ID_IS = "small letters, digits, dots and dashes, such as my.rule"
_SENTENCE_IS = "a sentence of at most 300 characters that ends with a full stop"
_EXPECTED = {
    "pack": _ID_IS,
    "version": "up to 20 letters, digits, dots and dashes",
    "words": "names in small letters, each with a list of 1 to 80 entries in quotes",
    "rules": "a list of rules",
    "id": _ID_IS,
    "title": "3 to 80 characters",
    "category": _ID_IS,
    "outcome": "refuse or flag",
    "severity": "a number from 1 to 5",
    "languages": "codes of two or three small letters, such as de",
    "voices": "all or cloned",
    "why": _SENTENCE_IS,
    "fix": _SENTENCE_IS,
    "patterns": "1 to 80 patterns in quotes",
    "unless": "patterns in quotes",
    "must_match": "3 to 100 examples in quotes, of at most 5,000 characters",
    "must_not_match": "3 to 100 examples in quotes, of at most 5,000 characters",
    "disabled": "true; a rule that is not switched off has no such line",
}


def _in_words(kind: str, loc: Sequence[str | int]) -> str:
    name = next((part for part in loc if isinstance(part, str)), "")
    expected = _EXPECTED.get(name, "something else")
    return _PROBLEMS.get(kind, "{name!r} can't be used; expected is {expected}").format(name=name, expected=expected)


def _invalid(message: str, fix: str) -> Invalid:
    return Invalid("policy.pack", message, fix=fix)
