"""Fingerprints: copies are found and placed, other clips are not, and bad input is answered."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soxr
from marks_sound import RATE, decode, encode
from numpy.typing import NDArray

from workers.index import Candidate, Index
from workers.marks import fingerprint
from workers.marks.alignment import Verified, agrees, verify
from workers.marks.fingerprint import BadFingerprint, Query

Floats = NDArray[np.float32]
START, SECONDS = 1.5, 5.0
STRANGERS = 4  # the last pieces are of the other recordings; these are in the index


def with_noise(audio: Floats, db: float) -> Floats:
    """White noise so many decibels below."""
    noise = np.random.default_rng(1).standard_normal(len(audio)).astype(np.float32)
    return audio + noise * np.float32(audio.std() * 10 ** (-db / 20))


def with_speech(audio: Floats, other: Floats) -> Floats:
    """Another reader, as loud, on top."""
    other = np.resize(other, len(audio))
    return audio + other * np.float32(audio.std() / other.std())


def faster(audio: Floats, factor: float) -> Floats:
    """Played faster: pitch and tempo."""
    return np.asarray(soxr.resample(audio, factor * RATE, RATE), np.float32)


COPIES: dict[str, tuple[Callable[[Floats, Floats], Floats], float]] = {
    "unchanged, upside down": (lambda audio, _: -0.2 * audio, 1.0),
    "Opus 16k": (lambda audio, _: decode(encode(audio, "opus", 16_000)), 1.0),
    "noise 10 dB": (lambda audio, _: with_noise(audio, 10), 1.0),
    "other speech, as loud": (with_speech, 1.0),
    "8 % faster": (lambda audio, _: faster(audio, 1.08), 1.08),
}


@pytest.fixture(scope="module")
def prints(speech: list[Floats]) -> list[bytes]:
    return [fingerprint.make(piece, RATE) for piece in speech]


@pytest.fixture(scope="module")
def index(prints: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Index:
    made = Index(tmp_path_factory.mktemp("index"))
    made.add(enumerate(prints[:STRANGERS]))
    return made


def found(index: Index, prints: list[bytes], query: Query) -> list[Verified]:
    """What is verified among the candidates, best first."""
    checked = (verify(query, prints[each.number], each) for each in index.search(query))
    return sorted((each for each in checked if each is not None), key=lambda each: -each.score)


@pytest.mark.parametrize("change", COPIES)
def test_a_copy_is_found_and_placed(change: str, index: Index, prints: list[bytes], speech: list[Floats]) -> None:
    attack, speed = COPIES[change]
    piece = speech[1][int(START * RATE) : int((START + SECONDS) * RATE)]
    best = found(index, prints, Query(attack(piece, speech[-1]), RATE))[0]
    assert best.number == 1
    assert best.original_from == pytest.approx(START + best.query_from * speed, abs=0.1)
    assert best.original_to == pytest.approx(START + best.query_to * speed, abs=0.1)
    assert best.seconds > 3
    assert best.speed == pytest.approx(speed, abs=0.01)
    assert best.pitch == pytest.approx(speed, abs=0.02)
    assert best.false_rate < 1e-3


def test_a_piece_inside_other_speech_is_placed(index: Index, prints: list[bytes], speech: list[Floats]) -> None:
    strange = np.resize(np.concatenate(speech[STRANGERS:]), 30 * RATE)
    strange[10 * RATE : 14 * RATE] = speech[0][2 * RATE : 6 * RATE]
    best = found(index, prints, Query(strange, RATE))[0]
    assert best.number == 0
    assert best.query_from == pytest.approx(10, abs=0.5)
    assert best.query_to == pytest.approx(14, abs=0.5)
    assert best.original_from == pytest.approx(2, abs=0.5)


def test_other_words_of_the_same_voice_are_not_verified(
    index: Index, prints: list[bytes], speech: list[Floats]
) -> None:
    for piece in speech[STRANGERS:]:
        assert found(index, prints, Query(piece, RATE)) == []


def test_a_sketch_without_common_pairs_is_not_verified(prints: list[bytes], speech: list[Floats]) -> None:
    """As the same words in another voice are: the pattern of loud and soft agrees, the peaks do not."""
    start = int(START * RATE)
    query = Query(speech[1][start : start + 3 * RATE], RATE)
    place = Candidate(1, 20, 0, 1.0, START * 100)
    assert verify(query, prints[1], place) is not None
    whole = fingerprint.parse(prints[1])
    bare = struct.pack("<BII", 1, whole.frames, 0) + whole.sketch.tobytes()
    assert verify(query, bare, replace(place, hits=0)) is None


@pytest.mark.parametrize("change", COPIES)
def test_a_copy_agrees_with_its_own_clip_alone(change: str, prints: list[bytes], speech: list[Floats]) -> None:
    attack, speed = COPIES[change]
    piece = speech[1][int(START * RATE) : int((START + 3) * RATE)]
    query = Query(attack(piece, speech[-1]), RATE)
    said = [agrees(query, data, [(speed, speed)]) for data in prints[:STRANGERS]]
    assert [each is not None for each in said] == [False, True, False, False]
    best = said[1]
    assert best is not None
    assert best.original_from == pytest.approx(START + best.query_from * speed, abs=0.1)


def test_a_short_copy_in_a_long_query_agrees(prints: list[bytes], speech: list[Floats]) -> None:
    strange = np.resize(np.concatenate(speech[STRANGERS:]), 40 * RATE)
    assert agrees(Query(strange, RATE), prints[0]) is None
    strange[33 * RATE : 36 * RATE] = speech[0][2 * RATE : 5 * RATE]
    best = agrees(Query(strange, RATE), prints[0])
    assert best is not None
    assert (best.query_from, best.query_to) == (pytest.approx(33, abs=0.5), pytest.approx(36, abs=0.5))


@pytest.mark.parametrize(
    "audio",
    [
        np.zeros(0, np.float32),
        np.zeros(1, np.float32),
        np.zeros(3 * RATE, np.float32),
        np.full(3 * RATE, np.nan, np.float32),
        np.full(3 * RATE, np.inf, np.float32),
        np.sin(np.arange(3 * RATE) * 0.3).astype(np.float32),
        np.random.default_rng(2).standard_normal(3 * RATE).astype(np.float32) * 1e30,
    ],
    ids=["empty", "one sample", "silence", "not a number", "infinite", "tone", "noise"],
)
def test_what_is_no_speech_matches_nothing(audio: Floats, index: Index, prints: list[bytes]) -> None:
    assert fingerprint.parse(fingerprint.make(audio, RATE)).seconds == pytest.approx(len(audio) / RATE, abs=0.1)
    assert found(index, prints, Query(audio, RATE)) == []
    assert agrees(Query(audio, RATE), prints[0]) is None


def test_a_sample_that_is_no_number_spoils_nothing_else(
    index: Index, prints: list[bytes], speech: list[Floats]
) -> None:
    piece = speech[1][int(START * RATE) : int((START + SECONDS) * RATE)].copy()
    piece[RATE] = np.nan
    assert found(index, prints, Query(piece, RATE))[0].number == 1


def test_long_audio_is_worked_on_in_pieces(speech: list[Floats], tmp_path: Path) -> None:
    """A clip 12 minutes into a recording, beyond what one item of the index holds, is found where it is."""
    long = np.zeros(12 * 60 * RATE, np.float32)
    long[-len(speech[0]) :] = speech[0]
    data = fingerprint.make(long, RATE)
    index = Index(tmp_path / "index")
    index.add([(5, data)])
    begin = len(long) - len(speech[0]) + RATE
    query = Query(long[begin : begin + 4 * RATE], RATE)
    best = verify(query, data, index.search(query)[0])
    assert best is not None
    assert best.original_from == pytest.approx(begin / RATE, abs=0.1)


def test_a_query_is_at_most_ten_minutes() -> None:
    with pytest.raises(ValueError, match="in pieces"):
        Query(np.zeros(601 * 8000, np.float32), 8000)


def test_bytes_that_are_no_fingerprint_are_refused(prints: list[bytes]) -> None:
    for bad in (b"", b"\x02" + prints[0][1:], prints[0][:-1], prints[0] + b"\0", b"\x01" + b"\xff" * 20):
        with pytest.raises(BadFingerprint):
            fingerprint.parse(bad)
