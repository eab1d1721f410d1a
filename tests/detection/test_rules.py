"""What the public is told of each thing that a trace can find."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.provenance.detection.models import Answer
from app.provenance.detection.rules import LEAST_SPEECH_SECONDS, answer_of, coarse
from app.provenance.models import Verdict
from workers.audio.decode import Decoded, SourceInfo
from workers.trace.public import speech_seconds

LONG = 10.0
MARK: dict[str, Any] = {"channel": "mark", "accepted": True}
STOCK_TWINS: dict[str, Any] = {"channel": "fingerprint", "verified": 2, "stock_voice": True}
STOCK_SOUND: dict[str, Any] = {"channel": "fingerprint", "verified": 1, "stock_voice": True}
WEAK_MARK: dict[str, Any] = {"channel": "mark", "accepted": False, "bound": 1e-3}
NO_MARK: dict[str, Any] = {"channel": "mark", "accepted": False}


@pytest.mark.parametrize(
    ("verdict", "evidence", "speech", "answer"),
    [
        (Verdict.CONFIRMED, [MARK], 0.0, Answer.MADE_HERE),
        (Verdict.STRONG, [NO_MARK, {"channel": "fingerprint", "verified": 1}], LONG, Answer.MADE_HERE),
        (Verdict.AMBIGUOUS, [MARK], LONG, Answer.MADE_HERE),
        (Verdict.AMBIGUOUS, [NO_MARK, {"channel": "fingerprint", "verified": 2}], LONG, Answer.MADE_HERE),
        (Verdict.AMBIGUOUS, [NO_MARK, STOCK_TWINS], LONG, Answer.NOT_FOUND),
        (Verdict.AMBIGUOUS, [MARK, STOCK_TWINS], LONG, Answer.MADE_HERE),
        (Verdict.AMBIGUOUS, [{"channel": "credentials", "known": True}], LONG, Answer.MADE_HERE),
        (Verdict.AMBIGUOUS, [NO_MARK, {"channel": "fingerprint", "verified": 0}], LONG, Answer.CANT_TELL),
        (Verdict.LEAD, [NO_MARK], LONG, Answer.CANT_TELL),
        # the sound of a stock voice: anybody can make it of any text, and would learn who has asked for it here
        (Verdict.LEAD, [NO_MARK, STOCK_SOUND], LONG, Answer.NOT_FOUND),
        (Verdict.LEAD, [WEAK_MARK, STOCK_SOUND], LONG, Answer.CANT_TELL),
        (Verdict.NO_EVIDENCE, [NO_MARK], LONG, Answer.NOT_FOUND),
        (Verdict.NO_EVIDENCE, [NO_MARK], LEAST_SPEECH_SECONDS - 0.1, Answer.CANT_TELL),
        (Verdict.NO_EVIDENCE, [NO_MARK], float("nan"), Answer.CANT_TELL),
    ],
)
def test_the_answer(verdict: Verdict, evidence: list[dict[str, Any]], speech: float, answer: Answer) -> None:
    assert answer_of(verdict, evidence, speech) is answer


def test_noise_is_no_speech() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 80_000).astype(np.float32)
    assert speech_seconds(Decoded(noise, 16_000, SourceInfo("wav", "pcm_s16le", 1, 16_000, 5.0))) == 0.0


def test_counts_are_told_by_their_power_of_ten_only() -> None:
    assert [coarse(count) for count in (0, 1, 9, 10, 999, 1_000, 10**15 - 1)] == [0, 1, 1, 10, 100, 1_000, 10**14]
