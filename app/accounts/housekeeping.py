"""What accounts leave behind and nobody needs any more."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.accounts import browsers, links, registration, throttle


def tidy(session: Session) -> None:
    """Forget unfinished sign-ups, old links, browsers that have not come back, failed log-ins. For a regular duty."""
    registration.forget_unproved(session)
    links.forget_old(session)
    browsers.forget_old(session)
    throttle.forget_old(session)
