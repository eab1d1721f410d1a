"""The sentence of consent and how a recording of it is judged. Pure: text and numbers in, verdict out."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Literal

from app.voices.models import ConsentState

CHALLENGE_LENGTH = 6
LANGUAGES = {"en": "English"}
"""Languages that a consent can be given in."""
VOICE_LANGUAGES = {"en-us": "English (American)", "en-gb": "English (British)"}
"""Languages that a voice can speak: what the embedded engine speaks well and a consent can be given in."""
DEFAULT_VOICE_LANGUAGE = "en-us"

# By benches/consent_words.py: of 24 readings by the donor voice all were verified (word errors 0.06 to 0.28, 4 to 6
# random words found); of 446 recordings of other random words none came further than failed (at most 2 found).
ACCEPT_WORD_ERRORS = 0.30
"""Share of wrong words up to which the sentence counts as read."""
REVIEW_WORD_ERRORS = 0.45
"""Above this it is another text."""
ACCEPT_CHALLENGE = 4
"""Random words (of six) that must be heard: speech recognition mishears single words without context."""
REVIEW_CHALLENGE = 3


@lru_cache
def challenge_words() -> tuple[str, ...]:
    """Common words that sound unlike each other, so that speech recognition rarely confuses them."""
    return tuple((files("app.voices") / "challenge_words.txt").read_text().split())


def new_challenge() -> list[str]:
    """Random words that end a statement: 6 of 189, about 45 bits, so no recording can be prepared."""
    words = list(challenge_words())
    secrets.SystemRandom().shuffle(words)
    return words[:CHALLENGE_LENGTH]


def statement_of(speaker: str, service: str, challenge: Sequence[str]) -> str:
    """The sentence to read aloud, in English."""
    words = ", ".join(challenge)
    return (
        f"I, {speaker}, agree that {service} makes a synthetic copy of my voice from my recordings "
        f"and that it may speak in it. My words for today are: {words}."
    )


@dataclass(frozen=True)
class Reading:
    """What the workers heard in a recording."""

    transcript: str
    similarity: float
    speaker: Literal["accept", "review", "refuse"]
    """How the voice compares with the sample's, by calibrated limits."""


@dataclass(frozen=True)
class Judgement:
    """What follows from a reading."""

    state: ConsentState
    word_error_rate: float
    challenge_found: int
    reasons: tuple[dict[str, str], ...] = field(default=())


def judge(statement: str, challenge: Sequence[str], reading: Reading) -> Judgement:
    """Verified when words and voice both pass, failed when either clearly does not, in review between.

    An empty `challenge` means that the statement has none to look for (only test statements have none).
    """
    errors = word_error_rate(statement, reading.transcript)
    found = count_found(challenge, reading.transcript)
    words = _judge_words(errors, found, len(challenge))
    outcomes = {words, reading.speaker}
    reasons = tuple(r for r in (_WORDS.get(words), _SPEAKER.get(reading.speaker)) if r)
    if "refuse" in outcomes:
        state = ConsentState.FAILED
    elif "review" in outcomes:
        state = ConsentState.IN_REVIEW
    else:
        state = ConsentState.VERIFIED
    return Judgement(state, round(errors, 3), found, reasons)


def _judge_words(errors: float, found: int, of: int) -> Literal["accept", "review", "refuse"]:
    missing = of - found
    if errors <= ACCEPT_WORD_ERRORS and missing <= CHALLENGE_LENGTH - ACCEPT_CHALLENGE:
        return "accept"
    if errors <= REVIEW_WORD_ERRORS and missing <= CHALLENGE_LENGTH - REVIEW_CHALLENGE:
        return "review"
    return "refuse"


_WORDS = {
    "review": {
        "code": "consent.words_unclear",
        "message": "We could not make out every word of the sentence, so a moderator will listen to it.",
    },
    "refuse": {
        "code": "consent.words",
        "message": "What we heard is not the sentence we asked for. Read exactly the words shown, in a quiet room.",
    },
}
_SPEAKER = {
    "review": {
        "code": "consent.speaker_unclear",
        "message": "The voice is close to the sample's but not certain, so a moderator will listen to it.",
    },
    "refuse": {
        "code": "consent.speaker",
        "message": "This is not the voice of the sample. The person whose voice it is must read the sentence.",
    },
}


def count_found(challenge: Sequence[str], transcript: str) -> int:
    """How many random words are in the last part of a transcript, each with up to a third of its letters wrong.

    Letters are compared without spaces: recognition splits and joins words that have no context ("all of" for "olive").
    """
    letters = "".join(words_of(transcript))
    end = letters[-(sum(map(len, challenge)) + _BEFORE_CHALLENGE) :]
    return sum(_least_errors(word.lower(), end) <= len(word) // 3 for word in challenge)


_BEFORE_CHALLENGE = 20
"""Letters before the random words that are still looked at, so that a misheard word shifts nothing out."""


def _least_errors(word: str, text: str) -> int:
    """Least edit distance between `word` and any stretch of `text` (Sellers' algorithm)."""
    row = [0] * (len(text) + 1)
    for i, letter in enumerate(word, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(text, 1):
            diagonal, row[j] = row[j], min(diagonal + (letter != other), row[j] + 1, row[j - 1] + 1)
    return min(row)


def words_of(text: str) -> list[str]:
    """Lower-case words without accents and punctuation; an apostrophe joins its word."""
    plain = unicodedata.normalize("NFKD", text.lower())
    plain = "".join(c for c in plain if not unicodedata.combining(c)).replace("'", "").replace("’", "")
    return re.findall(r"[^\W_]+", plain)


def word_error_rate(expected: str, heard: str) -> float:
    """Wrong, missing and added words as a share of the expected ones (word-level Levenshtein distance)."""
    reference, hypothesis = words_of(expected), words_of(heard)[:2_000]
    row = list(range(len(hypothesis) + 1))
    for i, word in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(hypothesis, 1):
            substitution = diagonal + (word != other)
            diagonal, row[j] = row[j], min(substitution, row[j] + 1, row[j - 1] + 1)
    return row[-1] / max(len(reference), 1)
