"""`vouch verify-receipt`: whether a receipt of a public detection is genuine, checked on this machine alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.core.errors import Invalid
from app.core.signing import fingerprint
from app.provenance.detection import receipts
from app.provenance.detection.checking import Checked, Given, check, sha256_of
from app.provenance.detection.words import HEADINGS, MEANINGS

NOT_GENUINE = 2
"""Exit code for a receipt that must not be believed, or that is about another file."""


def verify_receipt(
    receipt: Annotated[Path, typer.Argument(help="The receipt, as it was downloaded.")],
    key: Annotated[
        list[Path] | None, typer.Option(help="File with the service's public key (PEM). May be given several times.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="The recording that it should be about.")] = None,
) -> None:
    """Check a receipt of a detection against the service's public key.

    Exit code 0: genuine, and about the file where one is given. 2: not genuine, or about another file. 1: could not
    be checked.
    """
    keys = _keys(key or [])
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
    if not paths:
        raise Invalid("receipt.key", "Say which key to check with.", fix="Use --key FILE.")
    found = {}
    for path in paths:
        pem = _bytes(path).decode(errors="replace")
        try:
            found[fingerprint(pem)] = pem
        except ValueError as error:
            raise Invalid("receipt.key", f"{path} is no public key in PEM form.") from error
    return found


def _bytes(path: Path) -> bytes:
    """The start of a small file: enough to see that it is too long."""
    try:
        with path.open("rb") as file:
            return file.read(receipts.MOST_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> Invalid:
    return Invalid("receipt.file", f"{path} can't be read: {(error.strerror or str(error)).lower()}.")
