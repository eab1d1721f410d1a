"""Time stamps: believed only from a known authority, for these very bytes; and nobody waits for one for long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.core.timestamps import NotStamped, check, said, token
from tests.time_authority import Mood, TimeAuthority, time_authority

DATA = b"the root of the tree"


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimeAuthority]:
    with time_authority(tmp_path_factory.mktemp("clock")) as authority:
        yield authority


def test_a_stamp_says_when_these_bytes_existed(clock: TimeAuthority) -> None:
    stamp = token(clock.url, DATA)
    assert said(stamp) == check(stamp, DATA, clock.anchor_pem)
    assert abs(said(stamp) - datetime.now(UTC)) < timedelta(minutes=1)
    with pytest.raises(NotStamped):
        check(stamp, DATA + b".", clock.anchor_pem)


def test_a_stranger_who_brings_certificates_along_is_not_believed(clock: TimeAuthority, tmp_path: Path) -> None:
    """The stranger's token holds the stranger's own root, and even has the name of the true one."""
    with time_authority(tmp_path / "stranger") as stranger:
        forged = token(stranger.url, DATA)
        assert check(forged, DATA, stranger.anchor_pem)
    for anchors in (clock.anchor_pem, "", "no certificate"):
        with pytest.raises(NotStamped):
            check(forged, DATA, anchors)


@pytest.mark.parametrize("mood", ["refusing", "silent", "broken", "endless", "endless head"])
def test_an_authority_in_trouble_is_an_error_within_the_time_given(clock: TimeAuthority, mood: Mood) -> None:
    clock.mood = mood
    try:
        with pytest.raises(NotStamped, match="gave no time stamp"):
            token(clock.url, DATA, seconds=0.5)
    finally:
        clock.mood = "well"


def test_an_answer_to_another_question_is_refused(clock: TimeAuthority, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = token(clock.url, DATA)
    monkeypatch.setattr(clock, "answer", lambda question: earlier)
    with pytest.raises(NotStamped, match="another question"):
        token(clock.url, DATA)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "not a url", "ftp://127.0.0.1/"])
def test_an_address_that_leads_nowhere_is_an_error_in_words(url: str) -> None:
    with pytest.raises(NotStamped, match="can't be reached"):
        token(url, DATA, seconds=1)
