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
from app.settings import Settings
from workers.marks.certificates import (
    Authority,
    CertificateUnusable,
    Signer,
    certificates,
    check_signer,
    issuers_pem,
    pem_of,
)
from workers.marks.watermark import KeyRing

_MARK_KEY = re.compile(r"mark-(\d+)\.key")
CHAIN, KEY, ANCHOR = "credentials-chain.pem", "credentials-key.pem", "credentials-anchor.pem"
RETIRED = "credentials-retired-*.pem"
"""Chains of the operator's earlier certificates: files signed with them stay ours."""


class KeysMissing(RuntimeError):
    """The key folder has no usable keys."""


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
    epochs = {
        int(m[1]): load_key(path) for path in directory.glob("mark-*.key") if (m := _MARK_KEY.fullmatch(path.name))
    }
    if not epochs or not (directory / KEY).exists():
        raise KeysMissing(f"There are no keys in {directory}: make them with `vouch admin init-keys`.")
    made = (directory / CHAIN).read_text()
    signer = operators_signer(settings) or Signer(made, (directory / KEY).read_text())
    retired = [path.read_text() for path in sorted(directory.glob(RETIRED))]
    own = tuple(dict.fromkeys([signer.chain_pem, made, *retired]))
    anchors = [issuers_pem(chain) for chain in own]
    return Keys(epochs, KeyRing(epochs), signer, "".join([*anchors, further_anchors(settings)]), own)


def operators_signer(settings: Settings) -> Signer | None:
    """The operator's own certificate; None where none is set up. Raises KeysMissing when it can't sign."""
    chain, key = settings.provenance.certificate_file, settings.provenance.certificate_key_file
    if chain is None and key is None:
        return None
    names = "VOUCH_PROVENANCE__CERTIFICATE_FILE and VOUCH_PROVENANCE__CERTIFICATE_KEY_FILE"
    if chain is None or key is None:
        raise KeysMissing(f"Set both {names}, or neither.")
    try:
        signer = Signer(chain.read_text(), key.read_text())
        check_signer(signer)
    except (OSError, CertificateUnusable, UnicodeDecodeError) as error:
        raise KeysMissing(f"The certificate {chain} with the key {key} can't sign: {error}. See {names}.") from error
    return signer


def further_anchors(settings: Settings) -> str:
    """The certificates of VOUCH_PROVENANCE__TRUST_ANCHORS_FILE as PEM; "" without. Raises KeysMissing."""
    path = settings.provenance.trust_anchors_file
    if path is None:
        return ""
    try:
        found = certificates(path.read_text())
    except (OSError, CertificateUnusable, UnicodeDecodeError) as error:
        raise KeysMissing(f"VOUCH_PROVENANCE__TRUST_ANCHORS_FILE, {path}, can't be used: {error}.") from error
    return pem_of(found)


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
