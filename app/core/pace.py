"""A limit of requests for each network, for the few addresses of ours that anybody may write to without a key.

Counted in memory: cheap, gone with a restart, and for each web process by itself. What must hold exactly is counted in
the database instead.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from app.core.errors import RateLimited

MOST_KNOWN = 10_000
"""Most networks that are remembered; those that began to be counted first are forgotten first."""


class Pace:
    """At most `most` acts within `seconds` from one network (however its caller names networks)."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, network: str) -> None:
        """Count one act. Raises RateLimited when there were too many."""
        at = self._clock()
        with self._lock:
            since, count = self._counts.get(network, (at, 0))
            if at - since >= self._seconds:
                self._counts.pop(network)
                since, count = at, 0
            if count >= self._most:
                wait = math.ceil(since + self._seconds - at)
                raise RateLimited(
                    "too_many_requests", f"Too many requests. Try again in {wait} seconds.", retry_after=wait
                )
            self._counts[network] = (since, count + 1)
            if len(self._counts) > MOST_KNOWN:
                self._counts.popitem(last=False)
