"""YAML in which every value knows its line, and every scalar is the text that stands there (`no` is not False)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]


class YamlProblem(ValueError):
    """What is wrong with a file, and on which line (from 1)."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


@dataclass(frozen=True)
class Located:
    """What a file says: nested dicts, lists and strings."""

    value: Any
    _lines: dict[Path, int] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """The line of a value, or of the nearest one around it that is there."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # without the C library the slow one does the same

_MAX_DEPTH = 20


def read_yaml(text: str) -> Located:
    """Parse one document. Raises YamlProblem for syntax, keys that stand twice and aliases. Tags mean nothing."""
    lines: dict[Path, int] = {}
    try:
        _limit_depth(text)
        node = yaml.compose(text, Loader=_LOADER)
        return Located(None if node is None else _value(node, (), lines, set()), lines)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise YamlProblem(line, f"{error.problem or 'it is no YAML'}; put texts and patterns in quotes") from error
    except yaml.YAMLError as error:
        raise YamlProblem(1, "it is no YAML that can be read") from error


def _limit_depth(text: str) -> None:
    """The C library builds nodes by recursion and would crash the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise YamlProblem(line, f"brackets or dashes are more than {_MAX_DEPTH} deep")


def _value(node: yaml.Node, path: Path, lines: dict[Path, int], seen: set[int]) -> Any:
    line = node.start_mark.line + 1
    if id(node) in seen:
        raise YamlProblem(line, "this is used again further down by an alias (*), which can't be done here")
    seen.add(id(node))
    lines[path] = line
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, number), lines, seen) for number, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return node.value
    mapping: dict[str, Any] = {}
    for key, item in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise YamlProblem(key.start_mark.line + 1, "a name is expected before the colon; put patterns in quotes")
        if key.value in mapping:
            raise YamlProblem(key.start_mark.line + 1, f"{key.value!r} stands here twice")
        mapping[key.value] = _value(item, (*path, key.value), lines, seen)
        lines[(*path, key.value)] = key.start_mark.line + 1
    return mapping
