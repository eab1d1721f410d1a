"""What the public is told, in words: the same on pages, in the API and at the command line."""

from __future__ import annotations

from typing import Literal

from app.provenance.detection.models import Answer, Detection

HEADINGS = {
    Answer.MADE_HERE: "Made here",
    Answer.NOT_FOUND: "Not found",
    Answer.CANT_TELL: "We can’t tell",
}
MEANINGS = {
    Answer.MADE_HERE: "This recording, or a part of it, was made by this service. What was made here is synthetic "
    "speech; other parts may not be.",
    Answer.NOT_FOUND: "Nothing in this recording leads to a clip of this service. That does not mean that a person "
    "spoke: it may have been made elsewhere, or changed too much to tell.",
    Answer.CANT_TELL: "There is too little to go by: the recording may be too short, too noisy or too much changed, or "
    "what was found is not clear. A longer or better copy may tell.",
}
_UNKNOWN = "The file could not be searched. Try again later."


def state_of(detection: Detection) -> Literal["waiting", "answered", "failed"]:
    """Where a detection stands."""
    if detection.answered_at is None:
        return "waiting"
    return "answered" if detection.answer is not None else "failed"


def problem_of(detection: Detection) -> str | None:
    """Why a detection failed and what to do; None for others. Needs its trace query loaded."""
    return (detection.trace_query.problem or _UNKNOWN) if state_of(detection) == "failed" else None
