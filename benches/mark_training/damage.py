"""Random damage to a marked clip, for training: codecs, telephones, noise, other voices, and rooms that are made up."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.signal import butter, sosfilt

from benches.trace import attacks
from benches.trace.attacks import RATE, Floats


class Damage:
    """Ways to damage mono float32 at 16 kHz without changing its speed; `others` are recordings of other speakers."""

    def __init__(self, rng: np.random.Generator, others: Sequence[Floats]) -> None:
        self._rng = rng
        self._others = others

    def none(self, audio: Floats) -> Floats:
        return audio

    def mp3(self, audio: Floats) -> Floats:
        return attacks.mp3(audio, int(self._rng.choice([24, 32, 48])))

    def aac(self, audio: Floats) -> Floats:
        return attacks.aac(audio, int(self._rng.choice([24, 32, 64])))

    def opus(self, audio: Floats) -> Floats:
        return attacks.opus(audio, int(self._rng.choice([10, 12, 12, 16])))

    def telephone(self, audio: Floats) -> Floats:
        return attacks.g711(audio)

    def gsm(self, audio: Floats) -> Floats:
        return attacks.gsm(audio)

    def amr(self, audio: Floats) -> Floats:
        return attacks.amr(audio, int(self._rng.choice([4750, 6700, 7950, 12_200])))

    def noise(self, audio: Floats, low: float = 3, high: float = 22) -> Floats:
        """White, pink or brown."""
        exponent = float(self._rng.choice([0.0, 0.0, 1.0, 2.0]))
        return attacks.added(audio, attacks.coloured(len(audio), self._rng, exponent), self._rng.uniform(low, high))

    def babble(self, audio: Floats) -> Floats:
        """Three to seven people at once."""
        chosen = self._rng.choice(len(self._others), self._rng.integers(3, 8), replace=False)
        voices = [self._turned(self._others[k], len(audio)) for k in chosen]
        return attacks.added(audio, np.asarray(np.sum(voices, axis=0), np.float32), self._rng.uniform(3, 20))

    def other_speech(self, audio: Floats) -> Floats:
        other = self._turned(self._others[self._rng.integers(len(self._others))], len(audio))
        return attacks.added(audio, other, self._rng.uniform(-3, 10))

    def room(self, audio: Floats) -> Floats:
        return attacks.room(audio, self._response())

    def noisy_room(self, audio: Floats) -> Floats:
        return self.noise(self.room(audio), 10, 25)

    def coded_room(self, audio: Floats) -> Floats:
        return attacks.opus(self.room(audio), 16)

    def coded_noise(self, audio: Floats) -> Floats:
        return attacks.mp3(self.noise(audio, 8, 25), 32)

    def noisy_telephone(self, audio: Floats) -> Floats:
        return attacks.g711(self.noise(audio, 8, 25))

    def denoised(self, audio: Floats) -> Floats:
        return attacks.filtered(self.noise(audio, 8, 25), ("afftdn", f"nr={self._rng.uniform(8, 25)}"))

    def equalised(self, audio: Floats) -> Floats:
        """Through a smooth filter of +-12 dB."""
        bins = np.fft.rfftfreq(len(audio), 1 / RATE)
        gain = np.interp(bins, np.sort(self._rng.uniform(50, 8000, 6)), self._rng.uniform(-12, 12, 6))
        return np.asarray(np.fft.irfft(np.fft.rfft(audio) * 10 ** (gain / 20), len(audio)), np.float32)

    def dynamics(self, audio: Floats) -> Floats:
        """Compressed, as broadcasters do."""
        threshold, ratio = 10 ** (-self._rng.uniform(15, 35) / 20), self._rng.uniform(2, 8)
        times = f"attack={self._rng.uniform(1, 20)}:release={self._rng.uniform(30, 300)}"
        loud = np.asarray(audio / (np.max(np.abs(audio)) + 1e-9), np.float32)
        return attacks.filtered(loud, ("acompressor", f"threshold={threshold}:ratio={ratio}:{times}"))

    def _turned(self, other: Floats, length: int) -> Floats:
        level = np.resize(other / (np.std(other) + 1e-9), length)
        return np.asarray(np.roll(level, self._rng.integers(length)), np.float32)

    def _response(self) -> Floats:
        """A made-up room: direct sound, some early reflections, and a tail of 0.2 to 0.9 s, the treble's shorter."""
        rng = self._rng
        rt60 = rng.uniform(0.2, 0.9)
        time = np.arange(int(RATE * rt60 * 1.1)) / RATE
        noise = rng.normal(size=len(time))
        low = sosfilt(butter(2, rng.uniform(1000, 3000), fs=RATE, output="sos"), noise)
        sooner = rt60 * rng.uniform(0.4, 1.0)
        tail = low * 10 ** (-3 * time / rt60) + (noise - low) * 10 ** (-3 * time / sooner)
        tail[: int(RATE * rng.uniform(0.0005, 0.012))] = 0
        strongest = np.max(np.abs(tail))
        for place in rng.integers(int(0.001 * RATE), int(0.05 * RATE), rng.integers(0, 12)):
            tail[place] += rng.choice([-1, 1]) * rng.uniform(0.1, 0.8) * strongest
        tail *= np.sqrt(10 ** (rng.uniform(-9, 6) / 10) / np.sum(tail**2))  # reverberant to direct sound, dB
        tail[0] = 1.0
        return np.asarray(tail, np.float32)


ATTACKS: dict[str, tuple[float, Callable[[Damage, Floats], Floats]]] = {
    "none": (0.5, Damage.none),
    "mp3": (1.0, Damage.mp3),
    "aac": (0.5, Damage.aac),
    "opus": (2.0, Damage.opus),
    "telephone": (1.0, Damage.telephone),
    "gsm": (1.5, Damage.gsm),
    "amr": (1.5, Damage.amr),
    "noise": (2.5, Damage.noise),
    "babble": (1.5, Damage.babble),
    "other speech": (1.0, Damage.other_speech),
    "room": (4.0, Damage.room),
    "room, noise": (1.0, Damage.noisy_room),
    "room, codec": (0.7, Damage.coded_room),
    "noise, codec": (0.7, Damage.coded_noise),
    "noise, telephone": (0.5, Damage.noisy_telephone),
    "denoised": (0.7, Damage.denoised),
    "equalised": (0.4, Damage.equalised),
    "dynamics": (0.4, Damage.dynamics),
}
"""Name -> (how often, attack)."""
