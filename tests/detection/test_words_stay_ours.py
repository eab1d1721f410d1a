"""Strangers can't find out what others had said here, by sending the same words in any voice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pytest
from sqlalchemy import select

from app.core.uploads import Upload
from app.provenance.detection import service
from app.provenance.detection.models import Answer, Detection
from app.provenance.models import Verdict
from app.settings import Settings
from tests.detection.conftest import reading
from tests.flows.tracing import WORDS, Desk
from workers.audio.transcribe import Word
from workers.runtime import work_off


@pytest.fixture
def desk(sqlite_settings: Settings) -> Iterator[Desk]:
    desk = Desk(sqlite_settings)
    yield desk
    desk.tools.databases.close()


def test_words_lead_moderators_and_tell_strangers_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.speak()
    heard = [Word(each, k / 3, (k + 1) / 3, 0.9) for k, each in enumerate(WORDS.split())]

    def hear(_audio: np.ndarray) -> list[Word]:  # a person who reads our text
        return heard

    monkeypatch.setattr(desk.tools.ledger.texts, "hear", hear)
    file = reading(4.0)
    answer = desk.trace(file)
    assert (answer.verdict, answer.evidence[-1]["channel"]) == (Verdict.LEAD, "words")

    digest = hashlib.sha256(file).hexdigest()
    desk.tools.storage.put("uploads/asked", file)
    with desk.tools.databases.writing() as session:
        upload = Upload("", len(file), digest, "uploads/asked")
        service.ask(session, upload, asked_from="network", settings=desk.tools.settings)
    work_off("cpu", desk.tools)
    (detection,) = desk.world.rows(select(Detection))
    assert detection.answer is Answer.NOT_FOUND
