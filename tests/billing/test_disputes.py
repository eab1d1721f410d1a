"""Disputes, warnings, refunds and cards of banned people: what restricts an account, and what frees it again."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from app.accounts.models import Account, Standing
from app.accounts.signals import Signal, SignalKind
from app.billing import disputes
from app.core.audit import AuditEntry
from app.core.db import now
from tests.billing.desk import Desk
from tests.world import OPERATOR

STOLEN = "4000056655665556"


def _charge(desk: Desk, account: Account) -> str:
    return desk.stripe.charges_of(desk.customer(account))[0]


def _standing(desk: Desk, account: Account) -> Standing:
    return desk.fresh(account).state


def _settle(desk: Desk, signal: Signal) -> None:
    with desk.tools.databases.writing() as session:
        disputes.settle_signal(session, session.get_one(Signal, signal.id), OPERATOR, "looked at")


def test_a_dispute_restricts_and_winning_it_frees(desk: Desk) -> None:
    account, _ = desk.subscriber()
    dispute = desk.stripe.open_dispute(_charge(desk, account))
    desk.deliver()
    assert _standing(desk, account) is Standing.RESTRICTED
    desk.stripe.close_dispute(dispute, "won")
    desk.deliver()
    assert _standing(desk, account) is Standing.ACTIVE
    (signal,) = desk.signals(account)
    assert signal.closed_by == "system:billing"


def test_a_dispute_that_is_lost_stays_until_a_moderator_closes_it(desk: Desk) -> None:
    account, _ = desk.subscriber()
    dispute = desk.stripe.open_dispute(_charge(desk, account))
    desk.stripe.close_dispute(dispute, "lost")
    desk.deliver()
    (signal,) = desk.signals(account)
    assert "the money is gone" in signal.summary
    assert _standing(desk, account) is Standing.RESTRICTED
    _settle(desk, signal)
    assert _standing(desk, account) is Standing.ACTIVE
    desk.stripe.emit("charge.dispute.updated", desk.stripe.objects[dispute])
    desk.deliver()
    assert _standing(desk, account) is Standing.ACTIVE, "what a moderator closed stays closed"


def test_only_the_last_signal_frees(desk: Desk) -> None:
    account, subscription = desk.subscriber()
    desk.stripe.advance_period(subscription)
    for charge in desk.stripe.charges_of(desk.customer(account)):
        desk.stripe.open_dispute(charge)
    desk.stripe.warn_of_fraud(_charge(desk, account))
    desk.deliver(random.Random(3))
    signals = desk.signals(account)
    assert sorted(signal.kind for signal in signals) == ["dispute", "dispute", "fraud_warning"]
    for signal in signals:
        assert _standing(desk, account) is Standing.RESTRICTED
        _settle(desk, signal)
    assert _standing(desk, account) is Standing.ACTIVE


def test_a_part_of_a_payment_back_is_only_said_and_all_of_it_restricts(desk: Desk) -> None:
    account, _ = desk.subscriber()
    charge = _charge(desk, account)
    desk.stripe.refund(charge, 100)
    desk.deliver()
    assert _standing(desk, account) is Standing.ACTIVE
    desk.stripe.refund(charge)
    desk.deliver()
    assert _standing(desk, account) is Standing.RESTRICTED
    assert [(signal.reference, signal.restricted) for signal in desk.signals(account)] == [
        (charge, False),
        (f"{charge}/whole", True),
    ]


@pytest.mark.parametrize("standing", [Standing.SUSPENDED, Standing.BANNED, Standing.RESTRICTED])
def test_what_a_moderator_decided_is_neither_softened_nor_lifted(desk: Desk, standing: Standing) -> None:
    account, _ = desk.subscriber()
    desk.world.set_standing(account, standing)
    dispute = desk.stripe.open_dispute(_charge(desk, account))
    desk.deliver()
    assert _standing(desk, account) is standing
    desk.stripe.close_dispute(dispute, "won")
    desk.deliver()
    assert _standing(desk, account) is standing


def test_a_dispute_that_is_long_won_lifts_nothing_later(desk: Desk) -> None:
    account, _ = desk.subscriber()
    dispute = desk.stripe.open_dispute(_charge(desk, account))
    desk.deliver()
    desk.stripe.close_dispute(dispute, "won")
    desk.deliver()
    desk.world.set_standing(account, Standing.RESTRICTED)
    desk.stripe.emit("charge.dispute.closed", desk.stripe.objects[dispute])
    desk.deliver()
    _settle(desk, desk.signals(account)[0])
    assert _standing(desk, account) is Standing.RESTRICTED


def test_a_suspension_that_ends_does_not_free_from_a_dispute(desk: Desk) -> None:
    account, _ = desk.subscriber()
    desk.world.set_standing(account, Standing.SUSPENDED)
    desk.stripe.open_dispute(_charge(desk, account))
    desk.deliver()
    _after_suspensions(desk)
    assert _standing(desk, account) is Standing.SUSPENDED
    with desk.tools.databases.writing() as session:
        session.execute(update(Account).values(suspended_until=now() - timedelta(seconds=1)))
    _after_suspensions(desk)
    assert _standing(desk, account) is Standing.RESTRICTED
    _settle(desk, desk.signals(account)[0])
    assert _standing(desk, account) is Standing.ACTIVE


def _after_suspensions(desk: Desk) -> None:
    with desk.tools.databases.writing() as session:
        disputes.restrict_after_suspensions(session)


def test_the_card_of_a_banned_person_gives_their_next_account_away(desk: Desk) -> None:
    banned, _ = desk.subscriber(card=STOLEN)
    bystander, _ = desk.subscriber()
    desk.world.set_standing(banned, Standing.BANNED)
    account, _ = desk.subscriber(card=STOLEN)
    (signal,) = desk.signals(account)
    assert (signal.kind, signal.facts) == (SignalKind.LINKED_CARD, {"banned_account": str(banned.id)})
    assert _standing(desk, account) is Standing.RESTRICTED
    assert desk.signals(bystander) == []
    _settle(desk, signal)
    desk.stripe.emit("customer.updated", desk.stripe.objects[desk.customer(account)])
    desk.deliver()
    assert _standing(desk, account) is Standing.ACTIVE, "a moderator has looked at it"


def test_a_card_that_two_people_share_links_nobody(desk: Desk) -> None:
    first, _ = desk.subscriber()
    second, _ = desk.subscriber()
    assert desk.signals(first) == desk.signals(second) == []


def test_each_restriction_is_in_the_audit_with_its_reason(desk: Desk) -> None:
    account, _ = desk.subscriber()
    desk.stripe.warn_of_fraud(_charge(desk, account))
    desk.deliver()
    (entry,) = desk.world.rows(select(AuditEntry).where(AuditEntry.action == "account.restricted"))
    assert (entry.actor_kind, entry.actor_id) == ("system", "billing")
    assert "bank suspects" in entry.reason
