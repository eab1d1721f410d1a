"""Checkpoints as C2SP signed notes (c2sp.org/signed-note, c2sp.org/tlog-checkpoint). Pure.

A note's text is three lines: origin, number of leaves, root in base64. Below an empty line stand signatures, each with
the name of its key, which is the origin, and base64 of a 4-byte key id and the Ed25519 signature of the text.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = b"\x01"
MOST_BYTES = 16 * 1024
MOST_SIGNATURES = 16
_DASH = "\N{EM DASH} "


class BadNote(ValueError):
    """The note can't be read, or nobody we know signed it. The message says why."""


@dataclass(frozen=True)
class Head:
    """What a checkpoint says of the tree."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def signed(head: Head, key: Ed25519PrivateKey) -> str:
    """The note of a checkpoint, with one signature. Raises ValueError when the origin can't name a key."""
    if not is_name(head.origin):
        raise ValueError(f"{head.origin!r} can't name a key")
    signature = base64.b64encode(key_id(head.origin, key.public_key()) + key.sign(head.text.encode())).decode()
    return f"{head.text}\n{_DASH}{head.origin} {signature}\n"


def parsed(note: str) -> Head:
    """What a note says, whoever signed it. Raises BadNote."""
    return _head(_split(note)[0])


def opened(note: str, public_pems: Iterable[str]) -> Head:
    """What a note says that a holder of one of these keys signed under the name of its origin. Raises BadNote."""
    text, lines = _split(note)
    head = _head(text)
    known = {key_id(head.origin, key): key for key in map(_public, public_pems)}
    good = False
    for name, signature in _signatures(lines):
        key = known.get(signature[:4])
        if name != head.origin or key is None:
            continue
        try:
            key.verify(signature[4:], text.encode())
        except InvalidSignature:
            raise BadNote("a signature of the checkpoint is not true") from None
        good = True
    if not good:
        raise BadNote("no key that is known here signed the checkpoint")
    return head


def key_id(name: str, key: Ed25519PublicKey) -> bytes:
    """The 4 bytes by which signature lines name a key."""
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + _raw(key)).digest()[:4]


def verifier_key(name: str, public_pem: str) -> str:
    """The key in the form that tools for signed notes take: name, key id, type and key."""
    key = _public(public_pem)
    return f"{name}+{key_id(name, key).hex()}+{base64.b64encode(ED25519 + _raw(key)).decode()}"


def is_name(text: str) -> bool:
    """Whether something can name a key: no spaces, no plus, no control characters."""
    return bool(text) and not any(each.isspace() or each == "+" or each < " " for each in text)


def _split(note: str) -> tuple[str, list[str]]:
    if len(note.encode(errors="replace")) > MOST_BYTES or any(each < " " and each != "\n" for each in note):
        raise BadNote("this is no signed note")
    text, empty_line, below = note.rpartition("\n\n")
    lines = below.split("\n")
    if not empty_line or lines.pop() or not lines or len(lines) > MOST_SIGNATURES:
        raise BadNote("this is no signed note")
    return text + "\n", lines


def _head(text: str) -> Head:
    lines = text.split("\n")[:-1]
    try:
        origin, size, root = lines
        head = Head(origin, int(size), base64.b64decode(root, validate=True))
    except (ValueError, binascii.Error):
        raise BadNote("this note is no checkpoint: it needs origin, size and root") from None
    if head.text != text or not origin or head.size < 0 or len(head.root) != 32:
        raise BadNote("this note is no checkpoint: it needs origin, size and root")
    return head


def _signatures(lines: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    for line in lines:
        name, space, encoded = line.removeprefix(_DASH).partition(" ")
        try:
            signature = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            signature = b""
        if not line.startswith(_DASH) or not space or not is_name(name) or len(signature) < 5:
            raise BadNote("a signature line of the checkpoint can't be read")
        yield name, signature


def _public(pem: str) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise BadNote("the key is no public key in PEM form") from None
    if not isinstance(key, Ed25519PublicKey):
        raise BadNote("the key is no Ed25519 key")
    return key


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
