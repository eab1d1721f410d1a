"""Checks an evidence bundle of Vouch, offline. Needs Python 3.9 or newer and the package `cryptography`.

    python verify.py [BUNDLE.zip | FOLDER] [--key PUBLIC_KEY.pem]

Without a name it checks the folder that it lies in. Give `--key` with the service's public key as published at
/v1/ledger/keys, or kept from earlier: a bundle carries its key along, which by itself proves only that the bundle is
of one piece. Exit code 0 when everything holds, 1 when anything does not.

This copy is part of what it checks. Whoever wants to rely on it takes verify.py from Vouch's source code instead.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PURPOSE = b"vouch-evidence-v1"
MANIFEST, SIGNATURE = "MANIFEST.json", "MANIFEST.sig"
PROOFS = ("proofs/generation.json", "proofs/stamp.json")
LARGEST = 1 << 30
LONGEST = 200


class Broken(Exception):
    """The bundle does not hold; the message says where."""


def main() -> int:
    """Check what the command line names; say the verdict."""
    parser = argparse.ArgumentParser(description="Check an evidence bundle, offline.")
    parser.add_argument("bundle", nargs="?", default=str(Path(__file__).resolve().parent), help="zip file or folder")
    parser.add_argument("--key", help="PEM of the service's public key, from where you trust it")
    given = parser.parse_args()
    try:
        lines = check(read(Path(given.bundle)), Path(given.key).read_text() if given.key else None)
    except (Broken, OSError) as problem:
        sys.stdout.write(f"NOT INTACT: {plain(problem)}\n")
        return 1
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def read(place: Path) -> dict[str, bytes]:
    """The files of a zip or a folder: name to bytes."""
    if place.is_dir():
        found = [path for path in sorted(place.rglob("*")) if not path.is_dir()]
        return {path.relative_to(place).as_posix(): path.read_bytes() for path in found}
    try:
        with zipfile.ZipFile(place) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > LARGEST:
                raise Broken("the bundle is larger than any real one")
            files = {member.filename: archive.read(member) for member in members}
            if len(files) != len(members):
                raise Broken("two files of the bundle have the same name")
            return files
    except Broken:
        raise
    except Exception as error:  # zipfile raises errors of many kinds for damaged archives
        raise Broken(f"the archive is damaged ({error})") from error


def check(files: Mapping[str, bytes], trusted_pem: str | None = None) -> list[str]:
    """Lines that say what holds. Raises Broken for the first thing that does not."""
    try:
        return _checked(files, trusted_pem)
    except Broken:
        raise
    except Exception as error:  # whatever a forged bundle holds is a broken bundle
        raise Broken(f"the bundle can't be read ({type(error).__name__}: {error})") from error


def _checked(files: Mapping[str, bytes], trusted_pem: str | None) -> list[str]:
    for name in (MANIFEST, SIGNATURE, "report.json", *PROOFS):
        if name not in files:
            raise Broken(f"{name} is missing")
    manifest = json.loads(files[MANIFEST])
    _check_signature(files, manifest["public_key"])
    if trusted_pem is not None and fingerprint(trusted_pem) != fingerprint(manifest["public_key"]):
        raise Broken("it is signed by another key than the one given: {}".format(fingerprint(manifest["public_key"])))
    _check_files(files, manifest["files"])
    report = json.loads(files["report.json"])
    rows = {name: _check_proof(name, json.loads(files[name]), manifest["checkpoint_keys"]) for name in PROOFS}
    generation = rows["proofs/generation.json"]
    _check_story(files, report, generation, rows["proofs/stamp.json"])
    return _verdict(manifest, report, generation, trusted_pem is not None)


def fingerprint(pem: str) -> str:
    """SHA-256 of the public key's DER form, as the service publishes it."""
    key = serialization.load_pem_public_key(pem.encode())
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER, form)).hexdigest()


def _verify(pem: str, signature: bytes, message: bytes, what: str) -> None:
    try:
        key = serialization.load_pem_public_key(pem.encode())
        if not isinstance(key, Ed25519PublicKey):
            raise Broken(f"the key of {what} is no Ed25519 key")
        key.verify(signature, message)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError) as error:
        raise Broken(f"the signature of {what} is not true") from error


def _check_signature(files: Mapping[str, bytes], pem: str) -> None:
    text = files[SIGNATURE].decode("ascii", "replace")
    signature = base64.b64decode(text.encode("ascii", "replace"))
    if base64.b64encode(signature).decode() + "\n" != text:
        raise Broken(f"{SIGNATURE} is not as it was written")
    _verify(pem, signature, PURPOSE + b"\x00" + files[MANIFEST], MANIFEST)


