"""`vouch verify-receipt`: whether a receipt of a public detection is genuine: offline, with the public key at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import httpx2
import typer
from cryptography.exceptions import UnsupportedAlgorithm

from app.core.errors import Invalid, Unavailable
from app.core.signing import fingerprint
from app.provenance.detection import receipts
from app.provenance.detection.checking import Checked, Given, check, sha256_of
from app.provenance.detection.words import HEADINGS, MEANINGS

TIMEOUT = 10.0  # seconds
NOT_GENUINE = 2
"""Exit code for a receipt that must not be believed, or that is about another file."""


def verify_receipt(
    receipt: Annotated[Path, typer.Argument(help="The receipt, as it was downloaded.")],
    key: Annotated[
        list[Path] | None, typer.Option(help="File with the service's public key (PEM). May be given several times.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Address of a service that you trust, to fetch its public keys from.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="The recording that it should be about.")] = None,
) -> None:
    """Check a receipt of a detection against the service's public key.

    The receipt names a service itself; that is no reason to trust it, so say which one you do. Exit code 0: genuine,
    and about the file where one is given. 2: not genuine, or about another file. 1: could not be checked.
    """
    keys = _keys(key or []) | (_keys_at(url) if url else {})
    if not keys:
        raise Invalid("receipt.key", "Say which key to check with.", fix="Use --key FILE or --url ADDRESS.")
    sha256 = ""
    if file is not None:
        try:
            with file.open("rb") as opened:
                sha256 = sha256_of(opened)
        except OSError as error:
            raise _unreadable(file, error) from error
    checked = check(Given(receipts.read(_bytes(receipt)), sha256), keys)
    typer.echo(in_words(checked))
    raise typer.Exit(0 if checked.genuine and checked.same_file is not False else NOT_GENUINE)


def in_words(checked: Checked) -> str:
    """The result for a person; nothing of what a receipt says unless it is genuine."""
    if not checked.genuine:
        return "NOT GENUINE: it was not signed with this key, or it was changed. Believe nothing that it says."
    said = checked.receipt.said
    about = {None: "not compared", True: "yes", False: "NO: it is about another file"}[checked.same_file]
    return "\n".join(
        (
            "Genuine: signed by the service, and unchanged.",
            f"  answer      {HEADINGS[checked.receipt.answer]}. {MEANINGS[checked.receipt.answer]}",
            f"  file        SHA-256 {said['file_sha256']}",
            f"  your file   {about}",
            f"  searched    {said['searched_at']}",
            f"  service     {said['service']}, {said['public_url']}",
            f"  key         {checked.receipt.key}",
        )
    )


def _keys(paths: list[Path]) -> dict[str, str]:
    """Public keys by their fingerprints."""
    found = {}
    for path in paths:
        pem = _bytes(path).decode(errors="replace")
        try:
            found[fingerprint(pem)] = pem
        except (ValueError, UnsupportedAlgorithm) as error:
            raise Invalid("receipt.key", f"{path} is no public key in PEM form.") from error
    return found


def _keys_at(url: str) -> dict[str, str]:
    """The keys that a service says it signs with, by fingerprints computed here."""
    address = f"{url.rstrip('/')}/v1/ledger/keys"
    try:
        answer = httpx2.get(address, timeout=TIMEOUT)
        answer.raise_for_status()
        told = [each for each in answer.json()["keys"] if each["use"] == "signing"]
        return {fingerprint(each["public_pem"]): each["public_pem"] for each in told}
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise Unavailable("receipt.url", f"{address} can't be read: {error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, UnsupportedAlgorithm) as error:
        raise Unavailable("receipt.url", f"{address} does not answer with keys.", fix="Check the address.") from error


def _bytes(path: Path) -> bytes:
    """The start of a small file: enough to see that it is too long."""
    try:
        with path.open("rb") as file:
            return file.read(receipts.MOST_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> Invalid:
    return Invalid("receipt.file", f"{path} can't be read: {(error.strerror or str(error)).lower()}.")
