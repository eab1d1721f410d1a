"""Is a recording good enough to make a voice from? Each check says in plain words what it found and what to do.

The thresholds come from `python benches/sample_checks.py` (LibriSpeech: 11 minutes of 8 readers and 25
utterances of others; the same with noise, clipping and telephone bands added). The worst good recording
and the best bad one stand beside each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.audio.decode import Decoded
from workers.audio.measures import bandwidth_hz, clipped_share, level_dbfs, signal_to_noise_db
from workers.audio.noise import Cleanness, cleanness
from workers.audio.one_voice import voice_agreement
from workers.audio.resample import resample
from workers.audio.vad import RATE, Segments, cut, speech_segments

# Beside each limit: what benches/sample_checks.py measured on 36 good recordings and on 11 damaged in each way.
MOST_CLIPPED = 0.005  # share of samples; good 0, four times too loud 0.0004 to 0.14 (9 of 11 refused)
LOWEST_LEVEL = -45.0  # dBFS of the speech; good -33 to -20, a hundredth of the level -74 to -62
LEAST_SPEECH_SHARE = 0.4  # of the recording; good at least 0.52
LEAST_BACKGROUND = 2.5  # DNSMOS; good 3.54 to 4.23, white noise at 10 dB at most 2.28, others at 20 dB from 2.41
LEAST_BANDWIDTH = 4800.0  # Hz; good 5594 to 8000, telephone 3656 to 4250
LEAST_AGREEMENT = 0.8  # cosine; one reader at least 0.90, two joined at most 0.70

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Check:
    """One finding: a stable code, its name, a figure with its unit, what is asked for, a sentence for the customer."""

    code: str
    label: str
    value: float
    unit: str
    requirement: str
    passed: bool
    sentence: str


@dataclass(frozen=True)
class SampleReport:
    """All checks, in the order to show them, and the measures behind them.

    Lengths in seconds, levels in dB (relative to full scale), `cleanness` as opinion scores from 1 to 5, `agreement`
    as a cosine; `signal_to_noise_db` is None where there are no pauses to measure noise in.
    """

    checks: tuple[Check, ...]
    seconds: float
    speech_seconds: float
    level_dbfs: float
    signal_to_noise_db: float | None
    clipped_share: float
    bandwidth_hz: float
    cleanness: Cleanness
    agreement: float

    @property
    def accepted(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)


def check_sample(
    pieces: Sequence[Decoded], min_speech_seconds: float = 30.0, max_speech_seconds: float = 180.0
) -> SampleReport:
    """Check the recordings that together are one sample. Raises ValueError if there are none."""
    if not pieces:
        raise ValueError("A sample needs at least one recording.")
    report = _measure(pieces)
    checks: tuple[Check, ...] = (
        _length(report.speech_seconds, min_speech_seconds, max_speech_seconds),
        _share(report.speech_seconds, report.seconds),
        _level(report.level_dbfs),
        _clipping(report.clipped_share),
        _background(report.cleanness.background),
        _bandwidth(report.bandwidth_hz),
        _one_voice(report.agreement),
    )
    if report.speech_seconds < 1.0:
        checks = checks[:2]  # nothing to judge the rest by
    return SampleReport(**(vars(report) | {"checks": checks}))


def _measure(pieces: Sequence[Decoded]) -> SampleReport:
    wide = [resample(piece.pcm, piece.sample_rate, RATE) for piece in pieces]
    segments = [speech_segments(pcm) for pcm in wide]
    speech = np.concatenate([cut(pcm, found) for pcm, found in zip(wide, segments, strict=True)])
    pauses = np.concatenate([cut(pcm, _between(found, len(pcm))) for pcm, found in zip(wide, segments, strict=True)])
    samples = [len(piece.pcm) for piece in pieces]
    return SampleReport(
        checks=(),
        seconds=sum(len(piece.pcm) / piece.sample_rate for piece in pieces),
        speech_seconds=len(speech) / RATE,
        level_dbfs=level_dbfs(speech),
        signal_to_noise_db=signal_to_noise_db(speech, pauses),
        clipped_share=float(np.average([clipped_share(piece.pcm) for piece in pieces], weights=samples)),
        bandwidth_hz=bandwidth_hz(speech, RATE),
        cleanness=cleanness(np.concatenate(wide)),
        agreement=voice_agreement(speech),
    )


def _between(segments: Segments, samples: int) -> Segments:
    """What is left outside the segments."""
    edges = [0.0, *(edge for segment in segments for edge in segment), samples / RATE]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _length(seconds: float, least: float, most: float) -> Check:
    if seconds < least:
        sentence = (
            f"There are {seconds:.0f} seconds of speech; {least:.0f} are needed. "
            "Please record more, or add another recording."
        )
    elif seconds > most:
        sentence = f"There are {seconds:.0f} seconds of speech; the most is {most:.0f}. Please send a shorter part."
    else:
        sentence = f"{seconds:.0f} seconds of speech: enough."
    passed = least <= seconds <= most
    requirement = f"{least:.0f} to {most:.0f} s"
    return Check("sample.speech_length", "Length of speech", seconds, "s", requirement, passed, sentence)


def _share(speech_seconds: float, seconds: float) -> Check:
    share = speech_seconds / max(seconds, 1e-9)
    passed = share >= LEAST_SPEECH_SHARE
    sentence = (
        "The recording is mostly speech."
        if passed
        else "Most of the recording is not speech, but silence, music or noise. "
        "Please record somebody speaking, without music, and leave out long pauses."
    )
    return Check(
        "sample.mostly_speech",
        "Share of speech",
        share,
        "share",
        f"at least {LEAST_SPEECH_SHARE:.0%}",
        passed,
        sentence,
    )


def _level(level: float) -> Check:
    passed = level >= LOWEST_LEVEL
    sentence = (
        "The speech is loud enough."
        if passed
        else "The speech is too quiet. Please move closer to the microphone or raise its level."
    )
    return Check("sample.level", "Level", level, "dBFS", f"at least {LOWEST_LEVEL:.0f} dBFS", passed, sentence)


def _clipping(share: float) -> Check:
    passed = share <= MOST_CLIPPED
    sentence = (
        "The loud parts are not cut off."
        if passed
        else "The recording is overdriven: its loud parts are cut off. "
        "Please lower the level of the microphone or move away from it, and record again."
    )
    return Check("sample.clipping", "Clipped samples", share, "share", f"at most {MOST_CLIPPED:.1%}", passed, sentence)


def _background(score: float) -> Check:
    passed = score >= LEAST_BACKGROUND
    sentence = (
        "The background is quiet."
        if passed
        else "There is too much noise or music behind the voice. Please record in a quiet room, near the microphone."
    )
    return Check(
        "sample.background", "Background", score, "of 5", f"at least {LEAST_BACKGROUND:g} of 5", passed, sentence
    )


def _bandwidth(hertz: float) -> Check:
    passed = hertz >= LEAST_BANDWIDTH
    sentence = (
        "The recording holds the full range of the voice."
        if passed
        else "The recording sounds like a telephone: the high part of the voice is missing. "
        "Please record with the microphone itself, not over a call or an old headset, at 16 kHz or more."
    )
    return Check(
        "sample.bandwidth", "Bandwidth", hertz, "Hz", f"at least {LEAST_BANDWIDTH / 1000:g} kHz", passed, sentence
    )


def _one_voice(agreement: float) -> Check:
    passed = agreement >= LEAST_AGREEMENT
    sentence = (
        "There is one voice in the recording."
        if passed
        else "There seems to be more than one voice in the recording, or parts recorded in very different ways. "
        "Please send one person only, recorded in one place."
    )
    return Check(
        "sample.one_voice", "One voice", agreement, "likeness", f"at least {LEAST_AGREEMENT:.2f}", passed, sentence
    )
