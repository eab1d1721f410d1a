"""voices.npz: hexgrad's 54 voice packs in small, and the linear model from a style to how it sounds.

The file is derived from Kokoro's packs (Apache-2.0, see NOTICE) by build_table.py. A pack is one style vector
of 256 for each number of phonemes, 510 of them; over those rows a pack moves in only a few directions, so it
is kept as its mean and 8 directions.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from workers.engines.base import Floats, StockVoice

PATH = Path(__file__).with_name("voices.npz")

STOCK = {
    "ada": ("af_heart", StockVoice("ada", "Ada", "en-us", "Warm American woman, unhurried")),
    "bella": ("af_bella", StockVoice("bella", "Bella", "en-us", "Bright American woman, lively")),
    "clara": ("af_nicole", StockVoice("clara", "Clara", "en-us", "Soft American woman, close to a whisper")),
    "emma": ("bf_emma", StockVoice("emma", "Emma", "en-gb", "Clear British woman, composed")),
    "felix": ("am_fenrir", StockVoice("felix", "Felix", "en-us", "Firm American man, medium pitch")),
    "george": ("bm_george", StockVoice("george", "George", "en-gb", "Measured British man, low pitch")),
    "michael": ("am_michael", StockVoice("michael", "Michael", "en-us", "Calm American man, low pitch")),
    "puck": ("am_puck", StockVoice("puck", "Puck", "en-us", "Quick American man, playful")),
}
"""Stock voice id -> Kokoro's pack and its card."""


@dataclass(frozen=True)
class Style:
    """A voice as Kokoro takes it: a style vector that moves a little with the number of phonemes.

    mean: (256,), timbre then prosody. slopes: (k, 256), rows: (510, k); the style for n phonemes is
    mean + rows[n - 1] @ slopes.
    """

    mean: Floats
    slopes: Floats
    rows: Floats

    def at(self, phonemes: int) -> Floats:
        """The (256,) vector for a piece of so many phonemes."""
        row = self.rows[min(max(phonemes, 1), len(self.rows)) - 1]
        return np.asarray(self.mean + row @ self.slopes, np.float32)


@dataclass(frozen=True)
class Table:
    """The content of voices.npz as float32. n packs, 512 embedding dimensions: d-vector, then Resemblyzer.

    names (n), means (n, 256), slopes (n, 8, 256), rows (510, 8). timbre_mean (128,), timbre_factor (128, 128): timbre
    = mean + factor @ z with z of unit prior. embedding = bias (512,) + by_z (512, 128) @ z + by_pitch (512,) *
    (ln F0 - pitch_centre). manners (n, 3): median and standard deviation of ln F0, syllables a second. heard_rate:
    syllables that workers.audio.prosody counts for each true one.
    """

    names: tuple[str, ...]
    means: Floats
    slopes: Floats
    rows: Floats
    timbre_mean: Floats
    timbre_factor: Floats
    bias: Floats
    by_z: Floats
    by_pitch: Floats
    pitch_centre: float
    manners: Floats
    heard_rate: float

    def style(self, name: str) -> Style:
        """One of the 54 packs."""
        i = self.names.index(name)
        return Style(self.means[i], self.slopes[i], self.rows)


@cache
def table() -> Table:
    """The shipped table; read once."""
    with np.load(PATH, allow_pickle=False) as stored:
        names = tuple(str(name) for name in stored["names"])
        numbers = {key: stored[key].astype(np.float32) for key in stored.files if key != "names"}
    centre, heard = (float(numbers.pop(key)) for key in ("pitch_centre", "heard_rate"))
    return Table(names=names, pitch_centre=centre, heard_rate=heard, **numbers)


@cache
def digest() -> str:
    """sha256 of voices.npz."""
    return hashlib.sha256(PATH.read_bytes()).hexdigest()
