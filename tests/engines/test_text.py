"""Cleaning and cutting of text: nothing lost, nothing unsayable kept, quick whatever comes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.engines.base import TextNotSpeakable
from workers.engines.text import Piece, normalise, split

LONGEST = 120


def letters(text: str) -> str:
    return "".join(c for c in text if c.isalnum())


@settings(max_examples=150, deadline=None)
@given(st.text(st.one_of(st.characters(), st.sampled_from("ab 1.,;:!?—\n\"')(")), max_size=600))
def test_pieces_keep_every_letter_in_order_and_fit(text: str) -> None:
    try:
        clean = normalise(text)
    except TextNotSpeakable:
        with pytest.raises(TextNotSpeakable):
            split(text, LONGEST)
        return
    pieces = split(text, LONGEST)
    assert letters("".join(p.text for p in pieces)) == letters(clean)
    assert all(0 < len(p.text) <= LONGEST and letters(p.text) for p in pieces)
    assert pieces[-1].pause == 0.0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["alpha", "beta,", "gamma.", "delta!", "epsilon;", "Mr.", "zeta?", "theta"]), min_size=1)
)
def test_words_are_never_cut_where_there_are_spaces(words: list[str]) -> None:
    pieces = split(" ".join(words), LONGEST)
    spoken = [w for w in " ".join(p.text for p in pieces).split() if letters(w)]
    assert spoken == [w for w in words if letters(w)]


@pytest.mark.parametrize("text", ["", "   \n", "😀🎉", "👩‍👩‍👧‍👦", "!!! ... ???", "\u202e\u200b", "\x00\x07", "— –"])
def test_text_without_words_is_not_speakable(text: str) -> None:
    with pytest.raises(TextNotSpeakable, match="at least one letter"):
        normalise(text)


def test_tricks_and_pictures_are_stripped() -> None:
    assert normalise("Hi\u202e there\u200b 😀 you\x00!") == "Hi there you !"
    assert normalise("𝓗𝓮𝓵𝓵𝓸 ｗｏｒｌｄ, ﬁne’s") == "Hello world, fine's"
    assert normalise("a" + "\u0301\u0302\u0303\u0304\u0305" * 50).count("\u0305") == 0


def test_sentences_become_pieces_with_pauses_by_their_marks() -> None:
    text = (
        "This is the first sentence. Is this one really next? And here the third one ends\nbefore the last one comes."
    )
    assert split(text, LONGEST) == [
        Piece("This is the first sentence.", 0.32),
        Piece("Is this one really next?", 0.36),
        Piece("And here the third one ends", 0.5),
        Piece("before the last one comes.", 0.0),
    ]


def test_abbreviations_and_numbers_end_no_sentence() -> None:
    text = "Dr. Smith of the U.S. Army paid 3.50 to J. R. Jones at noon."
    assert [p.text for p in split(text, LONGEST)] == [text]


def test_a_long_sentence_is_cut_at_a_clause_and_pauses_there() -> None:
    head = "when the rain had stopped and all of the windows were open again,"
    tail = "the whole family went out into the garden to look at what was left of the roses."
    assert split(f"{head} {tail}", LONGEST) == [Piece(head, 0.12), Piece(tail, 0.0)]


def test_tiny_sentences_are_joined() -> None:
    assert len(split("Yes. No. Yes. No. Oh.", LONGEST)) == 1
    assert split("It was a dark and stormy night again. Yes.", LONGEST)[-1].text.endswith("again. Yes.")


@pytest.mark.parametrize(
    "garbage",
    ["." * 9999 + "a", "a." * 5000, "(((((" * 2000 + "a", "a\n" * 5000, "1" * 10000, "A. " * 3333, "\"')" * 3333 + "a"],
    ids=lambda g: repr(g[:5]),
)
def test_ten_thousand_characters_of_garbage_are_cut(garbage: str) -> None:
    pieces = split(garbage, LONGEST)
    assert all(len(p.text) <= LONGEST for p in pieces)
