"""The secret keys of the mark by epoch: reading them, starting a new epoch, and noticing one in a running worker."""

from __future__ import annotations

import os
import re
import secrets
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.crypto import load_key, write_secret
from app.settings import Settings
from workers.known_signers import KeysMissing

if TYPE_CHECKING:
    from workers.keys import Keys

_MARK_KEY = re.compile(r"mark-(\d+)\.key")


def mark_keys(directory: Path) -> dict[int, bytes]:
    """The secret keys by epoch, at least one. Raises KeysMissing, also when one of them can't be used."""
    names = [(match, path) for path in directory.glob("mark-*.key") if (match := _MARK_KEY.fullmatch(path.name))]
    try:
        epochs = {int(match[1]): load_key(path) for match, path in names}
    except (OSError, ValueError) as error:
        raise KeysMissing(f"A key in {directory} can't be used ({error}): put it back from your backup.") from error
    if not epochs:
        raise KeysMissing(f"There are no keys in {directory}: make them with `vouch admin init-keys`.")
    return epochs


def rotate(directory: Path) -> str:
    """Start a new epoch: a new secret key beside the old ones. Gives its file name.

    Raises KeysMissing when the folder's keys can't be used: a new epoch must not hide that. The file appears whole or
    not at all, because workers look at the folder at any time, and two rotations at once make one epoch: the second
    raises FileExistsError.
    """
    name = f"mark-{max(mark_keys(directory)) + 1}.key"
    draft = directory / f".{name}.{os.getpid()}"
    write_secret(draft, secrets.token_bytes(32))
    try:
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        os.link(draft, directory / name)  # unlike a rename, this never replaces a key
    finally:
        draft.unlink()
    return name


class KeyFolder:
    """The keys as they are now: a new epoch is there from the next look on. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._seen: frozenset[tuple[str, int, int]] = frozenset()
        self._keys: Keys | None = None

    def now(self) -> Keys:
        """The keys; read again only when a file of the folder changed. Raises KeysMissing with what to do.

        Also when an epoch that was there is gone or has another key: clips made under it could not be traced, and
        saying "no evidence" of them would be wrong.
        """
        from workers.keys import load_keys

        with self._lock:
            directory = self._settings.key_directory
            seen = _listing(directory)
            if self._keys is None or seen != self._seen:
                fresh = load_keys(self._settings)
                lost = {} if self._keys is None else self._keys.epochs.items() - fresh.epochs.items()
                if lost:
                    names = ", ".join(f"mark-{epoch}.key" for epoch, _ in sorted(lost))
                    raise KeysMissing(f"{names} in {directory} is gone or changed: put it back from your backup.")
                self._keys, self._seen = fresh, seen
            return self._keys


def _listing(directory: Path) -> frozenset[tuple[str, int, int]]:
    try:
        with os.scandir(directory) as entries:
            found = [(entry.name, entry.stat()) for entry in entries if not entry.name.startswith(".")]
    except OSError:
        return frozenset()  # `load_keys` says what is wrong with it
    return frozenset((name, stat.st_mtime_ns, stat.st_size) for name, stat in found)
