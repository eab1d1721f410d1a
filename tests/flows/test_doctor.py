"""What the doctor says of the secret of the web side, of mail, and of errands that do not get done."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from sqlalchemy import update

from app.cli import doctor
from app.cli.doctor import Finding
from app.core import crypto, errands
from app.core.db import now
from app.core.errands import Errand
from app.settings import Settings
from tests.chaos.service import environment, vouch
from tests.core.mail_server import free_port, mail_server
from tests.core.test_crypto import production
from tests.world import World


def only(found: Finding) -> tuple[bool, str, str]:
    """Whether it works, what was seen, what to do."""
    return found.works, found.seen, found.fix


def test_init_keys_makes_the_secret_of_the_web_side_too(tmp_path: Path) -> None:
    given = environment(tmp_path / "data")
    first = vouch(given, "admin", "init-keys")
    path = tmp_path / "data" / "secret.key"
    assert f"made {path}" in first.stdout, first.stderr
    secret = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert f"made {path}" not in vouch(given, "admin", "init-keys").stdout
    assert path.read_bytes() == secret


def test_a_secret_that_is_missing_in_production_is_found(tmp_path: Path) -> None:
    settings = production(tmp_path)
    works, seen, fix = only(doctor._secret(settings))
    assert (works, "vouch admin init-keys" in fix) == (False, True)
    assert str(settings.secret_file) in seen
    crypto.make_web_secret(settings)
    assert doctor._secret(settings).works


def test_a_secret_that_others_can_read_is_found(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert doctor._secret(settings).works  # not made yet, and no matter
    crypto.make_web_secret(settings)
    settings.secret_file.chmod(0o640)
    works, _, fix = only(doctor._secret(settings))
    assert (works, fix.split(" as ")[0]) == (False, f"Run `chmod go= {settings.secret_file}`")


def test_a_mail_server_that_does_not_answer_is_found(tmp_path: Path) -> None:
    port = free_port()
    settings = Settings(data_dir=tmp_path, mail={"url": f"smtp://vouch:hunter2@127.0.0.1:{port}"})
    works, seen, fix = only(doctor._mail(settings))
    assert (works, "VOUCH_MAIL__URL" in fix) == (False, True)
    assert f"127.0.0.1:{port}" in seen
    assert "hunter2" not in seen + fix
    with mail_server() as server:
        assert doctor._mail(Settings(mail={"url": f"smtp://127.0.0.1:{server.port}"})).works
    assert doctor._mail(Settings(data_dir=tmp_path)).works


def findings_with(world: World, **values: object) -> list[tuple[str, bool, str]]:
    """What is found when there is one errand with these values."""
    with world.databases.writing() as session:
        errands.add(session, "mail", "k")
        session.execute(update(Errand).values(values))
    return [(found.part, found.works, found.seen) for found in doctor._errands(world.settings)]


def test_errands_that_do_not_get_done_are_a_problem(world: World) -> None:
    found = findings_with(world, attempts=4, problem="The mail server is away.")
    assert found == [("errands", False, "1 of the kind mail do not get done: The mail server is away.")]


def test_errands_that_have_only_just_begun_are_none(world: World) -> None:
    assert [works for _, works, _ in findings_with(world, attempts=3, problem="once")] == [True]


def test_what_was_given_up_is_told_for_a_day(world: World) -> None:
    told = findings_with(world, done_at=now() - timedelta(hours=23), problem="no such person")
    assert told[1] == ("given up", True, "1 of the kind mail since yesterday, the last one because no such person")
    assert len(findings_with(world, done_at=now() - timedelta(hours=25))) == 1


def test_looking_for_errands_makes_no_database(tmp_path: Path, new_postgres: Callable[[str], str]) -> None:
    assert list(doctor._errands(Settings(data_dir=tmp_path))) == []
    assert not (tmp_path / "vouch.db").exists()
    empty = Settings(data_dir=tmp_path, database={"url": new_postgres("doctor")})
    assert list(doctor._errands(empty)) == []
