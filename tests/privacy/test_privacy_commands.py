"""`vouch admin hold`, `release-hold` and `erase`: each needs a reason, and a hold wins."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from app.accounts.models import LegalHold
from app.core.audit import AuditEntry
from app.core.errors import DomainError
from tests.conftest import Vouch
from tests.privacy.person import Person, dump


def test_a_hold_wins_over_an_erasure_which_goes_on_after_it(person: Person, vouch: Vouch) -> None:
    email, why = person.account.email, ("--reason", "order of a court")
    assert "is kept from now on" in vouch("hold", email.upper(), *why)
    with pytest.raises(DomainError, match="A hold is in force"):
        vouch("erase", email, *why)
    with pytest.raises(DomainError, match="already"):
        vouch("hold", email, *why)
    assert "is released" in vouch("release-hold", email, *why)
    with pytest.raises(DomainError, match="no hold"):
        vouch("release-hold", email, *why)
    assert "is being erased" in vouch("erase", email, *why)
    person.work()
    assert person.account.erased_at is not None
    assert email not in dump(person.world)
    with pytest.raises(DomainError, match="There is no account"):
        vouch("erase", email, *why)
    kept = person.world.rows(select(AuditEntry.action).where(AuditEntry.reason == why[1]).order_by(AuditEntry.id))
    assert kept[:3] == ["legal_hold.placed", "legal_hold.lifted", "account.closing"]


@pytest.mark.parametrize("command", ["hold", "release-hold", "erase"])
def test_without_a_reason_nothing_happens(person: Person, vouch: Vouch, command: str) -> None:
    with pytest.raises(DomainError, match="reason"):
        vouch(command, person.account.email, "--reason", " ")
    assert (person.account.closing_at, person.world.count(LegalHold)) == (None, 0)
