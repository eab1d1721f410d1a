"""The log at the command line: everything is checked, one changed value is found, and a proof is checked offline."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import select, update
from typer.testing import CliRunner

from app.cli.commands import cli
from app.core import signing
from app.core.db import Base
from app.core.errors import Invalid
from app.settings import get_settings
from app.speech.models import Generation
from tests.ledger.test_checking import delivered, unguarded
from tests.ledger.test_checkpoints import tools
from tests.world import World
from workers.tools import Tools

__all__ = ["tools"]

Run = Callable[..., Result]


@pytest.fixture
def run(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """`vouch` on the database of the test."""
    monkeypatch.setenv("VOUCH_DATA_DIR", str(tools.settings.data_dir))
    monkeypatch.setenv("VOUCH_DATABASE__URL", tools.settings.database.url)
    get_settings.cache_clear()
    yield lambda *arguments: CliRunner().invoke(cli, list(arguments))
    monkeypatch.undo()
    get_settings.cache_clear()


def test_everything_is_checked_and_one_changed_value_found(run: Run, world: World, tools: Tools) -> None:
    delivered(world, tools)
    fine = run("doctor", "--ledger")
    assert (fine.exit_code, "are as they were written" in fine.output) == (0, True), fine.output
    with unguarded(tools.databases) as connection:
        connection.execute(update(Base.metadata.tables["generation"]).values(characters=Generation.characters + 1))
    wrong = run("doctor", "--ledger", "--json")
    answer = json.loads(wrong.stdout)
    assert (wrong.exit_code, answer["wrong"], answer["faults"][0]["table"]) == (1, 1, "generation")


def test_a_proof_is_checked_offline_and_fails_when_it_is_changed(
    run: Run, world: World, tools: Tools, tmp_path: Path
) -> None:
    delivered(world, tools)
    (ref,) = world.rows(select(Generation.public_ref))
    (key := tmp_path / "key.pem").write_text(signing.public_pem(tools.signing))
    proof = run("ledger", "proof", ref)
    assert proof.exit_code == 0, proof.output
    (file := tmp_path / "proof.json").write_text(proof.stdout)
    right = run("ledger", "verify", str(file), "--key", str(key))
    assert (right.exit_code, right.stdout.startswith("Right:")) == (0, True), right.output
    said = json.loads(proof.stdout)
    said["leaf"]["content"] = said["leaf"]["content"].replace(ref, "somebody-elses-clip")
    file.write_text(json.dumps(said))
    wrong = run("ledger", "verify", str(file), "--key", str(key))
    assert isinstance(wrong.exception, Invalid)
    assert "This proves nothing" in wrong.exception.message
