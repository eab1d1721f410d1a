"""Promise: texts are judged by rules that anyone can read; dressed-up words are found, talk about them is free."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.policy.findings import Outcome
from app.policy.packs import builtin_packs, put_together
from app.policy.phrases import PhraseError, compile_phrases
from app.policy.plain import readings
from app.policy.text_rules import MAX_PLACES, TextRule, TextRules

PACKS = builtin_packs()
BUILTIN = put_together(PACKS)
ANY_TEXT = st.text(max_size=300)
TALK = (
    "read me the code never ask to send you your money grandma it's jail pay if anyone says p i n c0de 12 we have son"
)
WORDS = st.sampled_from([*TALK.split(), "transfer", "account", "safe", "\u200b", "r-e-a-d", "ＣＯＤＥ", "сode"])
SENTENCES = st.lists(WORDS, max_size=40).map(" ".join)


def rule(**changes: Any) -> TextRule:
    """A rule that finds "open sesame"."""
    values: dict[str, Any] = {
        "id": "a.rule",
        "title": "A rule",
        "category": "test",
        "outcome": Outcome.REFUSE,
        "severity": 3,
        "why": "Why.",
        "fix": "Fix.",
        "languages": (),
        "voices": "all",
        "patterns": ("open sesame",),
        "unless": (),
        "words": {},
        "must_match": (),
        "must_not_match": (),
        "pack": "test",
    }
    return TextRule(**{**values, **changes})


def found(text: str, *rules: TextRule, language: str = "en", cloned: bool = True) -> list[str]:
    """The ids of the rules that a text meets."""
    return [match.rule for match in TextRules(rules, {}).read(text, language=language, cloned=cloned).matches]


def finds(pattern: str, text: str, **lists: tuple[str, ...]) -> bool:
    """Whether a pattern finds anything."""
    return bool(found(text, rule(patterns=(pattern,), words=lists)))


# The built-in packs


@pytest.mark.parametrize("own", BUILTIN.rules, ids=lambda own: own.id)
def test_every_built_in_rule_does_what_its_examples_say(own: TextRule) -> None:
    assert own.failing_examples() == []


def test_an_example_that_fails_is_told() -> None:
    lying = rule(must_match=("open sesame", "shut"), must_not_match=("close", "Open, Sesame!"))
    assert lying.failing_examples() == [("shut", True), ("Open, Sesame!", False)]


@pytest.mark.parametrize("category", ["codes", "fraud", "impersonation", "threats", "minors", "elections"])
def test_each_danger_has_rules_that_refuse(category: str) -> None:
    assert any(own.category == category and own.outcome is Outcome.REFUSE for own in BUILTIN.rules)


@pytest.mark.parametrize("language", ["de", "es", "fr"])
@pytest.mark.parametrize("stem", ["codes.read-out", "fraud.safe-account", "fraud.bank-secrets"])
def test_codes_and_false_banks_are_known_in_other_languages(stem: str, language: str) -> None:
    own = next(own for own in BUILTIN.rules if own.id == f"{stem}.{language}")
    assert own.outcome is Outcome.REFUSE


def test_what_language_a_clip_claims_does_not_get_it_past_the_built_in_rules() -> None:
    text = "Zur Sicherheit nennen Sie mir bitte die TAN."
    for language in ("de", "en-us", "ja", ""):
        assert BUILTIN.read(text, language=language, cloned=True).refusal


LEGITIMATE = [
    'Chapter nine. "Give me the code," she whispered. He looked at the safe, then at her, and shook his head.',
    "The police warn of callers who pose as bank staff. They ask for one-time codes and tell people to move money.",
    "Your one-time code is 4 7 1 1. We will never call you to ask for it. Do not share it with anyone.",
    "In the trial, the prosecutor described how the accused had told the woman to buy gift cards for him.",
    "Welcome to the bank. For balances press one. To report a lost card press two. To speak to somebody press three.",
    '"I\'ll kill you for that cake recipe," laughed Grandma, and sent me to the cellar for more jam.',
    "The election takes place on the ninth of June. Polls open at eight. You can also vote by mail.",
    "Grandpa, it's me, Tom. We had a lovely time at the lake, and the children send you their love.",
    "The novel tells of a girl who was abused as a child, and of how she found the words for it.",
    "Please read the following text aloud, then press the green button to send us your recording.",
    "Our technicians can help you by remote access. Make an appointment at the help desk.",
    "Im Prozess ging es um Anrufer, die ihren Opfern eine TAN abverlangten.",
    "La policía advierte de llamadas en las que se pide el código de verificación.",
    "La banque rappelle qu'elle ne demande jamais le code secret de ses clients.",
    "In today's episode: how a fake warrant and a demand for Bitcoin cost one man his savings.",
    "Send me the code review by Friday, and tell me if the number of tests went down.",
]


@pytest.mark.parametrize("text", LEGITIMATE)
def test_stories_news_and_warnings_are_not_refused(text: str) -> None:
    refusal = BUILTIN.read(text, language="en", cloned=True).refusal
    assert refusal is None, f"{refusal}"


# Dressed up

PLAIN = "Please read me the verification code now."
DRESSES = {
    "as it is": PLAIN,
    "loud": PLAIN.upper(),
    "full width": PLAIN.translate({c: c + 0xFEE0 for c in range(0x21, 0x7F)}),
    "mathematical": "".join(chr(0x1D41A + ord(c) - 97) if c.islower() else c for c in PLAIN),
    "boxed": "Please read me the verification 🅲🅾🅳🅴 now.",
    "Cyrillic": "Plеаsе rеаd mе thе vеrifiсаtiоn соdе nоw.",
    "Greek capitals": "PLEASE READ ME THE VERIFICATIΟΝ CΟDΕ",
    "digits": "Pl3ase r3ad m3 the ver1f1cati0n c0de.",
    "signs": "Pl€ase re@d me the verific@t!on code",
    "zero width": "\u200b".join(PLAIN),
    "soft hyphens": "Please re\u00adad me the veri\u00adfica\u00adtion co\u00adde.",
    "accents": unicodedata.normalize("NFC", "".join(c + "\u0301" if c.isalpha() else c for c in PLAIN)),
    "many accents": "".join(c + "\u0336\u0320\u0301" if c.isalpha() else c for c in PLAIN),
    "dots": "Please r.e.a.d me the v.e.r.i.f.i.c.a.t.i.o.n c.o.d.e",
    "spelled": "Please read me the verification c o d e now",
    "spelled with dashes": "Please read me the verification c-o-d-e now",
    "all spelled": "r e a d  m e  t h e  v e r i f i c a t i o n  c o d e",
    "parted words": "Please read me the veri-fication co.de now",
    "line breaks": "Please\nread\tme\u00a0the\u3000verification\r\ncode",
    "stretched": "Pleeease read meee the verification coooode!!!",
    "underscores": "please_read_me_the_verification_code",
    "commas": "Please, read, me, the, verification, code.",
    "variation signs": PLAIN.replace("o", "o\ufe0f"),
}


@pytest.mark.parametrize("text", DRESSES.values(), ids=DRESSES)
def test_dressing_words_up_does_not_hide_them(text: str) -> None:
    refusal = BUILTIN.read(text, language="en", cloned=True).refusal
    assert refusal is not None
    assert refusal.rule == "codes.read-out"


def test_the_place_of_a_match_is_where_its_words_are() -> None:
    text = "Hello. Ple\u200base re\u0301ad me the 𝐨𝐧𝐞-time C\u0301\u0336O\u0301DE\u0301, thanks."
    (match,) = BUILTIN.read(text, language="en", cloned=True).matches
    (span,) = match.spans
    assert text[slice(*span)] == "Ple\u200base re\u0301ad me the 𝐨𝐧𝐞-time C\u0301\u0336O\u0301DE\u0301"


def test_every_place_is_told_and_no_more_than_ten() -> None:
    places = BUILTIN.read("OTP: give me the otp! " * 3, language="en", cloned=True).matches[0].spans
    assert len(places) == 3
    assert len(rule().places(readings("open sesame, " * 50))) == MAX_PLACES


def test_long_words_are_quoted_in_short() -> None:
    wide = rule(patterns=("open ...30 sesame",))
    (match,) = TextRules((wide,), {}).read("open " + "a-long-word " * 20 + "sesame", language="en", cloned=True).matches
    assert match.words.startswith("open a-long-word")
    assert len(match.words) <= 80


# The language of patterns


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("open sesame", "Open, Sesame!", True),
        ("open sesame", "open the sesame", False),
        ("open sesame", "reopen sesame", False),
        ("open sesame", "open sesames", False),
        ("(open|close) sesame", "close sesame", True),
        ("(open up|close) sesame", "open up sesame", True),
        ("open [the|my] sesame", "open sesame", True),
        ("open [the|my] sesame", "open my sesame", True),
        ("open [the|my] sesame", "open his sesame", False),
        ("open ...2 sesame", "open sesame", True),
        ("open ...2 sesame", "open a big sesame", True),
        ("open ...2 sesame", "open a very big sesame", False),
        ("open* sesame", "opening sesame", True),
        ("*open sesame", "reopen sesame", True),
        ("*pen* sesame", "reopening sesame", True),
        ("pay # euros", "pay 5,000 euros", True),
        ("pay # euros", "pay five euros", False),
        ("pay # euros", "pay 500euros", True),
        ("don't open", "Don’t open", True),
        ("überweisen", "UBERWEISEN", True),
        ("one-time", "one time", True),
        ("код доступа", "КОД ДОСТУПА", True),
        ("(as (by|[cup] do)) ear", "as cup do ear", True),
        ("{verb} sesame", "close the door sesame", True),
        ("{all} now", "open sesame now", True),
    ],
)
def test_patterns(pattern: str, text: str, matches: bool) -> None:
    lists = {"verb": ("open", "close [the] door"), "all": ("{verb} sesame",)}
    assert finds(pattern, text, **lists) is matches


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("", "nothing"),
        ("...3", "begins or ends"),
        ("open ...3", "begins or ends"),
        ("open ... sesame", "how many words"),
        ("open ...31 sesame", "how many words"),
        ("open ...0 sesame", "how many words"),
        ("(open", "not closed"),
        ("open)", "stands alone"),
        ("open | close", "stands alone"),
        ("(open|)", "one side"),
        ("()", "one side"),
        ("[open]", "every text"),
        ("#", "no words"),
        ("{nothing} here", "no word list {nothing}"),
        ("{early} here", "further down"),
        ("{late", "stands alone"),
        ("!!! open", "is no word"),
        ("op*en", "is no word"),
        ("*", "is no word"),
        ("(" * 9 + "a" + ")" * 9, "deep"),
        ("a" * 401, "longer"),
        ("{big} {big} {big} {big}", "too large"),
    ],
)
def test_a_pattern_that_cannot_be_used_says_why(pattern: str, says: str) -> None:
    lists = {
        "early": ("{early}",),
        "ten": ("(" + "|".join(f"word{n}" for n in range(30)) + ")",),
        "more": ("{ten} " * 40,),
        "big": ("{more} " * 40,),
    }
    with pytest.raises(PhraseError, match=says.replace("{", r"\{")):
        compile_phrases([pattern], lists)


def test_a_rule_that_would_take_too_much_memory_is_not_compiled() -> None:
    with pytest.raises(PhraseError, match="too large together"):
        compile_phrases(["aa ...30 bb ...30 " * 20 + "cc"] * 20, {})


def test_the_words_of_an_excuse_do_not_count_and_others_do() -> None:
    excused = rule(unless=("never open",))
    assert found("Never open, Sesame.", excused) == []
    assert found("N-e-v-e-r o p e n sesame.", excused) == []
    assert found("Never open sesame. Open sesame!", excused) == ["a.rule"]
    assert found("Never. Sesame. Open sesame!", excused) == ["a.rule"]


# Which rules are asked, and in which order


def test_a_rule_may_be_for_cloned_voices_only() -> None:
    own = rule(voices="cloned")
    assert found("open sesame", own, cloned=True) == ["a.rule"]
    assert found("open sesame", own, cloned=False) == []


@pytest.mark.parametrize(
    ("language", "asked"), [("de", True), ("de-at", True), ("DE_CH", True), ("en", False), ("", False)]
)
def test_a_rule_may_be_for_clips_in_some_languages_only(language: str, asked: bool) -> None:
    assert (found("open sesame", rule(languages=("de", "fr")), language=language) == ["a.rule"]) is asked


def test_refusals_come_first_then_the_gravest() -> None:
    rules = [
        rule(id="flag", outcome=Outcome.FLAG, severity=5),
        rule(id="mild", severity=1),
        rule(id="grave", severity=4),
    ]
    assert found("open sesame", *rules) == ["grave", "mild", "flag"]


# Whatever the text


@given(st.one_of(ANY_TEXT, SENTENCES))
def test_no_text_breaks_the_rules_and_every_place_lies_in_it(text: str) -> None:
    for match in BUILTIN.read(text, language="en", cloned=True).matches:
        assert match.words
        before = 0
        for start, end in match.spans:
            assert before <= start < end <= len(text)
            before = end


@given(ANY_TEXT)
def test_every_word_of_a_reading_comes_from_its_place(text: str) -> None:
    for reading in readings(text):
        assert len(reading.data) <= 32 * len(text) + 2
        start = 0
        for word in reading.data.split(b"  ") if reading.data else []:
            word = word.strip(b" ")
            start = reading.data.index(b" " + word + b" ", start)
            begin, end = reading.place(start, start + len(word) + 2)
            assert 0 <= begin < end <= len(text)
            start += len(word) + 2


@given(st.lists(st.sampled_from(["open", "sesame", "Open,", "never", "SESAME."]), max_size=20).map(" ".join))
def test_one_more_rule_never_lets_a_refused_text_pass(text: str) -> None:
    few = TextRules((rule(),), {})
    more = replace(few, rules=(rule(id="b", outcome=Outcome.FLAG, severity=5, patterns=("never",)), *few.rules))
    refused = [rules.read(text, language="en", cloned=True).refusal is not None for rules in (few, more)]
    assert refused[0] == refused[1]


@given(st.text(alphabet="abcdefg ABC", max_size=80))
def test_plain_letters_stay_what_they_are(text: str) -> None:
    longer = [word for word in text.lower().split() if len(word) > 1]
    if longer and all(len(word) > 1 for word in text.split()) and not any(c * 3 in text.lower() for c in "abcdefg"):
        assert readings(text)[0].data.decode().split() == longer
