"""The end of a public detection: a coarse answer with a signed receipt, and nothing kept of what the search found."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.core.states import move
from app.provenance.detection import receipts
from app.provenance.detection.rules import answer_of, coarse
from app.provenance.detection.service import TRACING, settle
from app.provenance.ledger.keys import register_signing_key
from app.provenance.models import TraceQuery, TraceState
from app.provenance.service import TraceFindings
from workers.audio.decode import Decoded
from workers.audio.resample import resample
from workers.audio.vad import RATE, speech_segments
from workers.tools import Tools


def speech_seconds(audio: Decoded) -> float:
    """Seconds of speech in a recording: with hardly any, that nothing was found says nothing."""
    found = speech_segments(resample(audio.pcm, audio.sample_rate, RATE))
    return float(sum(end - start for start, end in found))


def answer(session: Session, query: TraceQuery, findings: TraceFindings, speech: float, tools: Tools) -> None:
    """Answer the detection of a query of the purpose PUBLIC, in the transaction that finishes its job.

    `speech` is what `speech_seconds` gives. The findings are used for the answer and then forgotten: the row, the
    audit and the receipt say only what the asker is told.
    """
    said = answer_of(findings.verdict, findings.evidence, speech)
    generations = coarse(sum(len(tags.ids) for tags in tools.ledger.tags().values()))  # in memory: a count takes long
    register_signing_key(session, tools.signing)  # or nobody could check the receipt
    detection = settle(session, query)
    assert detection.answered_at is not None, "settling writes it"
    detection.receipt = receipts.compose(
        tools.signing,
        service=tools.settings.voices.service_name,
        public_url=tools.settings.public_url,
        file_sha256=detection.file_digest,
        answer=said,
        searched_at=detection.answered_at,
        generations_searched=generations,
        error_rates=receipts.error_rates(),
    )
    detection.answer = said
    query.answered_at = detection.answered_at
    move(session, query, TraceState.ANSWERED, TRACING, reason=query.reason, facts={"answer": said.value})
