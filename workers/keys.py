"""The secret keys: of the mark, by epoch, and of the signed credentials. Made once, read by workers only.

`python -m workers.keys DIRECTORY` makes what is missing; `vouch up` and `vouch admin init-keys` call it.
Losing mark keys means that no clip made under them can be traced: back the folder up, offline.
"""

from __future__ import annotations

import re
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

from app.core.crypto import load_key, write_secret
from workers.marks.credentials import Authority, Signer
from workers.marks.watermark import KeyRing

_MARK_KEY = re.compile(r"mark-(\d+)\.key")
CHAIN, KEY, ANCHOR = "credentials-chain.pem", "credentials-key.pem", "credentials-anchor.pem"


class KeysMissing(RuntimeError):
    """The key folder has no usable keys."""


@dataclass(frozen=True)
class Keys:
    """What a worker needs to stamp and to trace."""

    epochs: dict[int, bytes]
    ring: KeyRing
    signer: Signer
    anchors_pem: str

    @property
    def current(self) -> tuple[int, bytes]:
        """Number and key of the epoch that new clips are marked under."""
        epoch = self.ring.current_epoch
        return epoch, self.epochs[epoch]


def load_keys(directory: Path) -> Keys:
    """The keys of a folder. Raises KeysMissing with what to do."""
    epochs = {
        int(m[1]): load_key(path) for path in directory.glob("mark-*.key") if (m := _MARK_KEY.fullmatch(path.name))
    }
    if not epochs or not (directory / KEY).exists():
        raise KeysMissing(f"There are no keys in {directory}: make them with `vouch admin init-keys`.")
    signer = Signer((directory / CHAIN).read_text(), (directory / KEY).read_text())
    return Keys(epochs, KeyRing(epochs), signer, (directory / ANCHOR).read_text())


def init_keys(directory: Path, service_name: str) -> list[str]:
    """Make the keys that are missing; gives their file names. Existing keys are never touched."""
    made = []
    if not any(directory.glob("mark-*.key")):
        write_secret(directory / "mark-1.key", secrets.token_bytes(32))
        made.append("mark-1.key")
    if not (directory / KEY).exists():
        authority = Authority.create(service_name)
        for name, text in (
            (CHAIN, authority.signer.chain_pem),
            (ANCHOR, authority.anchor_pem),
            (KEY, authority.signer.key_pem),  # last: where it is, the others are
        ):
            write_secret(directory / name, text.encode())
            made.append(name)
    return made


if __name__ == "__main__":
    for name in init_keys(Path(sys.argv[1]), sys.argv[2]):
        sys.stdout.write(f"made {name}\n")
