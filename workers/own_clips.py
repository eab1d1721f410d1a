"""Recordings that people upload are searched for clips of our own before they are used for anything."""

from __future__ import annotations

from app.provenance.models import Verdict
from app.voices.results import Copied
from workers.audio.resample import resample
from workers.recordings import Floats
from workers.tools import Tools
from workers.trace.search import QUICK, RATE, find

SAYS = "This is a recording of speech that was made here. Send a person's own speech, recorded with a microphone."

_OURS = (Verdict.CONFIRMED, Verdict.STRONG, Verdict.AMBIGUOUS)


def made_here(pcm: Floats, sample_rate: int, tools: Tools) -> Copied | None:
    """Whether a recording is a copy of a clip of ours, in whole or in part; None when it is not. Of which is told under
    the rules of every trace.

    The mark and the fingerprint decide; the slow searches of a trace are left out: whoever uploads waits for it.
    """
    findings = find(resample(pcm, sample_rate, RATE), tools.ledger, effort=QUICK)
    return Copied(findings.generation_id) if findings.verdict in _OURS else None
