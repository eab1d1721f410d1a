"""The fake engine: shaped like speech, steered by its text."""

from __future__ import annotations

import numpy as np
import pytest

from workers.engines.base import EngineError, Segment, SpeakRequest
from workers.engines.fake import FAILS, RATE, SLOW, SLOW_SEGMENTS, FakeEngine

TEXT = "A sentence that is long enough to measure something on it."


def say(text: str, voice: str = "fake-low", seed: int = 0) -> list[Segment]:
    engine = FakeEngine()
    return list(engine.speak([SpeakRequest("k", text, "en-us", engine.stock_voice(voice), seed=seed)]))


def test_its_power_lies_where_speech_lies() -> None:
    (segment,) = say(TEXT)
    power = np.abs(np.fft.rfft(segment.pcm)) ** 2
    hertz = np.fft.rfftfreq(segment.pcm.size, 1 / RATE)
    assert power[(hertz > 290) & (hertz < 6810)].sum() > 0.99 * power.sum()
    assert power[(hertz > 3000) & (hertz < 6000)].sum() > 0.02 * power.sum()


def test_text_voice_and_seed_each_change_the_audio() -> None:
    (base,) = say(TEXT)
    for other in (say(TEXT.replace("long", "song")), say(TEXT, "fake-high"), say(TEXT, seed=1)):
        assert other[0].pcm.size == base.pcm.size
        assert not np.array_equal(other[0].pcm, base.pcm)


def test_it_fails_when_its_text_says_so() -> None:
    with pytest.raises(EngineError, match="as the text asked"):
        say(f"Please {FAILS} now.")


def test_it_is_slow_in_many_segments_when_its_text_says_so() -> None:
    engine = FakeEngine()
    request = SpeakRequest("k", f"Go {SLOW} now", "en-us", engine.stock_voice("fake-low"))
    first = next(engine.speak([request]))
    assert (first.index, first.total) == (0, SLOW_SEGMENTS)
    assert first.pcm.size < RATE
