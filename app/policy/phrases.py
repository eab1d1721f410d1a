"""The language of patterns: phrases that a person can read, compiled to RE2, whose time is linear in the text.

    (read|tell|give) me [the|your] code     one of several; may be missing
    transfer* ...6 # euros                  any ending; up to six words between; a number
    {ask} ...3 {code}                       the word lists `ask` and `code` of the pack; a list may use those above it

Everything is compared as plain words (see `app.policy.plain`): case, accents and punctuation do not matter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

import re2

from app.policy.plain import plain_words

MAX_PATTERN = 400
"""Characters of one pattern or entry of a word list."""
MAX_GAP = 30
"""Words that may stand between."""
MAX_DEPTH = 6
"""Brackets and word lists inside each other."""
MAX_EXPANDED = 100_000
"""Characters of what a pattern becomes, with its word lists."""
MAX_MEMORY = 2 * 1024 * 1024
"""Bytes of one compiled rule and its cache."""

_SIGN = re.compile(r"\s*(\.\.\.\d*|\{[^{}]*\}|[()\[\]|#]|[^\s()\[\]|#{}]+|.)")
_CLOSING = {"(": ")", "[": "]"}


class PhraseError(ValueError):
    """A pattern that can't be read; the message says what is wrong with it."""


def compile_phrases(patterns: Sequence[str], words: Mapping[str, Sequence[str]]) -> Any:
    """A compiled expression that finds any of the patterns in the data of a reading. Raises PhraseError."""
    expression = "|".join(_expression(pattern, words) for pattern in patterns)
    options = re2.Options()
    options.max_mem = MAX_MEMORY
    options.never_capture = True
    options.log_errors = False
    try:
        compiled = re2.compile(expression, options)
    except re2.error as error:
        raise PhraseError("its patterns are too large together: use fewer patterns or shorter gaps") from error
    if compiled.fullmatch(b""):
        raise PhraseError("one of its patterns has nothing that must be there, so it would match every text")
    return compiled


def _expression(pattern: str, words: Mapping[str, Sequence[str]]) -> str:
    if len(pattern) > MAX_PATTERN:
        raise PhraseError(f"it is longer than {MAX_PATTERN} characters")
    signs = _SIGN.findall(pattern.strip())
    if signs and (signs[0].startswith("...") or signs[-1].startswith("...")):
        raise PhraseError("it begins or ends with a gap; a gap stands between words")
    parser = _Parser(signs, words)
    made = parser.alternatives(None, 0)
    if parser.only_gaps:
        raise PhraseError("it has no words")
    return made


class _Parser:
    """Recursive descent over the signs of one pattern."""

    def __init__(self, signs: list[str], words: Mapping[str, Sequence[str]]) -> None:
        self._signs = signs
        self._words = words
        self._next = 0
        self.only_gaps = True

    def alternatives(self, opened: str | None, depth: int) -> str:
        """What stands between brackets, or the whole pattern when nothing was opened."""
        if depth > MAX_DEPTH:
            raise PhraseError(f"its brackets are more than {MAX_DEPTH} deep")
        branches: list[list[str]] = [[]]
        while self._next < len(self._signs):
            sign = self._signs[self._next]
            self._next += 1
            if opened and sign == _CLOSING[opened]:
                return self._group(branches)
            if sign == "|" and opened:
                branches.append([])
            else:
                branches[-1].append(self._item(sign, depth))
        if opened:
            raise PhraseError(f"the bracket {opened} is not closed")
        return self._group(branches)

    def _group(self, branches: list[list[str]]) -> str:
        if not all(branches):
            raise PhraseError("there is nothing on one side of a |, or nothing in brackets")
        made = "(?:" + "|".join("".join(items) for items in branches) + ")"
        if len(made) > MAX_EXPANDED:
            raise PhraseError("it is too large with all its word lists")
        return made

    def _item(self, sign: str, depth: int) -> str:
        if sign == "(":
            return self.alternatives("(", depth + 1)
        if sign == "[":
            return self.alternatives("[", depth + 1) + "?"
        if sign == "#":
            return "(?: [0-9]+ )+"
        if sign.startswith("..."):
            return self._gap(sign[3:])
        if sign.startswith("{") and len(sign) > 1:
            return self._named(sign[1:-1], depth)
        if sign in ")]}{|":
            raise PhraseError(f"the sign {sign} stands alone; put several words in ( ) and what may be missing in [ ]")
        return self._word(sign)

    def _gap(self, number: str) -> str:
        most = int(number or 0)
        if not 1 <= most <= MAX_GAP:
            raise PhraseError(f"say how many words may stand between, as ...1 to ...{MAX_GAP}")
        return f"(?: [^ ]+ ){{0,{most}}}"

    def _named(self, name: str, depth: int) -> str:
        if name not in self._words:
            raise PhraseError(f"there is no word list {{{name}}} in this pack, or it stands further down")
        above = dict(takewhile(lambda entry: entry[0] != name, self._words.items()))
        branches = []
        for entry in self._words[name]:
            inner = _Parser(_SIGN.findall(entry.strip()), above)
            branches.append([inner.alternatives(None, depth + 1)])
            self.only_gaps = self.only_gaps and inner.only_gaps
        return self._group(branches)

    def _word(self, sign: str) -> str:
        plain = plain_words(sign.strip("*"))
        if not plain or "*" in sign.strip("*"):
            raise PhraseError(f"{sign!r} is no word; a * may stand at the beginning or the end of one")
        self.only_gaps = False
        made = "".join(f" {re.escape(word)} " for word in plain)
        if sign.startswith("*"):
            made = " [^ ]*" + made[1:]
        return made[:-1] + "[^ ]* " if sign.endswith("*") else made
