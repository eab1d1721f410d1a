"""Finished audio: formats, loudness, peaks, change of rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from workers.audio.decode import Decoded, decode
from workers.audio.encode import FORMATS, encode
from workers.audio.loudness import loudness, normalise
from workers.audio.peaks import peaks
from workers.audio.resample import resample

RATE = 24_000
TONE = (0.4 * np.sin(2 * np.pi * 500 * np.arange(int(1.37 * RATE)) / RATE)).astype(np.float32)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_keeps_length_pitch_and_level(name: str, tmp_path: Path) -> None:
    encoded = encode(TONE, RATE, name)
    assert encoded.sample_rate == int(name.split("_")[1])
    if encoded.extension == "pcm":
        pcm, rate = np.frombuffer(encoded.data, "<i2").astype(np.float32) / 32768, encoded.sample_rate
    else:
        path = tmp_path / f"a.{encoded.extension}"
        path.write_bytes(encoded.data)
        decoded = decode(path)
        pcm, rate = decoded.pcm, decoded.sample_rate
        assert decoded.source.container == encoded.extension
    assert rate == encoded.sample_rate
    longer = len(pcm) / rate - 1.37  # gapless: to the sample, but for rounding; AAC ends with a whole frame
    assert -0.001 < longer < (1024 / rate if encoded.extension == "m4a" else 0.001)
    middle = pcm[rate // 10 : rate // 10 + rate]
    assert np.abs(np.fft.rfft(middle)).argmax() == 500
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.4 / np.sqrt(2), rel=0.08)  # LAME turns down by up to 0.5 dB


def test_bit_rates_are_kept_and_too_loud_is_clipped_not_wrapped() -> None:
    sizes = [len(encode(TONE, RATE, f"mp3_44100_{kilobits}").data) for kilobits in (32, 64, 96, 128, 192)]
    for size, kilobits in zip(sizes, (32, 64, 96, 128, 192), strict=True):
        assert size == pytest.approx(1.37 * kilobits * 125, rel=0.15)
    loud = np.frombuffer(encode(TONE * 4, RATE, "pcm_24000").data, "<i2")
    assert loud.max() == 32767
    assert np.sign(loud[:24]).min() >= 0  # the first half wave stays positive


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"mp3_1.*mp3_44100_128.*flac_48000"):
        encode(TONE, RATE, "mp3_1")


def test_loudness_comes_out_as_asked_without_clipping(speech: dict[str, Decoded]) -> None:
    pcm = speech["reader_27/consent"].pcm
    levelled = normalise(pcm, 16_000)
    assert loudness(levelled, 16_000) == pytest.approx(-19, abs=0.5)
    for lufs in (-19.0, -10.0):
        assert np.abs(normalise(pcm, 16_000, lufs)).max() <= 10 ** (-1 / 20) + 1e-6
    pushed = normalise(pcm, 16_000, -16)
    assert np.corrcoef(pushed, pcm)[0, 1] > 0.97  # turned down smoothly, not bent


def test_loudness_of_next_to_nothing() -> None:
    silence = np.zeros(48_000, np.float32)
    assert np.array_equal(normalise(silence, 48_000), silence)
    assert len(normalise(silence[:0], 48_000)) == 0
    short = normalise(TONE[:2400] / 10, RATE)  # a tenth of a second
    assert np.sqrt(np.mean(short**2)) > 2 * np.sqrt(np.mean((TONE[:2400] / 10) ** 2))
    faint = np.full(48_000, 1e-4, np.float32) * np.sign(np.sin(np.arange(48_000) / 9)).astype(np.float32)
    assert np.abs(normalise(faint, 48_000)).max() < 1e-4 * 10 ** (31 / 20)


def test_peaks_follow_the_sound() -> None:
    pcm = np.concatenate([np.zeros(1000), np.full(1000, -0.5), np.full(1000, 0.25)]).astype(np.float32)
    assert peaks(pcm, 6) == [0, 0, 1, 1, 0.5, 0.5]
    assert len(peaks(pcm)) == 400
    assert peaks(pcm[:3]) == [0, 0, 0]
    assert peaks(pcm[:0]) == []


def test_resample_keeps_length_and_pitch() -> None:
    up = resample(TONE, RATE, 48_000)
    assert len(up) == 2 * len(TONE)
    assert up.dtype == np.float32
    assert resample(TONE, RATE, RATE) is TONE
