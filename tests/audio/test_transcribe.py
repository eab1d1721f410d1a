"""What is said."""

from __future__ import annotations

import re

import numpy as np
import pytest

from workers.audio.decode import Decoded
from workers.audio.transcribe import Transcriber


def words(text: str) -> list[str]:
    return re.sub(r"[^a-z ]", "", text.lower().replace("16", "sixteen")).split()


def errors(said: list[str], heard: list[str]) -> int:
    """Levenshtein distance in words."""
    row = list(range(len(heard) + 1))
    for i, a in enumerate(said, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(heard, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]


def test_hears_what_was_read(
    transcriber: Transcriber, speech: dict[str, Decoded], transcripts: dict[str, dict[str, str]]
) -> None:
    pcm = speech["reader_26/consent"].pcm
    found = transcriber.transcribe(pcm, language="en")
    said = words(transcripts["reader_26"]["consent.flac"])
    assert errors(said, words(found.text)) <= 0.1 * len(said)
    assert found.language == "en"
    assert found.seconds == pytest.approx(len(pcm) / 16_000)
    assert " ".join(word.text for word in found.words) == found.text
    assert all(0 <= word.start <= word.end <= found.seconds + 0.1 for word in found.words)
    assert all(0 <= word.probability <= 1 for word in found.words)
    assert [word.start for word in found.words] == sorted(word.start for word in found.words)


def test_makes_up_nothing_for_silence_or_hiss(transcriber: Transcriber) -> None:
    hiss = 0.01 * np.random.default_rng(0).standard_normal(5 * 16_000).astype(np.float32)
    for pcm in (np.zeros(0, np.float32), np.zeros(5 * 16_000, np.float32), hiss):
        assert transcriber.transcribe(pcm, language="en").text == ""


def test_refuses_more_than_ten_minutes(transcriber: Transcriber) -> None:
    with pytest.raises(ValueError, match="at most 600"):
        transcriber.transcribe(np.zeros(601 * 16_000, np.float32))
