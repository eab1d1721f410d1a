"""Staff made at the command line: a second factor from the first day, and help when it is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pyotp
import pytest
from sqlalchemy import select

from app.accounts import second_factor, totp
from app.accounts.models import Account
from app.core import crypto
from app.core.audit import AuditEntry
from app.core.db import Databases
from app.core.errors import Forbidden
from app.settings import Settings
from tests.chaos.service import environment, vouch


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of an installation that was migrated."""
    given = environment(tmp_path_factory.mktemp("desk") / "data")
    done = vouch(given, "migrate")
    assert done.returncode == 0, done.stderr
    return given


def test_staff_gets_an_app_and_loses_it_again(installed: dict[str, str]) -> None:
    settings = Settings(data_dir=Path(installed["VOUCH_DATA_DIR"]))
    databases = Databases(settings)
    key = crypto.web_secret(settings)
    options = ("--email", "mary@example.org", "--role", "moderator", "--json")
    made = json.loads(vouch(installed, "admin", "create-account", *options).stdout)
    assert len(made["recovery_codes"]) == 10
    app = pyotp.parse_uri(made["totp_address"])
    assert isinstance(app, pyotp.TOTP)
    with databases.writing() as session:
        account = session.scalars(select(Account)).one()
        second_factor.demand(session, account, settings)
        assert totp.accept(session, account.id, app.now(), key)

    refused = vouch(installed, "admin", "reset-second-factor", "mary@example.org", "--reason", " ")
    assert (refused.returncode, "Give the reason" in refused.stderr) == (1, True)
    refused = vouch(installed, "admin", "reset-second-factor", "nobody@example.org", "--reason", "lost")
    assert (refused.returncode, "There is no account for nobody@example.org." in refused.stderr) == (1, True)
    done = vouch(installed, "admin", "reset-second-factor", "Mary@example.org", "--reason", "Lost phone; I called her.")
    assert done.returncode == 0, done.stderr
    with databases.reading() as session:
        account = session.scalars(select(Account)).one()
        with pytest.raises(Forbidden, match="second step"):
            second_factor.demand(session, account, settings)
        reason = session.scalar(select(AuditEntry.reason).where(AuditEntry.action == "account.second_factor_reset"))
    assert reason == "Lost phone; I called her."
    databases.close()


def test_it_is_printed_for_people_too(installed: dict[str, str]) -> None:
    shown = vouch(installed, "admin", "create-account", "--email", "sue@example.org", "--role", "senior").stdout
    assert "otpauth://totp/" in shown
    assert "Recovery" in shown
    customer = vouch(installed, "admin", "create-account", "--email", "joe@example.org").stdout
    assert "otpauth" not in customer
