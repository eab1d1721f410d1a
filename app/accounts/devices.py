"""What a browser says of itself, in two words that a person understands."""

from __future__ import annotations

_BROWSERS = ("Firefox", "Edg", "Chrome", "Safari")
_SYSTEMS = ("Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux")


def device(user_agent: str) -> str:
    """Browser and system, such as "Firefox on Linux". Holds no text of the sender."""
    browser = next((name for name in _BROWSERS if name in user_agent), "A browser").replace("Edg", "Edge")
    system = next((name for name in _SYSTEMS if name in user_agent), "")
    return f"{browser} on {system}" if system else browser
