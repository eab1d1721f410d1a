"""What attacks add, and the audio that is not ours: rooms, noises, music, human speech."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from benches.trace.attacks import RATE, Floats, coloured, load
from benches.trace.music import compose

_RESERVED = 20  # of the cohort's speakers are only what attacks add; the others are only queries
_BED_SECONDS = 75
_BEDS = 6
_TONE_SECONDS = 6.0


@dataclass(frozen=True)
class Materials:
    """Sounds at 16 kHz from the folder of given recordings (rir/, noise/, speech/), and some that are made."""

    shared: Path
    quick: bool = False
    _beds: dict[int, Floats] = field(default_factory=dict)

    @cached_property
    def rooms(self) -> Mapping[str, Floats]:
        """Measured impulse responses by name."""
        return {path.stem: load(path) for path in sorted((self.shared / "rir").glob("*.wav"))}

    @cached_property
    def noises(self) -> Sequence[Floats]:
        """Recorded noises."""
        return [load(path) for path in sorted((self.shared / "noise").glob("*.wav"))]

    @cached_property
    def _cohort(self) -> Sequence[Path]:
        return sorted((self.shared / "speech" / "cohort").glob("*.flac"))

    @cached_property
    def others(self) -> Sequence[Floats]:
        """Speakers who are only ever added to clips."""
        return [load(path) for path in self._cohort[-_RESERVED:]]

    @cached_property
    def babble(self) -> Floats:
        """Six of them at once, 75 s."""
        voices = [np.resize(each / np.std(each), _BED_SECONDS * RATE) for each in self.others[:6]]
        return np.asarray(np.sum(voices, axis=0), np.float32)

    def music(self, rng: np.random.Generator) -> Floats:
        """75 s of made-up music, one of six pieces."""
        seed = int(rng.integers(_BEDS))
        if seed not in self._beds:
            self._beds[seed] = compose(_BED_SECONDS, seed)
        return self._beds[seed]

    def anyone(self, rng: np.random.Generator) -> Floats:
        """One of the reserved speakers."""
        return self.others[int(rng.integers(len(self.others)))]

    def people(self) -> Mapping[str, Floats]:
        """Human speech that is searched for: nothing of it was made here. By name, the speaker's number first."""
        speech = self.shared / "speech"
        files = list(self._cohort[:-_RESERVED]) + sorted((speech / "dev").rglob("*.flac"))
        files += sorted((speech / "sessions").rglob("*.flac"))
        return {path.stem: load(path) for path in (files[::20] if self.quick else files)}

    def unspoken(self) -> Mapping[str, Floats]:
        """Everything but speech, six seconds each: music, recorded noises, made noises, tones, silence."""
        rng = np.random.default_rng(20)
        length = int(_TONE_SECONDS * RATE)
        t = np.arange(length) / RATE
        made = {f"music-{k}": compose(_TONE_SECONDS, 100 + k) for k in range(10)}
        made |= {f"noise-{k}": np.resize(noise, length).astype(np.float32) for k, noise in enumerate(self.noises)}
        made |= {f"coloured-{e}": 0.1 * coloured(length, rng, e) for e in (0.0, 1.0, 2.0)}
        for hertz in (50, 440, 1000):
            made[f"tone-{hertz}"] = np.asarray(0.3 * np.sin(2 * np.pi * hertz * t), np.float32)
        made["sweep"] = np.asarray(0.3 * np.sin(2 * np.pi * (100 * t + 300 * t**2)), np.float32)
        made["pulses"] = np.asarray((np.arange(length) % 160 == 0) * 0.5, np.float32)
        made["silence"] = np.zeros(length, np.float32)
        return dict(list(made.items())[::5]) if self.quick else made


def excerpt(audio: Floats, seconds: float, rng: np.random.Generator) -> tuple[Floats, float]:
    """A piece from a random place and where it begins, in seconds; all of it where it is no longer than that."""
    length = int(seconds * RATE)
    begin = int(rng.integers(0, max(len(audio) - length, 0) + 1))
    return audio[begin : begin + length], begin / RATE
