"""Checking a receipt: is it ours and unchanged, and is it about this file?"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.datastructures import FormData

from app.core.errors import Invalid
from app.core.uploads import CHUNK
from app.provenance.detection.receipts import MOST_BYTES, Receipt, read
from app.provenance.detection.receiving import file_of
from app.provenance.ledger.models import KeyUse, ProvenanceKey

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class Given:
    """What somebody wants checked. `sha256` is of the file that they hold it against, "" when there is none."""

    receipt: Receipt
    sha256: str


@dataclass(frozen=True)
class Checked:
    """What came of it. `same_file` is None when there was no file to compare."""

    receipt: Receipt
    genuine: bool
    same_file: bool | None


def given(form: FormData) -> Given:
    """What a form holds: the receipt as text (`receipt`) or file (`receipt_file`), and the file (`file`) or its hash
    (`file_sha256`), which the browser may have computed. Raises Invalid."""
    pasted, chosen = str(form.get("receipt") or "").strip(), file_of(form, "receipt_file")
    if not pasted and chosen is None:
        raise Invalid("receipt.missing", "Paste the receipt, or choose its file.")
    receipt = read(pasted if chosen is None or pasted else chosen.file.read(MOST_BYTES + 1))
    file, typed = file_of(form, "file"), str(form.get("file_sha256") or "").strip()
    if file is not None:
        return Given(receipt, sha256_of(file.file))
    if typed and not _SHA256.fullmatch(typed):
        raise Invalid("receipt.hash", "The SHA-256 of a file has 64 hexadecimal digits.")
    return Given(receipt, typed.lower())


def sha256_of(file: BinaryIO) -> str:
    """SHA-256 of an open file from where it stands, hex."""
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def known_keys(session: Session) -> dict[str, str]:
    """Every key that this service has ever signed with: fingerprint to PEM. Old ones count: what they signed holds."""
    keys = select(ProvenanceKey.fingerprint, ProvenanceKey.public_pem).where(
        ProvenanceKey.use == KeyUse.SIGNING, ProvenanceKey.public_pem.is_not(None)
    )
    return {fingerprint: pem for fingerprint, pem in session.execute(keys) if pem is not None}


def check(given: Given, keys: Mapping[str, str]) -> Checked:
    """Hold a receipt against known public keys (fingerprint to PEM) and against a file's hash."""
    pem = keys.get(given.receipt.key)
    genuine = pem is not None and given.receipt.signed_with(pem)
    return Checked(given.receipt, genuine, given.receipt.is_about(given.sha256) if given.sha256 else None)
