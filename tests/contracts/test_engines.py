"""What every registered engine promises, checked on each of them."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest

from workers.engines.artefact import pack
from workers.engines.base import (
    ArtefactIncompatible,
    Engine,
    EngineError,
    LanguageNotSupported,
    Segment,
    SpeakRequest,
    TextNotSpeakable,
    VoiceSample,
)
from workers.engines.join import join
from workers.engines.registry import ENGINES, get_engine

SHORT = "Good morning."
LONG = "The first sentence is short enough. The second one follows it at once, and then we stop. " * 3


@pytest.fixture(scope="module", params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> Engine:
    made = get_engine(request.param)
    made.load()
    made.load()  # idempotent
    return made


@pytest.fixture(scope="module")
def artefact(engine: Engine) -> bytes:
    return engine.stock_voice(engine.info.stock_voices[0].id)


def sample(f0: float = 120.0, seed: int = 1) -> VoiceSample:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((2, 256)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    embeddings = {"d-vector": vectors[0], "resemblyzer": vectors[1]}
    return VoiceSample(np.zeros(16_000, np.float32), embeddings, f0, 0.2, 4.5, "en-us")


def say(engine: Engine, artefact: bytes, text: str = SHORT, **more: object) -> list[Segment]:
    return list(engine.speak([SpeakRequest("k", text, "en-us", artefact, **more)]))  # type: ignore[arg-type]


def test_its_card_is_complete(engine: Engine) -> None:
    info = engine.info
    assert info.id in ENGINES
    assert info.licence
    assert info.version
    assert 8_000 <= info.sample_rate <= 48_000
    assert info.max_characters_per_piece >= 100
    assert info.languages[0] == "en-us"
    assert len({v.id for v in info.stock_voices}) == len(info.stock_voices) >= 2
    assert all(v.name and v.description and v.language in info.languages for v in info.stock_voices)


def test_it_speaks_audible_bounded_float32(engine: Engine, artefact: bytes) -> None:
    (segment,) = say(engine, artefact)
    assert (segment.key, segment.index, segment.total) == ("k", 0, 1)
    assert segment.sample_rate == engine.info.sample_rate
    assert segment.pcm.dtype == np.float32
    assert segment.pcm.ndim == 1
    assert np.abs(segment.pcm).max() <= 1.0
    assert np.sqrt(np.mean(segment.pcm**2)) > 0.005
    assert 0.4 < segment.pcm.size / segment.sample_rate < 4.0


def test_the_same_request_gives_the_same_audio_and_speed_changes_its_length(engine: Engine, artefact: bytes) -> None:
    (first,), (again,) = say(engine, artefact), say(engine, artefact)
    assert np.array_equal(first.pcm, again.pcm)
    (quick,) = say(engine, artefact, speed=1.6)
    assert quick.pcm.size < 0.85 * first.pcm.size


def test_segments_of_a_batch_come_whole_and_in_order(engine: Engine, artefact: bytes) -> None:
    texts = {"a": SHORT, "b": "Good night. " * 4}
    batch = [SpeakRequest(key, text, "en-us", artefact) for key, text in texts.items()]
    segments = list(engine.speak(batch))
    assert list(dict.fromkeys(s.key for s in segments)) == ["a", "b"]
    for key in texts:
        mine = [s for s in segments if s.key == key]
        assert [s.index for s in mine] == list(range(mine[0].total))


def test_a_long_text_is_many_segments_that_join_without_clicks(engine: Engine, artefact: bytes) -> None:
    segments = say(engine, artefact, LONG[: len(LONG) // 3], speed=1.5)
    assert len(segments) == 2
    assert segments[0].pause > 0.1
    pcm, rate = join(segments)
    seam = segments[0].pcm.size
    inside = max(np.abs(np.diff(s.pcm)).max() for s in segments)
    assert np.abs(np.diff(pcm)).max() <= inside
    assert 0.4 * seam < pcm.size < sum(s.pcm.size for s in segments) + rate


@pytest.mark.parametrize("text", ["😀😀", "", "...!?"])
def test_text_without_words_is_refused(engine: Engine, artefact: bytes, text: str) -> None:
    with pytest.raises(TextNotSpeakable):
        say(engine, artefact, text)


def test_an_unknown_language_is_refused_with_the_known_ones(engine: Engine, artefact: bytes) -> None:
    with pytest.raises(LanguageNotSupported, match="en-us"):
        list(engine.speak([SpeakRequest("k", SHORT, "tlh", artefact)]))


def test_a_prepared_voice_is_deterministic_versioned_and_never_pickle(engine: Engine) -> None:
    seen: list[float] = []
    first = engine.prepare_voice(sample(), seen.append)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert engine.prepare_voice(sample(), lambda _: None) == first
    assert engine.prepare_voice(sample(seed=2), lambda _: None) != first
    with np.load(io.BytesIO(first), allow_pickle=False) as stored:
        header = stored["header"].tobytes().decode()
    assert engine.info.id in header
    assert f'"version": "{engine.info.version}"' in header
    assert len(first) < 100_000


def test_foreign_and_damaged_artefacts_are_refused(engine: Engine, artefact: bytes) -> None:
    foreign = pack("another", "1", {}, {"mean": np.zeros(256, np.float32)})
    older = pack(engine.info.id, "0", {}, {"mean": np.zeros(256, np.float32)})
    empty = pack(engine.info.id, engine.info.version, {}, {})
    for bad in (b"", b"no zip", artefact[: len(artefact) // 2], foreign, older, empty):
        with pytest.raises(ArtefactIncompatible, match="prepare"):
            say(engine, bad)


@pytest.mark.parametrize("f0", [0.0, 5000.0, math.nan])
def test_a_sample_without_a_voice_is_refused(engine: Engine, f0: float) -> None:
    with pytest.raises(EngineError, match="pitch"):
        engine.prepare_voice(sample(f0), lambda _: None)


def test_unknown_voices_and_engines_are_refused_with_the_known_ones(engine: Engine) -> None:
    with pytest.raises(EngineError, match=engine.info.stock_voices[0].id):
        engine.stock_voice("nobody")
    with pytest.raises(EngineError, match="kokoro, fake"):
        get_engine("nothing")
