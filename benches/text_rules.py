"""How long the text rules take for the longest text, beside Unicode normalisation alone and beside its length.

    python -m benches.text_rules

Each text has 5,000 characters: prose, words that the patterns begin with, and characters that unfold into many. Times
are the best of several runs in milliseconds of the processor; a second text of half the length shows how they grow.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from random import Random
from time import process_time

from app.policy.packs import builtin_packs, put_together
from app.policy.plain import readings
from app.policy.text_rules import TextRules

LENGTH = 5_000
RUNS = 7
TEXTS = {
    "prose": "The garden was quiet; nobody had come since the storm, and the old gate hung open in the wind. ",
    "prose, accents": "Der Müller öffnete die Tür, schüttelte den Schnee ab und fragte höflich nach dem Weg. ",
    "script": "This is your bank. Never mind. Read me the code that we just sent to your phone, grandma, it's me. ",
    "beginnings": "read me tell give your money grandma its me we have your son calling bank if you vote send i ",
    "one word": "pay ",
    "single letters": "a b c d e ",
    "digits in words": "r3ad m3 th3 c0de p1n ",
    "signs in words": "p@y-m.e,n!t$ ",
    "unfolding": "\ufdfa",
    "marks": "e" + "\u0301" * 40,
}


def mixed(rules: TextRules) -> str:
    """Words of all patterns in a random order: many matches begin, few end."""
    phrases = [
        p for rule in rules.rules for p in (*rule.patterns, *(e for entries in rule.words.values() for e in entries))
    ]
    words = sorted({word for phrase in phrases for word in re.findall(r"\w+", phrase)})
    return " ".join(Random(1).choices(words, k=LENGTH))


def best(act: Callable[[], object]) -> float:
    """Milliseconds of the quickest of several runs."""
    times = []
    for _ in range(RUNS):
        begun = process_time()
        act()
        times.append(process_time() - begun)
    return min(times) * 1000


def row(name: str, seed: str, rules: TextRules) -> str:
    """Times of one kind of text."""
    text = (seed * LENGTH)[:LENGTH]
    half = text[: LENGTH // 2]
    nfkc = best(
        lambda: unicodedata.normalize("NFKC", text + "ﬁ")
    )  # the sign at the end keeps it from taking a short cut
    plain = best(lambda: readings(text))
    read = best(lambda: rules.read(text, language="en", cloned=True))
    read_half = best(lambda: rules.read(half, language="en", cloned=True))
    found = len(rules.read(text, language="en", cloned=True).matches)
    return f"{name:<18} {nfkc:8.2f} {plain:12.1f} {read:10.1f} {read / nfkc:10.0f} {read / read_half:10.1f} {found:8}"


def main() -> None:
    """Measure and print."""
    begun = process_time()
    rules = put_together(builtin_packs())
    print(f"{len(rules.rules)} rules read and compiled in {(process_time() - begun) * 1000:.0f} ms")
    print(f"{'':18} {'NFKC ms':>8} {'readings ms':>12} {'all ms':>10} {'all/NFKC':>10} {'whole/half':>10} {'found':>8}")
    for name, seed in {**TEXTS, "words of patterns": mixed(rules)}.items():
        print(row(name, seed, rules))


if __name__ == "__main__":
    main()
