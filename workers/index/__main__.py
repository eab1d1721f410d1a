"""The index from the command line: `python -m workers.index rebuild`, or `update`, or `check`."""

from __future__ import annotations

import sys

import app.parts  # noqa: F401 - all tables
from app.core.db import Databases
from app.settings import get_settings
from workers.index import Index
from workers.index.follow import catch_up, rebuild
from workers.index.segment import Damaged

USAGE = "usage: python -m workers.index rebuild | update | check"


def main(arguments: list[str]) -> int:
    """0 when it worked; 1 when `check` found damage; 2 for a command that there is not."""
    if len(arguments) != 1 or arguments[0] not in ("rebuild", "update", "check"):
        sys.stderr.write(f"{USAGE}\n")
        return 2
    settings = get_settings()
    index = Index(settings.index_directory)
    if arguments[0] == "check":
        return _check(index)
    databases = Databases(settings)
    try:
        added = rebuild(databases, index) if arguments[0] == "rebuild" else catch_up(databases, index)
    finally:
        databases.close()
    sys.stdout.write(f"{added:,} fingerprints added; the index in {index.directory} has {index.size:,} bytes.\n")
    return 0


def _check(index: Index) -> int:
    try:
        index.check()
    except Damaged as damage:
        index.problem = str(damage)
    if index.problem:
        sys.stderr.write(f"{index.problem} Run `vouch admin rebuild-index`.\n")
        return 1
    sys.stdout.write(f"The index in {index.directory} is whole: {len(index):,} clips, {index.size:,} bytes.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
