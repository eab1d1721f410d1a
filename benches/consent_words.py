"""How often the consent sentence is recognised, and what a recording of other random words reaches.

    python -m benches.consent_words [COUNT]

The built-in synthetic donor voice reads COUNT sentences (24 by default) with fresh random words; each is recognised as
in the product. Then every recording is judged against every other sentence that shares no random word with it: that is
what a replayed or prepared recording would get.
"""

from __future__ import annotations

import sys
from collections import Counter
from itertools import permutations

from app.voices.rules import Judgement, Reading, judge, new_challenge, statement_of
from workers.audio.resample import resample
from workers.audio.transcribe import Transcriber
from workers.donor import donor

NAMES = ("Joe Miller", "Ines Marchetti", "Ann Lee", "Wilhelmina van den Bosch", "John Smith", "Maria Gonzalez")


def main(count: int) -> None:
    """Read, recognise, judge, print."""
    recogniser = Transcriber()
    readings = []
    for number in range(count):
        challenge = new_challenge()
        name = NAMES[number % len(NAMES)]
        pcm, rate = donor(statement_of(name, "Vouch", challenge))
        heard = recogniser.transcribe(resample(pcm, rate, 16_000), language="en").text
        readings.append((name, challenge, Reading(heard, 1.0, "accept")))
    own = [judge(statement_of(name, "Vouch", words), words, reading) for name, words, reading in readings]
    _report("the sentence that was asked for", own)
    replayed = [
        judge(statement_of(name, "Vouch", words), words, reading)
        for (name, words, _), (_, others, reading) in permutations(readings, 2)
        if not set(words) & set(others)
    ]
    _report("a recording of other random words", replayed)


def _report(what: str, judgements: list[Judgement]) -> None:
    outcomes = Counter(j.state.value for j in judgements)
    found = Counter(j.challenge_found for j in judgements)
    errors = sorted(j.word_error_rate for j in judgements)
    print(f"{what} (n = {len(judgements)})")
    print(f"  outcomes           {dict(outcomes)}")
    print(f"  random words found {dict(sorted(found.items()))} of 6")
    print(f"  word errors        {errors[0]:.2f} to {errors[-1]:.2f}, median {errors[len(errors) // 2]:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 24)
