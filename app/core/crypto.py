"""Secrets: random tokens, digests of tokens, passwords (argon2id), sealed values, and the key files of this service."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.core.errors import Unavailable
from app.settings import Settings

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


def spend_time_on(password: str) -> None:
    """Do the work of a password check for an account that does not exist, so that the answer takes as long."""
    password_matches(_decoy(), password)


def _decoy() -> str:
    """What a hash by `_passwords` looks like, of no password at all."""
    salt, hashed = (
        base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=")
        for size in (_passwords.salt_len, _passwords.hash_len)
    )
    costs = f"m={_passwords.memory_cost},t={_passwords.time_cost},p={_passwords.parallelism}"
    return f"$argon2id$v={ARGON2_VERSION}${costs}${salt}${hashed}"


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


def web_secret(settings: Settings) -> bytes:
    """The 32 bytes that the web side seals and digests with. In development they are made at their first use.

    Raises Unavailable, with what to do, when production lacks them or the file is no key.
    """
    path = settings.secret_file
    make = "Make it with `vouch admin init-keys`, as the user that runs Vouch."
    try:
        return load_key(path)
    except FileNotFoundError as error:
        if settings.environment == "production":
            raise Unavailable("secret.missing", f"The secret file {path} is missing.", fix=make) from error
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not a 32-byte key"
        fix = "Put the right file back from your backup. Without it, authenticators have to be set up again."
        raise Unavailable("secret.unusable", f"The secret file {path} can't be used: {said}.", fix=fix) from error
    make_web_secret(settings)
    return load_key(path)


def make_web_secret(settings: Settings) -> bool:
    """Make the secret file unless it is there; gives whether it was made. Any number may try at once: one wins.

    Raises Unavailable when it can't be written.
    """
    path = settings.secret_file
    whole = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        if path.exists():
            return False
        write_secret(whole, secrets.token_bytes(32))
        with suppress(FileExistsError):
            os.link(whole, path)  # all 32 bytes appear at once, and never over an existing file
            return True
        return False
    except OSError as error:
        fix = f"Give the user that runs Vouch the right to write to {path.parent}."
        said = f"The secret file {path} can't be made: {error.strerror}."
        raise Unavailable("secret.unwritable", said, fix=fix) from error
    finally:
        with suppress(OSError):
            whole.unlink()


def seal(key: bytes, data: bytes, context: str) -> bytes:
    """Encrypt, so that only the holder of `key` can read or change it, and only as what `context` says.

    `context` names purpose and owner, such as `totp:<account id>`: what was sealed for one opens for no other.
    """
    nonce = secrets.token_bytes(12)
    return nonce + AESGCM(derive(key, "seal", context)).encrypt(nonce, data, context.encode())


def unseal(key: bytes, sealed: bytes, context: str) -> bytes:
    """What was sealed. Raises ValueError when key or context is another one, or the bytes were changed."""
    try:
        return AESGCM(derive(key, "seal", context)).decrypt(sealed[:12], sealed[12:], context.encode())
    except (InvalidTag, ValueError) as error:
        raise ValueError("this was not sealed with this key for this purpose") from error


def keyed_digest(key: bytes, purpose: str, value: str) -> str:
    """64 hex digits that only the holder of `key` can compute from a value: finds it again without keeping it."""
    return derive(key, "digest", purpose, value).hex()
