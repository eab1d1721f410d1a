"""How hard a password is to guess: zxcvbn's estimate, in bounded time.

Its parts are called one by one: its own entry keeps the words of the person in a variable that all threads share, and
for some passwords tries thousands of ways to read signs as letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from zxcvbn import feedback, matching, scoring, time_estimates

GOOD_ENOUGH = 3
"""Of the scores from 0 to 4: whoever has stolen the hash needs at least a hundred million guesses."""
_JUDGED = 72  # characters
_MOST_READINGS = 32  # ways to read signs as letters; each costs about as much as all else together
_QUICK = (
    matching.dictionary_match,
    matching.reverse_dictionary_match,
    matching.spatial_match,
    matching.sequence_match,
    matching.regex_match,
    matching.date_match,
)
_BY_READINGS = (matching.l33t_match, matching.repeat_match)


def why_weak(password: str, about: Iterable[str]) -> str | None:
    """A hint for a better password, or None when this one is good enough.

    `about` is what others know of the person, such as address and name. Only the first 72 characters are judged.
    """
    password = password[:_JUDGED]
    words = matching.build_ranked_dict(_words(about))
    dictionaries = {**matching.RANKED_DICTIONARIES, "user_inputs": words}
    matchers = _QUICK + (_BY_READINGS if _readings(password) <= _MOST_READINGS else ())
    found = [match for matcher in matchers for match in matcher(password, _ranked_dictionaries=dictionaries)]
    found.sort(key=lambda match: (match["i"], match["j"]))
    best: dict[str, Any] = scoring.most_guessable_match_sequence(password, found)
    score = time_estimates.guesses_to_score(best["guesses"])
    if score >= GOOD_ENOUGH:
        return None
    said = feedback.get_feedback(score, best["sequence"])
    return " ".join(part for part in (said["warning"], *said["suggestions"]) if part)


def _words(about: Iterable[str]) -> list[str]:
    whole = [text.lower()[:254] for text in about]
    parts = [part for text in whole for part in re.split(r"[^\w]+", text) if len(part) > 2]
    return ["vouch", *whole, *parts]


def _readings(password: str) -> int:
    signs = matching.relevant_l33t_subtable(password, matching.L33T_TABLE)
    return len(matching.enumerate_l33t_subs(signs))
