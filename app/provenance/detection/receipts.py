"""Receipts of public detections: what was answered about which file, signed, checkable by whoever has the public key.

A receipt is a JSON object with `receipt`, what is said, and `signature`, Ed25519 over the canonical JSON of that with
the purpose `vouch-receipt-v1` (see app.core.signing). It names no account and no file, only the file's hash.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.core.errors import Invalid
from app.core.signing import canonical, fingerprint, public_pem, sign, signed_by
from app.provenance.detection.models import Answer

PURPOSE = "vouch-receipt-v1"
VERSION = 1
MOST_BYTES = 20_000
"""Longest receipt that is looked at; real ones have about 700 bytes."""
NOT_MEASURED = "not measured"
_MEASURED = Path(__file__).resolve().parent.parent / "measured.json"
_RATES = ("miss_rate_after_common_copies", "false_positive_bound", "made_at")
_TEXTS = ("service", "public_url", "file_sha256", "searched_at", "key")


@dataclass(frozen=True)
class Receipt:
    """What a receipt says; see `compose`. Says nothing until its signature was checked."""

    said: Mapping[str, Any]
    signature: str

    @property
    def key(self) -> str:
        """Fingerprint of the key that it names as its signer's."""
        return str(self.said["key"])

    @property
    def answer(self) -> Answer:
        """What was answered."""
        return Answer(self.said["answer"])

    def signed_with(self, public_pem: str) -> bool:
        """Whether the holder of this key signed exactly this. Never raises."""
        return signed_by(public_pem, PURPOSE, canonical(dict(self.said)), self.signature)

    def is_about(self, sha256: str) -> bool:
        """Whether it is about the file with this SHA-256 (hex)."""
        return str(self.said["file_sha256"]) == sha256.strip().lower()


def compose(
    key: Ed25519PrivateKey,
    *,
    service: str,
    public_url: str,
    file_sha256: str,
    answer: Answer,
    searched_at: datetime,
    generations_searched: int,
    error_rates: Mapping[str, Any] | str,
) -> str:
    """A signed receipt, as JSON. `generations_searched` is rounded down to a power of ten by the caller."""
    said = {
        "v": VERSION,
        "service": service,
        "public_url": public_url,
        "file_sha256": file_sha256,
        "answer": answer.value,
        "searched_at": searched_at.astimezone(UTC).isoformat(timespec="seconds"),
        "generations_searched": generations_searched,
        "error_rates": dict(error_rates) if isinstance(error_rates, Mapping) else error_rates,
        "key": fingerprint(public_pem(key)),
    }
    return json.dumps({"receipt": said, "signature": sign(key, PURPOSE, canonical(said))}, indent=2)


def read(text: str | bytes) -> Receipt:
    """A receipt from its JSON. Raises Invalid, with what to do, for anything that is none."""
    if len(text) > MOST_BYTES:
        raise _no_receipt()
    try:
        whole = json.loads(text)
        said, signature = whole["receipt"], whole["signature"]
        if said["v"] != VERSION or not isinstance(signature, str):
            raise ValueError("another version")
        if not all(isinstance(said[name], str) for name in _TEXTS):
            raise ValueError("texts are texts")
        Answer(said["answer"]), datetime.fromisoformat(said["searched_at"]), int(said["generations_searched"])
        canonical(said)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _no_receipt() from error
    return Receipt(said, signature)


def error_rates(path: Path = _MEASURED) -> dict[str, Any] | str:
    """How often detection is wrong, as measured with this version: share of copies missed, and a bound on false finds.

    `not measured` where no measurement is in the installation, or it lacks one of the figures.
    """
    try:
        found = json.loads(path.read_text())
        return {name: found[name] for name in _RATES}
    except (OSError, ValueError, KeyError, TypeError):
        return NOT_MEASURED


def _no_receipt() -> Invalid:
    return Invalid(
        "receipt.unreadable",
        "This is not a receipt of a detection.",
        fix="Use the whole file as it was downloaded, from the first brace to the last.",
    )
