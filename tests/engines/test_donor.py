"""The synthetic donor: speaks, the same each time, from the command line too."""

from __future__ import annotations

import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from workers.donor import donor
from workers.engines.base import TextNotSpeakable


def test_it_speaks_for_as_long_as_its_text_needs() -> None:
    pcm, rate = donor("The donor reads one sentence. Then there is another one to read.")
    assert rate == 22_050
    assert pcm.dtype == np.float32
    assert 2.5 < pcm.size / rate < 7.0
    assert 0.1 < np.abs(pcm).max() <= 1.0


def test_emoji_are_refused() -> None:
    with pytest.raises(TextNotSpeakable):
        donor("😀")


def test_the_command_writes_the_same_wav_each_time(tmp_path: Path) -> None:
    files = [tmp_path / "a.wav", tmp_path / "b.wav"]
    for file in files:
        command = [sys.executable, "-m", "workers.donor", "--text", "Hello there, my friend.", "--out", str(file)]
        subprocess.run(command, check=True)
    with wave.open(str(files[0])) as sound:
        assert sound.getnframes() > 15_000
    assert files[0].read_bytes() == files[1].read_bytes()
