"""The channel of the words: what is heard in the query, compared with every text that was ever spoken here.

It finds clips whose sound is beyond recognition, and it is a lead at most: anybody can say the same words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from workers.trace.known import Floats, Known

HEARD_SECONDS = 60.0
"""So much of a query is transcribed: from its start, which bounds the time of long ones."""
LEAST_WORDS = 5
"""Fewer words in common are said by chance every day."""
_RATE = 16_000
_WORD = re.compile(r"[^\W_]+")
MOST_TEXTS, MOST_WORDS = 10, 1_000
"""Texts that are compared, and words of each: comparing takes time of the order of their product with what is heard."""
_GAP = 3  # words of either side that may be missing or wrong between two that agree


@dataclass(frozen=True)
class WordsHit:
    """The text that agrees best with what was heard."""

    heard: int
    clips: int
    """How many clips agree as well as the best."""
    agreeing: int
    share: float
    """Words that agree, of those heard in the stretch."""
    start: float
    end: float


def plain(text: str) -> list[str]:
    """The words of a text without case and punctuation."""
    return _WORD.findall(text.casefold())


def hear(audio: Floats, known: Known) -> tuple[WordsHit | None, int]:
    """The best agreement of 16 kHz audio with a text, None when there is none, and how many words were heard."""
    if known.texts is None:
        return None, 0
    words = known.texts.hear(audio[: int(HEARD_SECONDS * _RATE)])
    split = [(part, word) for word in words for part in plain(word.text)]
    said = [part for part, _ in split]
    if len(said) < LEAST_WORDS:
        return None, len(said)
    texts = known.texts.search(said)[:MOST_TEXTS]
    found = [(_agreement(said, plain(each.text)[:MOST_WORDS]), each) for each in texts]
    fitting = [(stretch, each) for stretch, each in found if stretch is not None]
    if not fitting:
        return None, len(said)
    (agreeing, first, last), _ = max(fitting, key=lambda pair: pair[0][0])
    clips = sum(stretch[0] == agreeing for stretch, _ in fitting)
    share = agreeing / (last - first + 1)
    return WordsHit(len(said), clips, agreeing, share, split[first][1].start, split[last][1].end), len(said)


def _agreement(heard: Sequence[str], text: Sequence[str]) -> tuple[int, int, int] | None:
    """(words in common in order, first, last of them as heard) of the best stretch; None below LEAST_WORDS.

    A stretch may have gaps of a few words, where the recogniser heard something else.
    """
    blocks = [block for block in SequenceMatcher(None, heard, text, autojunk=False).get_matching_blocks() if block.size]
    best: tuple[int, int, int] | None = None
    run: tuple[int, int, int] | None = None
    end_of_text = 0
    for block in blocks:
        near = run is not None and block.a - run[2] - 1 <= _GAP and block.b - end_of_text <= _GAP
        last = block.a + block.size - 1
        run = (run[0] + block.size, run[1], last) if near and run is not None else (block.size, block.a, last)
        end_of_text = block.b + block.size
        best = run if best is None or run[0] > best[0] else best
    return best if best is not None and best[0] >= LEAST_WORDS else None
