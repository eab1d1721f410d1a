"""A text as plain words, so that the same words match however they are dressed up.

Letters are folded (case, accents, full-width and mathematical forms, Cyrillic and Greek look-alikes), what can't be
seen is dropped, digits inside words become the letters that they stand for, words that are spelled out are put
together. Every character remembers where it came from.

Some of this is a guess: `pass-word` may be one word or two, a 1 may be an i or an l. So a text has up to two readings,
and a rule matches when it matches in either.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

# Pairs of a letter and what it looks like
_CYRILLIC = "аa вb еe кk мm нh оo рp сc тt уy хx іi јj ѕs һh ӏl ԁd ԛq ԝw"
_GREEK = "αa βb γy εe ιi κk οo ρp τt υu χx ωw"
_LATIN = "ıi łl øo đd ħh ɑa ɡg ʟl ɪi ƒf ŧt ʀr ɴn ʏy ʙb"
_ARMENIAN = "օo ոn սu հh"
_ALPHABETS = (0x1F150, 0x1F170, 0x1F1E6)  # white on black, boxed, flags: A to Z each
_STANDS_FOR = {
    **{pair[0]: pair[1] for pair in f"{_CYRILLIC} {_GREEK} {_LATIN} {_ARMENIAN}".split()},
    **{chr(first + i): chr(ord("a") + i) for first in _ALPHABETS for i in range(26)},
    "æ": "ae",
    "œ": "oe",
}
_UNSEEN_RANGES = (
    *((0x34F, 0x34F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2B0, 0x2FF)),
    *((0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xE0100, 0xE01EF)),
)
_UNSEEN = frozenset(chr(c) for first, last in _UNSEEN_RANGES for c in range(first, last + 1))
_PART_OF_LETTER = (0, 7, 8, 9)
"""Combining classes of marks without which a word is another one: vowels and the like of Indian scripts, and kana."""
_APOSTROPHES = "'’‘‛`´＇"
_LETTER_LIKE = "@$!|+"
_DIGITS = str.maketrans("0345789@$+", "oeastbgast")
_EITHER = (str.maketrans("1!|νη", "iiinn"), str.maketrans("1!|νη", "lilvh"))

_SEPARATE = re.compile(r"[^ .'@$!|+]+(?:'[^ .'@$!|+]+)*")
_TOGETHER = re.compile(r"[^ ]+")
_NUMBER_AND_WORD = re.compile(r"(\d{2,})(\D+)|(\D{2,})(\d+)")
_REPEATED = re.compile(r"([^\d])\1\1")

_LONGEST = 4
"""A sign that unfolds into more, as a whole phrase in one, stays as it is: a text does not grow out of bounds."""
_SPACE, _BLOT = b" ."

_SPELLED = (3, 2)
"""How many single letters in a row are a word that is spelled out, for each reading."""
_ARTICLES = "aeioy"
"""Words of one letter that may stand before one that is spelled out."""


@dataclass(frozen=True)
class Reading:
    """One way to read a text."""

    data: bytes
    """UTF-8 of the plain words, each with a space before and one behind it."""
    _at: list[int]
    """For each byte, the place in the text."""
    _text: str

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Where the words of `data[start:end]` are in the text: first character and the one after the last."""
        last = self._at[end - 2] + 1
        while last < len(self._text) and not _folded(self._text[last]):
            last += 1
        return self._at[start + 1], last

    def without(self, places: set[int]) -> bytes:
        """The data with the characters that come from these places blotted out, so that no phrase finds them."""
        if not places:
            return self.data
        return bytes(_BLOT if at in places and b != _SPACE else b for b, at in zip(self.data, self._at, strict=True))


def readings(text: str) -> list[Reading]:
    """The one or two readings of a text: signs inside words part them, or do not. Time is linear in its length."""
    if text.isascii():
        folded, at = text.translate(_PLAIN_ASCII), list(range(len(text)))
    else:
        pieces = [_folded(c) for c in text]
        folded, at = "".join(pieces), [place for place, piece in enumerate(pieces) for _ in piece]
    apart = _reading(text, _leet(_put_together(_separate(folded, at), _SPELLED[0]), 0))
    joined = _reading(text, _leet(_put_together(_together(folded, at), _SPELLED[1]), 1))
    return [apart] if apart.data == joined.data else [apart, joined]


@lru_cache(maxsize=8192)
def plain_words(text: str) -> tuple[str, ...]:
    """The words of a pattern, as they stand in the first reading of a text that has them."""
    return tuple(readings(text)[0].data.decode().split())


