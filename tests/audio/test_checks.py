"""The checks of a sample: what passes, and which check catches what."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from tests.audio.conftest import Floats, recorded
from workers.audio.checks import SampleReport, check_sample
from workers.audio.decode import Decoded
from workers.audio.measures import clipped_share
from workers.audio.vad import speech_segments


def failed(report: SampleReport) -> set[str]:
    for check in report.checks:
        assert check.sentence.endswith(".")
        assert check.passed or len(check.sentence.split(". ")) > 1 or "Please" in check.sentence
    assert report.accepted == all(check.passed for check in report.checks)
    return {check.code for check in report.checks if not check.passed}


@pytest.fixture(scope="module")
def good(speech: dict[str, Decoded]) -> Floats:
    return speech["reader_26/sample"].pcm[: 16 * 16_000]


def test_a_good_minute_is_accepted(speech: dict[str, Decoded]) -> None:
    report = check_sample([speech["reader_26/sample"]])
    assert failed(report) == set()
    assert report.accepted
    assert 58 < report.speech_seconds < 64
    assert report.agreement > 0.9
    assert report.signal_to_noise_db is not None
    assert report.signal_to_noise_db > 25


def test_pieces_count_together(speech: dict[str, Decoded]) -> None:
    pcm = speech["reader_27/sample"].pcm[: 40 * 16_000]
    half = len(pcm) // 2
    assert failed(check_sample([recorded(pcm[:half])])) == {"sample.speech_length"}
    assert failed(check_sample([recorded(pcm[:half]), recorded(pcm[half:])])) == set()


def test_too_short_and_too_long(speech: dict[str, Decoded]) -> None:
    pcm = speech["reader_26/sample"].pcm
    short = check_sample([recorded(pcm[: 5 * 16_000])])
    assert failed(short) == {"sample.speech_length"}
    assert "30 are needed" in short.checks[0].sentence
    long = check_sample([recorded(pcm[: 12 * 16_000])], min_speech_seconds=1, max_speech_seconds=5)
    assert failed(long) == {"sample.speech_length"}
    assert "the most is 5" in long.checks[0].sentence


def test_silence_music_and_noise_are_no_speech(chords: Floats) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(20 * 16_000).astype(np.float32)
    for pcm in (np.zeros(20 * 16_000, np.float32), chords, noise):
        report = check_sample([recorded(pcm)])
        assert failed(report) == {"sample.speech_length", "sample.mostly_speech"}
        assert report.speech_seconds < 1


def test_two_speakers_of_the_same_sex(speech: dict[str, Decoded]) -> None:
    one, other = (speech[f"reader_{n}/sample"].pcm[: 15 * 16_000] for n in (26, 27))
    talk = np.concatenate([part for pair in zip(np.split(one, 3), np.split(other, 3), strict=True) for part in pair])
    for pcm in (np.concatenate([one, other]), talk):
        report = check_sample([recorded(pcm)], min_speech_seconds=10)
        assert failed(report) == {"sample.one_voice"}, report.agreement


def test_two_sessions_of_one_speaker_are_one_voice(speech: dict[str, Decoded]) -> None:
    pieces = [recorded(speech["reader_26/sample"].pcm[: 13 * 16_000]), speech["reader_26/consent"]]
    assert failed(check_sample(pieces, min_speech_seconds=10)) == set()


def test_damage_is_named(good: Floats) -> None:
    hiss = np.random.default_rng(0).standard_normal(len(good)).astype(np.float32)
    power = np.float32(np.sqrt(np.mean(good**2)))
    band = butter(6, (300, 3400), "bandpass", fs=16_000, output="sos")
    for code, pcm in {
        "sample.clipping": np.clip(good * 12, -1, 1),
        "sample.level": good / 100,
        "sample.background": good + hiss * power * np.float32(10 ** (-5 / 20)),
        "sample.bandwidth": sosfilt(band, good),
    }.items():
        report = check_sample([recorded(np.asarray(pcm, np.float32))], min_speech_seconds=10)
        assert failed(report) == {code}


def test_eight_kilohertz_lack_bandwidth(good: Floats) -> None:
    low = butter(8, 3900, fs=16_000, output="sos")
    narrow = np.asarray(sosfilt(low, good), np.float32)[::2]
    assert failed(check_sample([recorded(narrow, 8000)], min_speech_seconds=10)) == {"sample.bandwidth"}


def test_clipping_is_found_at_any_level_and_not_in_loud_tones() -> None:
    tone = np.sin(2 * np.pi * 200 * np.arange(16_000) / 16_000).astype(np.float32)
    assert clipped_share(tone) < 0.02
    assert clipped_share(np.clip(2 * tone, -1, 1) * 0.3) > 0.5
    assert clipped_share(np.zeros(100, np.float32)) == clipped_share(np.zeros(0, np.float32)) == 0


def test_speech_segments_find_the_speech(speech: dict[str, Decoded]) -> None:
    pcm = speech["reader_26/consent"].pcm
    silence = np.zeros(10 * 16_000, np.float32)
    length = len(pcm) / 16_000
    found = speech_segments(np.concatenate([silence, pcm, silence, silence]))  # longer than one batch of the model
    assert found[0][0] == pytest.approx(10, abs=1)
    assert found[-1][1] == pytest.approx(10 + length, abs=1)
    assert sum(end - start for start, end in found) > 0.8 * length
    assert speech_segments(np.zeros(0, np.float32)) == []


def test_a_sample_of_nothing_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="at least one recording"):
        check_sample([])
