"""Voice matching with Kokoro: the inverse finds what made a sound, and pitch comes out as asked."""

from __future__ import annotations

import math

import numpy as np
import pytest

from workers.audio.prosody import prosody
from workers.audio.resample import resample
from workers.engines.base import EngineError, SpeakRequest, VoiceSample
from workers.engines.join import join
from workers.engines.kokoro.build_table import compress
from workers.engines.kokoro.calibration import Manner
from workers.engines.kokoro.engine import KokoroEngine
from workers.engines.kokoro.matching import HALF, LARGEST_Z, delivery, match, timbre_point
from workers.engines.kokoro.table import STOCK, Table, table


def sounds(known: Table, z: np.ndarray, log_f0: float) -> np.ndarray:
    return known.bias + known.by_z @ z + known.by_pitch * (log_f0 - known.pitch_centre)


def sample(f0: float = 120.0, rate: float | None = 4.5, z: np.ndarray | None = None) -> VoiceSample:
    known = table()
    point = np.random.default_rng(3).standard_normal(HALF) * 0.6 if z is None else z
    both = sounds(known, point, math.log(f0)).astype(np.float32)
    parts = {"d-vector": both[:256], "resemblyzer": both[256:]}
    embeddings = {name: part / np.linalg.norm(part) for name, part in parts.items()}
    return VoiceSample(np.zeros(16_000, np.float32), embeddings, f0, 0.2, rate, "en-us")


def test_the_shipped_table_is_small_complete_and_safe() -> None:
    known = table()
    assert len(known.names) == 54
    assert known.means.shape == (54, 256)
    assert known.by_z.shape == (512, HALF)
    assert {pack for pack, _ in STOCK.values()} <= set(known.names)
    assert 0.5 < known.heard_rate < 1.5


def test_the_inverse_explains_the_sound_that_a_timbre_makes() -> None:
    known = table()
    wanted = np.random.default_rng(5).standard_normal(HALF) * 0.6
    made = sounds(known, wanted, 5.0)
    found = timbre_point(known, made.astype(np.float32), 5.0, strength=1e-6)
    mean_error = np.linalg.norm(sounds(known, np.zeros(HALF), 5.0) - made)
    assert np.linalg.norm(sounds(known, found, 5.0) - made) < 0.25 * mean_error


def test_far_away_voices_stay_within_what_kokoro_can_speak() -> None:
    far = np.full(512, 1 / 16, np.float32) * 30
    z = timbre_point(table(), far, 5.0)
    assert np.sqrt(np.mean(z**2)) <= LARGEST_Z * 1.001


def test_samples_with_other_voices_give_other_styles() -> None:
    one, other = (match(table(), sample(z=np.eye(HALF)[i] * 5)) for i in (0, 1))
    assert np.linalg.norm(one.mean[:HALF] - other.mean[:HALF]) > 0.05
    assert np.array_equal(one.mean[HALF:], other.mean[HALF:])  # same manner, same prosody


def test_delivery_places_the_median_and_bounds_the_rest() -> None:
    own = Manner(log_mean=5.0, log_median=5.02, log_sd=0.2, rate=4.5)
    wild = VoiceSample(np.zeros(1, np.float32), {}, 110.0, 9.0, 50.0)
    given = delivery(table(), own, wild)
    controlled = (own.log_median - given.mu) * given.ratio + given.mu + given.shift
    assert controlled == pytest.approx(math.log(110.0))
    assert given.ratio == 1.5
    assert given.speed == pytest.approx(1.2)
    assert delivery(table(), own, sample(rate=None)).speed == 1.0


@pytest.mark.parametrize("broken", ["missing", "zero", "short", "nan"])
def test_bad_embeddings_are_refused(broken: str) -> None:
    good = sample()
    vectors = dict(good.embeddings)
    if broken == "missing":
        del vectors["resemblyzer"]
    else:
        vectors["resemblyzer"] = {
            "zero": np.zeros(256, np.float32),
            "short": np.full(10, 0.316, np.float32),
            "nan": np.full(256, np.nan, np.float32),
        }[broken]
    with pytest.raises(EngineError, match="embedding"):
        match(table(), VoiceSample(good.pcm16k, vectors, 120.0, 0.2))


@pytest.mark.parametrize("f0", [95.0, 205.0])
def test_the_spoken_pitch_is_near_the_asked_one(f0: float) -> None:
    engine = KokoroEngine()
    voice = engine.prepare_voice(sample(f0), lambda _: None)
    pcm, rate = join(engine.speak([SpeakRequest("k", "We really saw many more of them there.", "en-us", voice)]))
    assert prosody(resample(pcm, rate, 16_000)).f0_median == pytest.approx(f0, rel=0.12)


def test_packs_survive_compression() -> None:
    known = table()
    packs = {
        name: np.stack([known.style(name).at(n) for n in range(1, 511)]) for name in ("af_heart", "am_puck", "zm_yunxi")
    }
    means, slopes, rows = compress(packs)
    restored = means[:, None] + rows @ slopes
    assert np.abs(restored - np.stack(list(packs.values()))).max() < 1e-4
