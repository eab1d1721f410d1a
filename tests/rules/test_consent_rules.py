"""The sentence of consent, and how a reading of it is judged."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.voices.models import ConsentState
from app.voices.rules import (
    ACCEPT_WORD_ERRORS,
    CHALLENGE_LENGTH,
    REVIEW_WORD_ERRORS,
    Reading,
    challenge_words,
    count_found,
    judge,
    new_challenge,
    statement_of,
    word_error_rate,
    words_of,
)

CHALLENGE = list(challenge_words()[:CHALLENGE_LENGTH])
STATEMENT = statement_of("Ada Lovelace", "Vouch", CHALLENGE)
FIXED = statement_of("Ada Lovelace", "Vouch", [])
Speaker = Literal["accept", "review", "refuse"]


def read(
    words_missing: int = 0, text: str | None = None, speaker: Speaker = "accept"
) -> tuple[ConsentState, list[str]]:
    said = statement_of("Ada Lovelace", "Vouch", CHALLENGE[words_missing:]) if text is None else text
    judgement = judge(STATEMENT, CHALLENGE, Reading(said, 0.9, speaker))
    return judgement.state, [reason["code"] for reason in judgement.reasons]


def test_the_right_words_in_the_right_voice_are_consent() -> None:
    assert read() == (ConsentState.VERIFIED, [])


def test_spelling_and_punctuation_do_not_matter() -> None:
    assert read(text=STATEMENT.upper().replace(",", " -- ").replace("agree", "agrée")) == (ConsentState.VERIFIED, [])


def test_another_text_is_refused_for_its_words() -> None:
    other = "It was about the beginning of September that I heard in ordinary discourse that the plague was returned."
    assert read(text=other) == (ConsentState.FAILED, ["consent.words"])


def test_silence_is_refused_for_its_words() -> None:
    assert read(text="") == (ConsentState.FAILED, ["consent.words"])


def test_another_speaker_is_refused_for_the_voice() -> None:
    assert read(speaker="refuse") == (ConsentState.FAILED, ["consent.speaker"])


def test_wrong_words_in_a_wrong_voice_give_both_reasons() -> None:
    assert read(text="Hello.", speaker="refuse") == (ConsentState.FAILED, ["consent.words", "consent.speaker"])


def test_an_uncertain_voice_is_for_a_moderator() -> None:
    assert read(speaker="review") == (ConsentState.IN_REVIEW, ["consent.speaker_unclear"])


@pytest.mark.parametrize(
    ("missing", "state"),
    [
        (0, ConsentState.VERIFIED),
        (1, ConsentState.VERIFIED),
        (2, ConsentState.VERIFIED),
        (3, ConsentState.IN_REVIEW),
        (4, ConsentState.FAILED),
        (6, ConsentState.FAILED),
    ],
)
def test_the_random_words_decide_whether_a_reading_was_prepared(missing: int, state: ConsentState) -> None:
    """The rest of the sentence is perfect: a recording made in advance could be."""
    assert read(words_missing=missing)[0] is state


@pytest.mark.parametrize(
    ("share", "state"),
    [
        (ACCEPT_WORD_ERRORS - 0.05, ConsentState.VERIFIED),
        (ACCEPT_WORD_ERRORS + 0.05, ConsentState.IN_REVIEW),
        (REVIEW_WORD_ERRORS + 0.05, ConsentState.FAILED),
    ],
)
def test_the_share_of_wrong_words_decides_between_read_unclear_and_another_text(
    share: float, state: ConsentState
) -> None:
    """The random words are all there; the words before them go wrong one by one."""
    words = words_of(STATEMENT)
    wrong = round(share * len(words))
    assert read(text=" ".join(["wrong"] * wrong + words[wrong:]))[0] is state


def test_uncertain_words_never_outweigh_a_wrong_voice() -> None:
    assert read(words_missing=2, speaker="refuse")[0] is ConsentState.FAILED


def test_no_word_of_the_challenge_is_in_the_rest_of_the_sentence() -> None:
    assert not {word.lower() for word in challenge_words()} & set(words_of(FIXED))
    assert len(set(challenge_words())) == len(challenge_words()) >= 180
    assert all(words_of(word) == [word.lower()] for word in challenge_words())


def test_challenges_are_random_and_never_repeat_a_word() -> None:
    drawn = [tuple(new_challenge()) for _ in range(200)]
    assert len(set(drawn)) == 200
    assert all(len(set(words)) == CHALLENGE_LENGTH for words in drawn)


WORDS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=8).map(" ".join)


@given(WORDS, WORDS)
def test_word_errors_are_a_distance(expected: str, heard: str) -> None:
    errors = word_error_rate(expected, heard) * max(len(expected.split()), 1)
    assert (errors == 0) is (expected.split() == heard.split())
    back = word_error_rate(heard, expected) * max(len(heard.split()), 1)
    assert errors == pytest.approx(back)
    lengths = len(expected.split()), len(heard.split())
    assert abs(lengths[0] - lengths[1]) <= errors + 1e-9
    assert errors <= max(lengths) + 1e-9


@given(WORDS, st.integers(0, 8), st.sampled_from(["x", "y"]))
def test_one_added_word_is_one_error(text: str, at: int, word: str) -> None:
    words = text.split()
    added = " ".join([*words[:at], word, *words[at:]])
    assert word_error_rate(text, added) == pytest.approx(1 / max(len(words), 1))


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_at_all_can_be_compared(expected: str, heard: str) -> None:
    assert word_error_rate(expected, heard) >= 0


@pytest.mark.parametrize(
    ("word", "heard", "found"),
    [
        ("olive", "all of", False),
        ("hammer", "hammered", True),
        ("fountain", "found in", True),
        ("volcano", "vole cano", True),
        ("tower", "flower", True),
        ("tower", "sister", False),
        ("ladder", "window", False),
    ],
)
def test_a_random_word_may_be_misheard_by_a_third_of_its_letters(word: str, heard: str, found: bool) -> None:
    assert count_found([word], f"My words for today are {heard}.") == found


def test_random_words_count_only_at_the_end() -> None:
    assert count_found(["castle"], "castle " + "and many other words in between " * 3) == 0
