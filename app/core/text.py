"""Text from outside: what a database can't keep, and a screen can't show, is dropped."""

from __future__ import annotations

import unicodedata

_DROPPED = ("Cc", "Cs", "Co", "Cn")  # control, lone surrogate, private use, unassigned

_TURNING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])  # embeddings, overrides and isolates


def printable(text: str) -> str:
    """The text without control characters (tab and line break stay) and without halves of characters.

    PostgreSQL refuses NUL, and a lone surrogate can't be sent as UTF-8.
    """
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in _DROPPED).strip()


def one_line(text: str, limit: int) -> str:
    """At most `limit` printable characters on one line, with single spaces, read in the direction they are written.

    Marks that turn the direction of writing round would make a name look like another one.
    """
    return " ".join(printable(text).translate(_TURNING).split())[:limit].rstrip()
