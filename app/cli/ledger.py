"""`vouch doctor --ledger` and `vouch ledger`: checking all of the log, and proofs out of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.common import opened_services
from app.core.errors import Invalid, NotFound
from app.provenance.ledger import checking, checkpoints, notes, proofs
from app.settings import Settings

MOST_LISTED = 1000
ledger = typer.Typer(help="The transparency log: proofs that something is in it.", no_args_is_help=True)


def check_all(settings: Settings, *, as_json: bool) -> int:
    """Check everything and say which rows are wrong; gives how many things are."""
    del settings  # `opened_services` reads them again
    show, listed, wrong, size = not as_json, list[dict[str, str]](), 0, 0

    def progress(done: int, of: int) -> None:
        nonlocal size
        size = done
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{done:,} of {of:,} leaves")

    with opened_services() as services:
        for fault in checking.check(services.databases, services.settings, services.storage, progress):
            wrong += 1
            if show:
                typer.echo(f"WRONG  {fault.table} {fault.row} {fault.what}")
            elif len(listed) < MOST_LISTED:
                listed.append({"table": fault.table, "row": fault.row, "what": fault.what})
    if sys.stderr.isatty():
        sys.stderr.write("\r" + " " * 50 + "\r")
    if as_json:
        typer.echo(json.dumps({"leaves": size, "wrong": wrong, "faults": listed}))
    elif wrong:
        typer.echo(f"\n{size:,} leaves were checked. Wrong: {wrong}. Compare with a backup before you change anything.")
    else:
        typer.echo(f"{size:,} leaves, their rows, all nodes, checkpoints, keys and copies are as they were written.")
    return wrong


@ledger.command("proof")
def proof(
    ref: Annotated[str, typer.Argument(help="Name of the generation, or SHA-256 of a delivered file.")],
) -> None:
    """Print the proof, as JSON, that a generation or a file is under the newest checkpoint."""
    with opened_services() as services, services.databases.reading() as session:
        leaf = proofs.leaf_of_ref(session, ref) or proofs.leaf_of_file(session, ref)
        if leaf is None:
            raise NotFound("ledger.not_found", "The ledger has nothing of this name.")
        typer.echo(json.dumps(proofs.document(session, leaf, checkpoints.newest(session)), indent=1))


@ledger.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="A proof, as `vouch ledger proof` or the API gives it.")],
    key: Annotated[Path, typer.Option(help="Public signing key of the service, PEM.")],
) -> None:
    """Check a proof offline: signature of the checkpoint, and way from the leaf to its root. Exit code 1 if wrong."""
    try:
        said: Any = json.loads(file.read_text())
        head = notes.opened(str(said["checkpoint"]["note"]), [key.read_text()])
    except OSError as error:
        raise Invalid("ledger.file", f"{error.filename} can't be read: {error.strerror}.") from error
    except notes.BadNote as error:
        raise Invalid("ledger.wrong", f"This proves nothing: {error}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise Invalid("ledger.file", f"{file} is not a proof of the ledger.") from error
    problem = proofs.check_document(said)
    if not problem and (head.size, head.root.hex()) != (said["checkpoint"]["size"], said["checkpoint"]["root"]):
        problem = "size or root differ from the signed checkpoint"
    if problem:
        raise Invalid("ledger.wrong", f"This proves nothing: {problem}.")
    typer.echo(f"Right: leaf {said['leaf']['position']} is under {head.origin}'s checkpoint of {head.size} leaves.")
    typer.echo(said["leaf"]["content"])
