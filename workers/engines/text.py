"""Text made ready for an engine: cleaned, then cut into pieces that it can speak in one go.

Everything here is linear in the length of the text, whatever the text is.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from workers.engines.base import TextNotSpeakable

SHORTEST_PIECE = 24
"""Characters; engines stumble over a lone word, so pieces below this are joined to a neighbour."""

_DROPPED = {"Cf", "Cs", "Co", "Cn", "Me", "Sk"}  # format and bidi marks, unassigned, keycaps, skin tones
_SPACED = {"Cc", "So", "Zl", "Zp", "Zs"}  # controls, emoji and other pictures
_MOST_MARKS = 3  # combining marks on one letter; Devanagari needs that many, "Zalgo" text has dozens
_LONGEST_EXPANSION = 4  # letters that a ligature may become
_SAID_SYMBOLS = frozenset("°©®™")  # symbols among the pictures that have a reading
_TYPOGRAPHY = str.maketrans({"’": "'", "‘": "'", "`": "'", "–": "—", "‐": "-", "‑": "-", "\u2044": "/", "।": "."})

_REPEATED = re.compile(r"([!?.,;:—…_*=~#-])\1{2,}")
_SENTENCE_END = re.compile(r"[.!?…]+[\"')\]”»]*(?=\s)|\n+")
_CLAUSE_END = re.compile(r"[,;:—)\]”][\"')\]”]*(?=\s)")
_LAST_WORD = re.compile(r"[^\W\d_][\w.]*$")
# fmt: off
_ABBREVIATIONS = frozenset({
    "mr", "mrs", "ms", "dr", "prof", "st", "mt", "rev", "hon", "capt", "col", "gen", "lt", "sgt", "jr",
    "sr", "vs", "vol", "fig", "approx", "dept", "est", "inc", "ltd", "co", "corp", "e.g",
    "i.e", "a.m", "p.m", "u.s", "u.k", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept",
    "oct", "nov", "dec",
})
# fmt: on
_LONGEST_ABBREVIATION = 8

_PAUSES = {
    ",": 0.12,
    ";": 0.22,
    ":": 0.22,
    "—": 0.2,
    ")": 0.12,
    "]": 0.12,
    ".": 0.32,
    "!": 0.34,
    "?": 0.36,
    "…": 0.4,
}
_PAUSE_AT_LINE_END = 0.5
_PAUSE_IN_CLAUSE = 0.03


@dataclass(frozen=True)
class Piece:
    """A stretch of text to speak in one go, and the seconds of silence that should follow it."""

    text: str
    pause: float


def normalise(text: str) -> str:
    """`text` without what can't be said: controls, bidi marks, emoji, stacked accents; line ends stay.

    Letters in fancy styles (full width, mathematical) become plain ones. Raises TextNotSpeakable when no
    letter and no digit is left.
    """
    kept: list[str] = []
    marks = 0
    for character in unicodedata.normalize("NFC", text.translate(_TYPOGRAPHY)):
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Mc") else 0
        kept.append(_kept(character, category) if marks <= _MOST_MARKS else "")
    cleaned = _REPEATED.sub(r"\1\1\1", "".join(kept))
    lines = (" ".join(line.split()) for line in cleaned.split("\n"))
    result = "\n".join(line for line in lines if line)
    if not any(character.isalnum() for character in result):
        raise TextNotSpeakable("There is nothing to say in this text: it needs at least one letter or digit.")
    return result


def split(text: str, longest: int, shortest: int = SHORTEST_PIECE) -> list[Piece]:
    """Pieces of normalised `text`, at most `longest` characters each: sentences, or clauses of a long one.

    Tiny sentences are joined to a neighbour where that fits. No word is lost and the order is kept; a single
    word above `longest` is cut. Raises TextNotSpeakable as normalise does.
    """
    if longest < 2 * shortest:
        raise ValueError("longest must be at least twice shortest")
    pieces: list[Piece] = []
    for sentence in _sentences(normalise(text)):
        for part in _clauses(sentence, longest):
            _append(pieces, part, longest, shortest)
    last = pieces[-1]
    if len(last.text) < shortest and len(pieces) > 1:
        before = pieces[-2]
        if len(before.text) + 1 + len(last.text) <= longest:
            pieces[-2:] = [Piece(f"{before.text} {last.text}", last.pause)]
    spoken = [p for p in pieces if any(c.isalnum() for c in p.text)]
    return [*spoken[:-1], Piece(spoken[-1].text, 0.0)]


def is_abbreviation(text: str, stop: int) -> bool:
    """True if the full stop text[stop] ends no sentence: that of "Dr. Who", of an initial, or before lower case."""
    if text[stop + 2 : stop + 3].islower():
        return True
    word = _LAST_WORD.search(text[max(0, stop - _LONGEST_ABBREVIATION) : stop])
    if word is None:
        return False
    return word.group().lower() in _ABBREVIATIONS or (len(word.group()) == 1 and word.group() != "I")


def _kept(character: str, category: str) -> str:
    if character == "\n":
        return "\n"
    if character in _SAID_SYMBOLS:
        return character
    if category in _SPACED:
        return " "
    if category in _DROPPED or "\ufe00" <= character <= "\ufe0f":  # variation selectors
        return ""
    if category[0] == "L":
        plain = unicodedata.normalize("NFKC", character)
        return plain if len(plain) <= _LONGEST_EXPANSION else character
    return character


def _append(pieces: list[Piece], part: Piece, longest: int, shortest: int) -> None:
    """Add a piece, or join it to the last one when that one is tiny."""
    if pieces and len(pieces[-1].text) < shortest and len(pieces[-1].text) + 1 + len(part.text) <= longest:
        pieces[-1] = Piece(f"{pieces[-1].text} {part.text}", part.pause)
    else:
        pieces.append(part)


def _sentences(text: str) -> list[Piece]:
    found: list[Piece] = []
    start = 0
    for end in _SENTENCE_END.finditer(text):
        at_line_end = end.group().startswith("\n")
        if end.group() == "." and is_abbreviation(text, end.start()):
            continue
        stop = end.start() if at_line_end else end.end()
        if text[start:stop].strip():
            found.append(_piece(text[start:stop]))
        if at_line_end and found:
            found[-1] = Piece(found[-1].text, _PAUSE_AT_LINE_END)
        start = end.end()
    if text[start:].strip():
        found.append(_piece(text[start:]))
    return found


def _clauses(sentence: Piece, longest: int) -> list[Piece]:
    """The sentence, cut while too long: at its last clause end that fits, else a space, else anywhere."""
    rest, found = sentence.text, []
    while len(rest) > longest:
        window = rest[: longest + 1]
        ends = [m.end() for m in _CLAUSE_END.finditer(window) if m.end() >= longest // 4]
        cut = ends[-1] if ends else window.rfind(" ")
        if cut <= 0:
            cut = longest
        found.append(_piece(rest[:cut]))
        rest = rest[cut:].lstrip()
    return [*found, Piece(rest, sentence.pause)] if rest else found


def _piece(text: str) -> Piece:
    clean = " ".join(text.split())
    final = clean.rstrip("\"'”»")[-1:] or clean[-1:]
    return Piece(clean, _PAUSES.get(final, _PAUSE_IN_CLAUSE))
