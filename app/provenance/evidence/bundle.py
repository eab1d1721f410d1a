"""From report, files and proofs to one signed zip."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import IO, Any

import jinja2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.orm import Session

from app.core import signing
from app.core.errors import NotFound
from app.provenance.ledger import leaves, proofs
from app.provenance.ledger.models import Checkpoint, LeafKind, MerkleLeaf

PURPOSE = "vouch-evidence-v1"
_FOLDER = Path(__file__).parent
_STORED = frozenset({"flac", "mp3", "m4a"})  # compressed already


def leaf_of(session: Session, kind: LeafKind, subject_id: Any) -> MerkleLeaf:
    """The leaf of a row. Raises NotFound."""
    leaf = proofs.leaf_of(session, kind, subject_id)
    if leaf is None:
        raise NotFound("ledger.no_leaf", f"The {kind.value} {subject_id} is not in the ledger.")
    return leaf


def proof_of(session: Session, leaf: MerkleLeaf, checkpoint: Checkpoint) -> dict[str, Any]:
    """A leaf with the row that it commits to, the salt that shows it, and its way to the checkpoint."""
    table = leaves.TABLES[leaf.kind]
    (row,) = leaves.rows_of(session, leaf.kind, table.id == leaf.subject_id)
    return {
        "row": json.loads(leaves.row_content(leaf.kind, row)),
        "salt": leaf.salt,
        "document": proofs.document(session, leaf, checkpoint),
    }


def pages_of(report: Mapping[str, Any], picture: str) -> dict[str, bytes]:
    """The files that people read: report as JSON and as a page, the picture, and the program that checks."""
    return {
        "report.json": json_of(report),
        "report.html": _template().render(r=report, picture=picture).encode(),
        "alignment.svg": picture.encode(),
        "verify.py": (_FOLDER / "verify.py").read_bytes(),
    }


def write(
    out: IO[bytes], files: Mapping[str, bytes], key: Ed25519PrivateKey, checkpoint_keys: list[str], bundle_id: str
) -> str:
    """Write the zip; gives its SHA-256. The manifest has the digest of every file, and its signature is beside it."""
    manifest = json_of(
        {
            "v": 1,
            "purpose": PURPOSE,
            "bundle": bundle_id,
            "public_key": signing.public_pem(key),
            "checkpoint_keys": checkpoint_keys,
            "files": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())},
        }
    )
    signature = signing.sign(key, PURPOSE, manifest).encode() + b"\n"
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in [*sorted(files.items()), ("MANIFEST.json", manifest), ("MANIFEST.sig", signature)]:
            how = zipfile.ZIP_STORED if name.rpartition(".")[2] in _STORED else zipfile.ZIP_DEFLATED
            archive.writestr(name, data, how)
    out.seek(0)
    digest = hashlib.sha256()
    while piece := out.read(1 << 20):
        digest.update(piece)
    return digest.hexdigest()


def json_of(content: Any) -> bytes:
    """JSON for people: indented, keys in order."""
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False).encode() + b"\n"


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(_FOLDER), autoescape=True)
    return environment.get_template("report.html")
