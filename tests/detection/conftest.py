"""A service that anybody may ask, and files to ask about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from app.provenance.models import Stamp
from tests.conftest import make_settings
from tests.harness import Service, running, stock_voice, until
from workers.audio.decode import decode
from workers.audio.encode import encode

SPEECH = Path(__file__).parents[1] / "data" / "speech"
WORDS = "The morning train is late again, so everybody on the platform looks at the clock and waits."


@dataclass(frozen=True)
class Asking:
    """A running service, and what is sent to it."""

    service: Service
    clip: bytes
    """Made here: a quieter copy without its first second, at the rate of the telephone."""
    human: bytes
    """Somebody reading aloud."""

    def ask(self, data: bytes, name: str = "found.wav") -> httpx2.Response:
        """Send a file."""
        with self.service.client() as client:
            return client.post("/v1/detect", files={"file": (name, data)})

    def told(self, data: bytes, name: str = "found.wav") -> dict[str, Any]:
        """The answer about a file, once there is one."""
        asked = self.ask(data, name)
        assert asked.status_code in (200, 202), asked.text

        def look() -> dict[str, Any] | None:
            with self.service.client() as client:
                answer: dict[str, Any] = client.get(f"/v1/detect/{asked.json()['detection_id']}").json()
            return answer if answer["state"] != "waiting" else None

        return until(look, "the answer of a detection")


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    """One service for a module; the limits of a network are wide enough for all its tests."""
    folder = tmp_path_factory.mktemp("detection")
    with running(make_settings(folder)) as service:
        service.world.speak(service.world.account(), stock_voice(service), WORDS)
        (stamp,) = until(lambda: service.world.rows(select(Stamp)) or None, "the clip")
        (path := folder / "clip").write_bytes(service.storage.get(stamp.storage_key))
        yield Asking(service, mangled(path), reading())


def mangled(path: Path) -> bytes:
    """A copy as people make them."""
    heard = decode(path)
    return encode(0.5 * heard.pcm[heard.sample_rate :], heard.sample_rate, "wav_8000").data


def reading(seconds: float = 3.0) -> bytes:
    """The beginning of a person's recording."""
    heard = decode(sorted((SPEECH / "reader_26").glob("*.flac"))[-1])
    return encode(heard.pcm[: int(seconds * heard.sample_rate)], heard.sample_rate, "wav_16000").data
