"""Writes the table of docs/privacy.md: `python -m tests.privacy.write_privacy_doc`."""

from __future__ import annotations

from pathlib import Path

from app.privacy.kept import table
from app.settings import Settings

DOC = Path(__file__).parents[2] / "docs" / "privacy.md"
BEGIN, END = "<!-- table: written by tests.privacy.write_privacy_doc -->\n", "<!-- end of the table -->\n"


def written(text: str) -> str:
    """The document with the table as the code has it."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{table(Settings())}\n{END}{tail}"


if __name__ == "__main__":
    DOC.write_text(written(DOC.read_text()))