def _check_files(files: Mapping[str, bytes], listed: Mapping[str, str]) -> None:
    strays = set(files) - set(listed) - {MANIFEST, SIGNATURE}
    if strays:
        raise Broken(f"{sorted(strays)[0]} does not belong to the bundle")
    for name, digest in sorted(listed.items()):
        if name not in files:
            raise Broken(f"{name} is missing")
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise Broken(f"{name} was changed")


def canonical(content: Any) -> bytes:
    """The one spelling of JSON content that is hashed."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _check_proof(name: str, proof: Any, pems: list[str]) -> Any:
    """The row that a proof is about: committed to by a leaf, which is in the tree that the checkpoint signs."""
    leaf, checkpoint = proof["document"]["leaf"], proof["document"]["checkpoint"]
    content = leaf["content"].encode()
    committed = hashlib.sha256(proof["salt"].encode() + b"\x00" + canonical(proof["row"])).hexdigest()
    if json.loads(content)["commitment"] != committed:
        raise Broken(f"{name}: the leaf does not commit to this row")
    digest = hashlib.sha256(b"\x00" + content).digest()
    if digest.hex() != leaf["hash"]:
        raise Broken(f"{name}: the leaf has another hash")
    size, root = _head(checkpoint["note"], pems, name)
    if (size, root.hex()) != (checkpoint["size"], checkpoint["root"]):
        raise Broken(f"{name}: the checkpoint says something else than its note")
    if root_by(digest, leaf["position"], size, [bytes.fromhex(step) for step in proof["document"]["proof"]]) != root:
        raise Broken(f"{name}: the proof does not lead to the checkpoint's root")
    return proof["row"]


def root_by(digest: bytes, position: int, size: int, steps: list[bytes]) -> bytes | None:
    """The root that an inclusion proof leads to (RFC 9162, 2.1.3.2); None for one of the wrong length."""
    if not 0 <= position < size:
        return None
    node, last = position, size - 1
    for step in steps:
        if last == 0:
            return None
        if node & 1 or node == last:
            digest = hashlib.sha256(b"\x01" + step + digest).digest()
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            digest = hashlib.sha256(b"\x01" + digest + step).digest()
        node, last = node >> 1, last >> 1
    return digest if last == 0 else None


def _head(note: str, pems: list[str], name: str) -> tuple[int, bytes]:
    """Size and root of a checkpoint (C2SP tlog-checkpoint), signed by a key of the service."""
    text, gap, below = note.rpartition("\n\n")
    text += "\n"
    origin, size, root = text.split("\n")[:3]
    for line in below.split("\n") if gap else []:
        signature = base64.b64decode(line.rpartition(" ")[2]) if line else b""
        for pem in pems:
            if signature[:4] == _key_id(origin, pem):
                _verify(pem, signature[4:], text.encode(), f"the checkpoint in {name}")
                return int(size), base64.b64decode(root)
    raise Broken(f"{name}: no key of the service signed the checkpoint")


def _key_id(origin: str, pem: str) -> bytes:
    """The 4 bytes by which signature lines of a note name a key."""
    key = serialization.load_pem_public_key(pem.encode())
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(origin.encode() + b"\n\x01" + raw).digest()[:4]


def _check_story(files: Mapping[str, bytes], report: Any, generation: Any, stamp: Any) -> None:
    """Report, rows and files speak of the same things."""
    if not report["generation"]["id"] == generation["id"] == stamp["generation_id"]:
        raise Broken("report and ledger speak of different generations")
    if report["generation"]["ref"] != generation["public_ref"]:
        raise Broken("report and ledger name different references")
    if report["account"]["row"] != generation["account_id"]:
        raise Broken("report and ledger name different accounts")
    original = report["files"].get("original")
    if original and hashlib.sha256(files[original]).hexdigest() != stamp["sha256"]:
        raise Broken(f"{original} is not the file that the ledger knows")


def _verdict(manifest: Any, report: Any, generation: Any, trusted: bool) -> list[str]:
    lines = [
        "INTACT: the signature, every file, both leaves of the ledger and the checkpoint hold.",
        "",
        "  verdict      {}".format(plain(report["verdict_in_words"])),
        "  query        SHA-256 {}".format(plain(report["query"]["file_sha256"])),
        "  generation   {}, made at {}".format(plain(generation["public_ref"]), plain(generation["created_at"])),
        "  account      {} (no name is in this bundle)".format(plain(report["account"]["id"])),
        "  wrong match  {}".format(plain(report["false_match_rate_in_words"])),
        "  signed by    key {}".format(fingerprint(manifest["public_key"])),
    ]
    if not trusted:
        lines += ["", "Compare this key with the one that the service publishes, or run again with --key."]
    return lines


def plain(said: Any) -> str:
    """On one line, short, without codes of terminals: what a bundle says must not look like what this program says."""
    text = " ".join("".join(each if each.isprintable() else " " for each in str(said)).split())
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."


if __name__ == "__main__":
    sys.exit(main())
