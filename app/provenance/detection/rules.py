"""From what a trace found to what the public is told. Pure, and coarse on purpose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.provenance.detection.models import Answer
from app.provenance.models import Verdict
from app.provenance.rules import LEAD_RATE

LEAST_SPEECH_SECONDS = 2.0
"""With less speech than this, finding nothing says nothing."""
_OUR_OWN = {"mark": "accepted", "fingerprint": "verified", "credentials": "known"}
"""Channels that show that a clip is ours even when they can't tell which, and the key that says that they do. Not a
fingerprint of a stock voice: whoever has the engine can make the same sound elsewhere."""


def answer_of(verdict: Verdict, evidence: Sequence[Mapping[str, Any]], speech_seconds: float) -> Answer:
    """The public answer. What lies between sure and nothing is `cant_tell`, so that small changes flip nothing.

    `evidence` is that of the trace, as app.provenance.findings has it; `speech_seconds` is how much speech was heard.
    """
    if verdict in (Verdict.CONFIRMED, Verdict.STRONG):
        return Answer.MADE_HERE
    if verdict is Verdict.AMBIGUOUS and any(_shows_ours(each) for each in evidence):
        return Answer.MADE_HERE  # several clips of ours explain it, or channels contradict each other
    points = verdict in (Verdict.AMBIGUOUS, Verdict.LEAD) and not _only_stock_sound(evidence)
    if points or not speech_seconds >= LEAST_SPEECH_SECONDS:
        return Answer.CANT_TELL
    return Answer.NOT_FOUND


def _only_stock_sound(evidence: Sequence[Mapping[str, Any]]) -> bool:
    """Whether nothing but the sound of a stock voice points here. To say so would tell strangers which texts others had
    spoken: they can make the sound of any text themselves, and ask."""
    marks = any(each["channel"] == "mark" and each.get("bound", 1.0) <= LEAD_RATE for each in evidence)
    return not marks and any(each.get("stock_voice") for each in evidence)


def _shows_ours(each: Mapping[str, Any]) -> bool:
    return bool(each.get(_OUR_OWN.get(str(each["channel"]), ""))) and not each.get("stock_voice")


def coarse(count: int) -> int:
    """A count rounded down to a power of ten; 0 stays 0."""
    return int(10 ** (len(str(count)) - 1)) if count > 0 else 0
