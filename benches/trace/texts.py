"""Sentences to be spoken by the benchmark: everyday English, put together from parts, the same for every seed."""

from __future__ import annotations

from random import Random

_WHO = (
    "The night nurse", "My older brother", "A man from the bank", "Our new neighbour", "The head of the school",
    "Somebody at the harbour", "The woman behind the counter", "Her grandfather", "A young engineer",
    "The driver of the last bus", "Every member of the choir", "Nobody in the village",
)  # fmt: skip
_DID = (
    "put away", "asked about", "carried home", "forgot to mention", "wrote a long letter about", "quietly paid for",
    "could hardly believe", "took a picture of", "spent the morning repairing", "was looking everywhere for",
    "never talked about", "had always wanted",
)  # fmt: skip
_WHAT = (
    "the old wooden boat", "two cups of strong coffee", "a box full of photographs", "the broken kitchen window",
    "a yellow bicycle", "the keys to the garden gate", "three tickets for the concert", "that strange green jacket",
    "the map of the northern islands", "a bag of fresh oranges", "the first page of the contract", "a very small dog",
)  # fmt: skip
_WHEN = (
    "before the sun came up", "while the others were asleep", "on the second of March", "after a long discussion",
    "just as the train was leaving", "without saying a word", "in spite of the heavy rain",
    "for the third time this week",
    "when the music finally stopped", "as if it were the most natural thing in the world", "shortly after lunch",
    "until the telephone rang",
)  # fmt: skip


def text_of(seed: int, characters: int) -> str:
    """Whole sentences of about so many characters together; one at least."""
    pick = Random(seed)
    said: list[str] = []
    while not said or sum(map(len, said)) + len(said) < characters - 30:
        parts = [pick.choice(_WHO), pick.choice(_DID), pick.choice(_WHAT)]
        if characters >= 60:
            parts.append(pick.choice(_WHEN))
        said.append(" ".join(parts) + ".")
    return " ".join(said)
