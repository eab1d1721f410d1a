"""Ed25519 signatures over JSON, and how keys are named. Whoever has the public key can check them without us.

What is signed is `purpose`, a zero byte and the bytes: a signature given for one purpose says nothing for another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from app.core.crypto import write_secret
from app.core.errors import Unavailable
from app.settings import Settings


def make_signing_key(path: Path) -> bool:
    """Make the key file unless it is there; gives whether it was made. Any number may try at once: one wins."""
    if path.exists():
        return False
    whole = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    try:
        write_secret(whole, Ed25519PrivateKey.generate().private_bytes(pem, form, serialization.NoEncryption()))
        os.link(whole, path)  # all of it appears at once, and never over an existing file
    except FileExistsError:
        return False
    finally:
        whole.unlink(missing_ok=True)
    return True


def signing_key(settings: Settings) -> Ed25519PrivateKey:
    """The key that this service signs with. In development it is made at its first use.

    Raises Unavailable with what to do.
    """
    path = settings.signing_key_file
    fix = "Make it with `vouch admin init-keys`, or put it back from your backup."
    try:
        if settings.environment == "development":
            make_signing_key(path)
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Unavailable("signing.unusable", f"The signing key {path} can't be used: {error}.", fix=fix) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Unavailable("signing.unusable", f"The signing key {path} is not an Ed25519 key.", fix=fix)
    return key


def canonical(content: Any) -> bytes:
    """The one spelling of JSON content that is hashed and signed: sorted keys, no spaces, UTF-8."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sign(key: Ed25519PrivateKey, purpose: str, data: bytes) -> str:
    """The signature, base64 of 64 bytes."""
    return base64.b64encode(key.sign(_message(purpose, data))).decode()


def signed_by(public_pem: str, purpose: str, data: bytes, signature: str) -> bool:
    """Whether the holder of the key signed these bytes for this purpose. Never raises."""
    try:
        key = serialization.load_pem_public_key(public_pem.encode())
        if not isinstance(key, Ed25519PublicKey):
            return False
        key.verify(base64.b64decode(signature, validate=True), _message(purpose, data))
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, binascii.Error):
        return False
    return True


def public_pem(key: Ed25519PrivateKey) -> str:
    """The public half, as PEM."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def fingerprint(pem: str) -> str:
    """The name of a public key: SHA-256 of its DER form, 64 hex digits."""
    key = serialization.load_pem_public_key(pem.encode())
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def _message(purpose: str, data: bytes) -> bytes:
    return purpose.encode() + b"\x00" + data
