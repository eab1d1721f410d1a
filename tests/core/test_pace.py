"""The limit of requests for each network: a count, a window, a bounded memory."""

from __future__ import annotations

import pytest

from app.core import pace
from app.core.errors import RateLimited
from app.core.pace import Pace


def test_so_many_within_a_window_and_then_a_wait_that_is_said() -> None:
    clock = [100.0]
    limit = Pace(2, 60.0, clock=lambda: clock[0])
    limit.take("a")
    clock[0] = 130.5
    limit.take("a")
    limit.take("b")
    with pytest.raises(RateLimited, match="30 seconds") as slow:
        limit.take("a")
    assert slow.value.retry_after == 30
    clock[0] = 160.0
    limit.take("a")
    limit.take("a")
    with pytest.raises(RateLimited):
        limit.take("a")


def test_very_many_networks_are_forgotten_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "MOST_KNOWN", 3)
    limit = Pace(1, 60.0, clock=lambda: 0.0)
    for network in "abcd":
        limit.take(network)
    assert len(limit._counts) == 3
    limit.take("a")  # forgotten
    with pytest.raises(RateLimited):
        limit.take("d")
