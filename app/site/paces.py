"""How often one network may have written what anybody may have written without being signed in."""

from __future__ import annotations

from fastapi import Request

from app.accounts.identity import address_of
from app.accounts.throttle import network
from app.core.pace import Pace

LIMITS = {"passkey": (60, 600.0), "forgotten": (30, 3600.0)}
"""By what is asked for: a challenge for a passkey, a mail with a link. How many, within how many seconds."""


def take(request: Request, what: str) -> None:
    """Count one. Raises RateLimited when there were too many from this network."""
    state = request.app.state
    if not hasattr(state, "site_paces"):
        state.site_paces = {name: Pace(most, seconds) for name, (most, seconds) in LIMITS.items()}
    paces: dict[str, Pace] = state.site_paces
    paces[what].take(network(address_of(request)))
