"""The console's part: who may have a bundle made, who may fetch it, and what is kept of that."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.accounts.models import Role
from app.core.audit import AuditEntry
from app.core.db import now
from app.provenance.evidence import verify
from app.provenance.models import Verdict
from tests.conftest import make_settings
from tests.evidence.test_bundle import Case, unpacked
from tests.harness import Service, running
from tests.pages.browsing import Page, Visitor
from workers.errands import run_due


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with running(make_settings(tmp_path), worker=False) as made:
        yield made


@pytest.fixture
def case(service: Service) -> Iterator[Case]:
    made = Case(service.settings)
    yield made
    made.tools.databases.close()


def visitor(service: Service, case: Case, role: Role) -> Visitor:
    return Visitor.of(service, case.world.newcomer(role=role))


def test_a_moderator_makes_and_fetches_a_bundle(service: Service, case: Case) -> None:
    moderator = visitor(service, case, Role.MODERATOR)
    path = f"/console/trace/{case.query.public_id}"
    shown = Page.read(moderator.get(path).text)
    assert "Make an evidence bundle" in shown.text
    refused = moderator.post(f"{path}/evidence", reason=" ")
    assert (refused.status_code, "Write what the bundle is for" in refused.text) == (422, True)
    assert moderator.post(f"{path}/evidence", reason="For the court.").status_code == 303
    waiting = Page.read(moderator.get(path).text).text
    assert "A bundle is being made" in waiting
    assert "Make an evidence bundle" not in waiting
    run_due(case.tools)
    ready = moderator.get(path).text
    link = ready.partition(f'href="{path}/evidence/')[2].partition('"')[0]
    fetched = moderator.get(f"{path}/evidence/{link}")
    assert (fetched.headers["content-type"], fetched.headers["cache-control"]) == ("application/zip", "no-store")
    assert verify.check(unpacked(fetched.content))[0].startswith("INTACT")
    for action in ("asked", "ready", "fetched"):
        assert service.world.count(AuditEntry, AuditEntry.action == f"evidence_bundle.{action}") == 1
    other = case.trace(Verdict.CONFIRMED).public_id
    elsewhere = moderator.get(f"/console/trace/{other}/evidence/{link}")
    assert elsewhere.status_code == 404
    moderator.client.close()


def test_nobody_else_does_and_not_without_confirming(service: Service, case: Case) -> None:
    path = f"/console/trace/{case.query.public_id}"
    customer, moderator = visitor(service, case, Role.CUSTOMER), visitor(service, case, Role.MODERATOR)
    assert customer.post(f"{path}/evidence", reason="For me.").status_code in (403, 404)
    long_ago = now() - service.settings.web.confirm_for - timedelta(minutes=1)
    service.world.execute("UPDATE login_session SET confirmed_at = :at", at=long_ago)
    for answer in (moderator.post(f"{path}/evidence", reason="For the court."), moderator.get(f"{path}/evidence/x")):
        assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/account/confirm")
    assert service.world.count(AuditEntry, AuditEntry.action == "evidence_bundle.asked") == 0
    for each in (customer, moderator):
        each.client.close()
