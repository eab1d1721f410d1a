"""`vouch admin verify`, `unverify` and `set-plan`: what the operator decides, with a reason that is kept."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from app.accounts.models import Account
from app.accounts.sessions import account_of_session, start_session
from app.core.audit import AuditEntry
from app.core.errors import DomainError, Unauthenticated
from app.voices.models import Voice, VoiceState
from tests.conftest import Vouch
from tests.world import World


def test_verified_and_taken_back_with_reasons(world: World, vouch: Vouch) -> None:
    account = world.account(plan="free", verified=False)
    assert "counts as verified" in vouch("verify", account.email.upper(), "--reason", "met in person")
    assert world.get(Account, account.id).verified_at is not None
    assert "no longer" in vouch("unverify", account.email, "--reason", "was a twin")
    assert world.get(Account, account.id).verified_at is None
    kept = world.rows(select(AuditEntry.reason).where(AuditEntry.actor_kind == "operator").order_by(AuditEntry.id))
    assert [reason for reason in kept if reason][-2:] == ["met in person", "was a twin"]


def test_a_plan_by_hand_takes_its_voices_along(world: World, vouch: Vouch) -> None:
    account = world.account(plan="creator")
    voice = world.voice(account)
    assert "is on the plan free" in vouch("set-plan", account.email, "free", "--reason", "asked for it")
    assert world.get(Account, account.id).plan == "free"
    assert world.get(Voice, voice.id).state is VoiceState.DISABLED
    assert "already" in vouch("set-plan", account.email, "free", "--reason", "asked for it")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("verify", "nobody@example.org", "--reason", "x"), "There is no account"),
        (("verify", "EMAIL", "--reason", " "), "Give the reason"),
        (("unverify", "EMAIL", "--reason", "x"), "not verified"),
        (("set-plan", "EMAIL", "gold", "--reason", "x"), "There is no plan 'gold'"),
    ],
)
def test_what_cannot_be_done_is_said(world: World, vouch: Vouch, arguments: tuple[str, ...], said: str) -> None:
    account = world.account(plan="free", verified=False)
    with pytest.raises(DomainError, match=said):
        vouch(*(account.email if each == "EMAIL" else each for each in arguments))


def test_an_account_is_signed_out_everywhere_with_a_reason(world: World, vouch: Vouch) -> None:
    account, other = world.account(), world.account()
    where = {"address": "192.0.2.1", "user_agent": "test", "settings": world.settings}
    with world.databases.writing() as session:
        first, second, others = [
            start_session(session, who, **where)
            for who in (account.id, account.id, other.id)  # type: ignore[arg-type]
        ]
    assert "signed out everywhere (2 sessions)" in vouch("end-sessions", account.email, "--reason", "laptop stolen")
    with world.databases.reading() as session:
        for started in (first, second):
            with pytest.raises(Unauthenticated):
                account_of_session(session, started.token, timedelta(days=3))
        assert account_of_session(session, others.token, timedelta(days=3))[0].id == other.id
    (reason,) = world.rows(select(AuditEntry.reason).where(AuditEntry.action == "account.sessions_ended"))
    assert reason == "laptop stolen"
