"""The secret keys: of the mark, by epoch, and of the signed credentials. Made once, read by workers only.

`python -m workers.keys DIRECTORY NAME` makes what is missing; `vouch up` and `vouch admin init-keys` call it. With
`--check` it says whether the certificates of the settings can be used. `python -m workers.keys --rotate DIRECTORY`
starts a new epoch of the mark; `vouch admin rotate-mark-key` calls it.
Losing mark keys means that no clip made under them can be traced: back the folder up, offline.
"""

from __future__ import annotations

import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

from app.core.crypto import write_secret
from app.settings import Settings, get_settings
from workers.known_signers import CHAIN, KeysMissing, further_anchors, operators_signer, own_chains
from workers.mark_keys import mark_keys, rotate
from workers.marks.certificates import Authority, Signer, issuers_pem
from workers.marks.watermark import KeyRing

KEY, ANCHOR = "credentials-key.pem", "credentials-anchor.pem"


@dataclass(frozen=True)
class Keys:
    """What a worker needs to stamp and to trace."""

    epochs: dict[int, bytes]
    ring: KeyRing
    signer: Signer
    anchors_pem: str
    """Certificates of the authorities whose credentials count as known: ours, and those of the settings."""
    own_chains: tuple[str, ...]
    """Every certificate that we sign or have signed with, the current one first; PEM with the issuers, leaf first."""

    @property
    def current(self) -> tuple[int, bytes]:
        """Number and key of the epoch that new clips are marked under."""
        epoch = self.ring.current_epoch
        return epoch, self.epochs[epoch]


def load_keys(settings: Settings) -> Keys:
    """The keys that the settings name. Raises KeysMissing with what to do."""
    directory = settings.key_directory
    epochs = mark_keys(directory)
    if not (directory / KEY).exists():
        raise KeysMissing(f"There are no keys in {directory}: make them with `vouch admin init-keys`.")
    signer = operators_signer(settings) or Signer((directory / CHAIN).read_text(), (directory / KEY).read_text())
    own = own_chains(settings)
    anchors = [issuers_pem(chain) for chain in own]
    return Keys(epochs, KeyRing(epochs), signer, "".join([*anchors, further_anchors(settings)]), own)


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


def main() -> None:
    """Make keys, or check the certificates of the settings; what is wrong is a sentence on stderr."""
    if sys.argv[1] == "--rotate":
        try:
            sys.stdout.write(f"made {rotate(Path(sys.argv[2]))}\n")
        except (KeysMissing, OSError) as error:
            sys.exit(str(error))
        return
    if sys.argv[1:] == ["--check"]:
        try:
            operators_signer(get_settings())
            further_anchors(get_settings())
        except KeysMissing as error:
            sys.exit(str(error))
        return
    for name in init_keys(Path(sys.argv[1]), sys.argv[2]):
        sys.stdout.write(f"made {name}\n")


if __name__ == "__main__":
    main()