@lru_cache(maxsize=8192)
def _folded(char: str) -> str:
    """What becomes of a character: letters, a space, an apostrophe, a sign like a letter, a dot for others, nothing."""
    if char in _APOSTROPHES:
        return "'"
    made = "".join(map(_kept, unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", char).casefold())))
    return made if len(made) <= _LONGEST else _kept(char)


def _kept(char: str) -> str:
    if char in _STANDS_FOR or char in _LETTER_LIKE:
        return _STANDS_FOR.get(char, char)
    category = unicodedata.category(char)
    if char in _UNSEEN or category in ("Cf", "Me"):
        return ""
    if category == "Mn" and unicodedata.combining(char) not in _PART_OF_LETTER:
        return ""
    if category == "Nd":
        return str(unicodedata.digit(char))
    if category[0] in "LNM":
        return char
    return " " if char.isspace() else "."


_PLAIN_ASCII = {code: _folded(chr(code)) or None for code in range(128)}


class _Word(NamedTuple):
    text: str
    at: list[int]
    gap: int
    """Characters between it and the word before."""


def _word(folded: str, at: list[int], start: int, end: int, gap: int, signs: str) -> _Word:
    """The word at a place, without the signs in it."""
    text = folded[start:end]
    if text.isalpha():
        return _Word(text, at[start:end], gap)
    kept = [i for i in range(start, end) if folded[i] not in signs]
    return _Word("".join(folded[i] for i in kept), [at[i] for i in kept], gap)


def _separate(folded: str, at: list[int]) -> Iterator[_Word]:
    """Words between spaces and signs; an apostrophe inside a word is left out."""
    before = 0
    for match in _SEPARATE.finditer(folded):
        start, end = match.span()
        yield _word(folded, at, start, end, start - before, "'")
        before = end


def _together(folded: str, at: list[int]) -> Iterator[_Word]:
    """Words between spaces alone; signs inside are left out or are letters."""
    before = 0
    for match in _TOGETHER.finditer(folded):
        start, end = match.span()
        while start < end and folded[start] in ".'!|+":
            start += 1
        while start < end and folded[end - 1] in ".'!|+":
            end -= 1
        if start < end:
            yield _word(folded, at, start, end, start - before, ".'")
            before = end


def _put_together(words: Iterable[_Word], least: int) -> Iterator[_Word]:
    """Make one word of at least `least` single letters in a row. A wider gap than the first one ends it."""
    run: list[_Word] = []
    for word in words:
        if len(word.text) > 1 or (len(run) > 1 and word.gap > run[1].gap):
            yield from _spelled(run, least)
            run = []
        if len(word.text) > 1:
            yield word
        else:
            run.append(word)
    yield from _spelled(run, least)


def _spelled(run: list[_Word], least: int) -> Iterator[_Word]:
    if least == _SPELLED[1] and len(run) > _SPELLED[0] and run[0].text in _ARTICLES:
        yield run[0]
        run = run[1:]
    if len(run) < least or all(word.text.isdigit() for word in run):
        yield from run
    else:
        yield _Word("".join(word.text for word in run), [word.at[0] for word in run], run[0].gap)


def _leet(words: Iterable[_Word], reading: int) -> Iterator[_Word]:
    """Digits and signs inside words as letters; in the first reading a number beside a word stays one."""
    for word in words:
        if word.text.isalpha():
            yield _once(word, reading)
        elif word.text.isdigit():
            yield word
        elif reading == 0 and (parts := _NUMBER_AND_WORD.fullmatch(word.text)):
            cut = parts.end(1) if parts[1] else parts.end(3)
            yield _once(_Word(word.text[:cut], word.at[:cut], word.gap), reading)
            yield _once(_Word(word.text[cut:], word.at[cut:], 0), reading)
        else:
            yield _once(_Word(word.text.translate(_DIGITS), word.at, word.gap), reading)


def _once(word: _Word, reading: int) -> _Word:
    """Three and more of a letter are one; letters that look like two others are the one of this reading."""
    if word.text.isdigit():
        return word
    text = word.text.translate(_EITHER[reading])
    if not _REPEATED.search(text):
        return _Word(text, word.at, word.gap)
    kept: list[int] = []
    for _, group in groupby(range(len(text)), key=text.__getitem__):
        places = list(group)
        kept += places[:1] if len(places) > 2 else places
    return _Word("".join(text[i] for i in kept), [word.at[i] for i in kept], word.gap)


def _reading(text: str, words: Iterable[_Word]) -> Reading:
    data: list[str] = []
    at: list[int] = []
    for word in words:
        data.append(f" {word.text} ")
        at += [word.at[0], *word.at, word.at[-1]]
    plain = "".join(data)
    if not plain.isascii():
        at = [place for place, char in zip(at, plain, strict=True) for _ in char.encode()]
    return Reading(plain.encode(), at, text)
