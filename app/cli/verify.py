"""`vouch verify FILE`: what a file's content credentials say, and whether to believe them. Offline."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from app.cli.common import run_module, settings_with
from app.core.db import Databases
from app.core.errors import Invalid
from app.core.text import one_line
from app.provenance.models import Stamp
from app.settings import Settings

EXIT_CODES = {"valid": 0, "unknown_signer": 3, "invalid": 4, "none": 5}

_STATES = {
    "valid": "Intact: nothing in this file has changed since {issuer} signed it.",
    "unknown_signer": "Intact, but signed by somebody unknown here, who says to be {issuer}. Anyone can do that.",
    "invalid": "NOT intact: the file has content credentials, but they do not hold: it was changed or damaged.",
    "none": "This file has no content credentials. That says nothing about where it comes from: they are lost "
    "whenever a file is converted.",
}
_CLOCKS = {
    "authority": "stated by a known time-stamp authority",
    "unknown_authority": "stated by a time-stamp authority that is unknown here",
    "signer": "by the signer's own clock",
}


def verify(
    file: Annotated[Path, typer.Argument(help="Audio file: WAV, MP3, FLAC or M4A.")],
    anchors: Annotated[
        Path | None, typer.Option(help="PEM certificates of authorities to trust, beside those of the settings.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a file's content credentials: are they intact, by whom, when, and of which generation?

    Needs no network and no running service. Exit code 0: intact, by a known signer. 3: intact, by an unknown signer.
    4: not intact. 5: no credentials. 1: the file can't be read.
    """
    settings = settings_with()
    said = _read(file, anchors)
    said["delivered_here"] = _delivered(settings, said["sha256"])
    typer.echo(json.dumps(said) if as_json else in_words(said))
    raise typer.Exit(EXIT_CODES[said["state"]])


def _read(file: Path, anchors: Path | None) -> dict[str, Any]:
    for path in (file, anchors):
        try:
            if path is not None:
                path.open("rb").close()
        except OSError as error:
            raise Invalid("verify.file", f"{path} can't be read: {(error.strerror or str(error)).lower()}.") from error
    more = [str(anchors.resolve())] if anchors else []
    said: dict[str, Any] = json.loads(run_module("workers.verify", str(file.resolve()), *more))
    return said


def _delivered(settings: Settings, sha256: str) -> str | None:
    """When exactly this file was made here; None when it was not, or where there is no database to ask."""
    if settings.database_url.startswith("sqlite") and not (settings.data_dir / "vouch.db").exists():
        return None
    databases = Databases(settings)
    try:
        with databases.reading() as session:
            made = session.scalar(select(Stamp.created_at).where(Stamp.sha256 == sha256).limit(1))
    except SQLAlchemyError:  # whoever verifies a file need not have the service's database
        return None
    finally:
        databases.close()
    return made.isoformat() if made else None


def in_words(said: dict[str, Any]) -> str:
    """The answer for a person. Nothing that a stranger wrote can steer the terminal."""
    issuer = one_line(said["issuer"] or "", 100) or "somebody without a name"
    lines = [_STATES[said["state"]].format(issuer=issuer)]
    if said["state"] in ("valid", "unknown_signer"):
        lines.append(f"  {'signed by':13} {issuer}" + (" (this service)" if said["own"] else ""))
        if said["signed_at"]:
            moment = datetime.fromisoformat(said["signed_at"]).astimezone(UTC)
            lines.append(f"  {'signed at':13} {moment:%Y-%m-%d %H:%M:%S} UTC, {_CLOCKS[said['clock']]}")
        if said["generation_ref"]:
            lines.append(f"  {'generation':13} {one_line(said['generation_ref'], 100)}")
    lines += [f"  {'problem':13} {one_line(problem, 200)}" for problem in said["problems"]]
    if said["delivered_here"]:
        moment = datetime.fromisoformat(said["delivered_here"]).astimezone(UTC)
        lines.append(f"  {'delivered':13} exactly this file was made here on {moment:%Y-%m-%d at %H:%M:%S} UTC")
    lines.append(f"  {'SHA-256':13} {said['sha256']}")
    return "\n".join(lines)
