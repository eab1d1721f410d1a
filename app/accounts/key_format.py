"""What an API key looks like: `vch_`, 32 random characters (190 bits), and 6 characters of checksum.

The checksum (CRC-32 of all that comes before it, in base 62) lets anyone tell a key from look-alikes without asking:
a secret scanner, or the address that takes reports of leaked keys. It guards against slips, not against forgery.
"""

from __future__ import annotations

import re
import secrets
import string
import zlib
from collections.abc import Iterator
from itertools import islice

PREFIX = "vch_"
SHOWN = 9
"""How many characters of a key are kept and shown, so that its holder can tell keys apart."""
MOST_FOUND = 1000
"""Most keys that one text is searched for."""
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM, _CHECK = 32, 6
_FORM = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_RANDOM + _CHECK}}}")
_FIRST_FORM = re.compile(rf"{PREFIX}[0-9A-Za-z_-]{{43}}")  # keys made before there was a checksum; they still work


def new_key() -> str:
    """A new key."""
    body = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    return body + _checksum(body)


def looks_like_key(text: str) -> bool:
    """Whether the text is a key by form and checksum. Whether it works, only the database knows."""
    return _FORM.fullmatch(text) is not None and _checksum(text[:-_CHECK]) == text[-_CHECK:]


def find_keys(text: str) -> list[str]:
    """What may be keys in a text, at most MOST_FOUND: those with a right checksum, then those of the form before it."""
    return list(islice(dict.fromkeys(_candidates(text)), MOST_FOUND))


def _candidates(text: str) -> Iterator[str]:
    starts = [match.start() for match in re.finditer(PREFIX, text)]
    for form in (_FORM, _FIRST_FORM):
        for start in starts:  # each start is tried by itself: one key may begin inside what looks like another
            found = form.match(text, start)
            if found is not None and (form is _FIRST_FORM or looks_like_key(found[0])):
                yield found[0]


def _checksum(body: str) -> str:
    rest, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECK):
        rest, digit = divmod(rest, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
