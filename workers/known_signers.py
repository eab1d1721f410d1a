"""Whose content credentials count: the operator's certificate, those that we signed with, and further authorities.

Needs no secret but the operator's own key, and loads no signal processing: `vouch verify` starts in a moment.
"""

from __future__ import annotations

from app.settings import Settings
from workers.marks.certificates import CertificateUnusable, Signer, certificates, check_signer, pem_of

CHAIN = "credentials-chain.pem"
RETIRED = "credentials-retired-*.pem"
"""Chains of the operator's earlier certificates: files signed with them stay ours."""


class KeysMissing(RuntimeError):
    """The key folder has no usable keys."""


def own_chains(settings: Settings) -> tuple[str, ...]:
    """Every certificate that this service signs or has signed with; needs no secret. Empty where there is none yet."""
    given = settings.provenance.certificate_file
    paths = [
        *([given] if given else []),
        settings.key_directory / CHAIN,
        *sorted(settings.key_directory.glob(RETIRED)),
    ]
    return tuple(dict.fromkeys(path.read_text() for path in paths if path.exists()))


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
