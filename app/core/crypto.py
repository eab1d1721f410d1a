"""Secrets: random tokens, digests of tokens, passwords (argon2id), and the key files of this service."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_passwords = PasswordHasher()  # RFC 9106's low-memory profile: 64 MiB, 3 passes
_HASHING = BoundedSemaphore(4)  # so many at once, or a flood of log-ins would take 64 MiB for each thread


def public_token() -> str:
    """A random name for anything that appears in a link: 20 characters, 120 bits."""
    return secrets.token_urlsafe(15)


def secret_token() -> str:
    """A random secret of 256 bits."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """What is stored of a random token. (A plain hash is enough: tokens have 120 bits or more.)"""
    return hashlib.sha256(token.encode()).hexdigest()


def hash_password(password: str) -> str:
    """Argon2id hash with its parameters."""
    with _HASHING:
        return _passwords.hash(password)


def password_matches(hashed: str, password: str) -> bool:
    """Whether the password is right. Takes as long for wrong ones."""
    try:
        with _HASHING:
            return _passwords.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False


_DECOY = _passwords.hash(secrets.token_urlsafe(16))


def spend_time_on(password: str) -> None:
    """Do the work of a password check for an account that does not exist, so that the answer takes as long."""
    password_matches(_DECOY, password)


def derive(key: bytes, purpose: str, *values: str) -> bytes:
    """32 bytes that only the holder of `key` can compute, different for each purpose and value."""
    message = "\x1f".join((purpose, *values)).encode()
    return hmac.new(key, message, hashlib.sha256).digest()


def load_key(path: Path) -> bytes:
    """A 32-byte secret key from a file.

    Raises FileNotFoundError when it was never made and ValueError when the file is not a key.
    """
    key = path.read_bytes()
    if len(key) != 32:
        raise ValueError(f"{path.name} is not a 32-byte key")
    return key


def write_secret(path: Path, content: bytes) -> None:
    """Create a secret file that only its owner can read. Raises FileExistsError rather than replace one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
