"""Calls to the payment provider: made once, made later when it is away, and never lost without a word."""

from __future__ import annotations

import uuid
from datetime import timedelta

from sqlalchemy import delete, select, update

from app.accounts.models import Account
from app.billing import outgoing
from app.billing.models import BillingCustomer
from app.core import errands
from app.core.db import now
from app.core.errands import Errand
from tests.billing.desk import Desk


def _use(desk: Desk, account: Account, characters: int, generation: uuid.UUID | None = None) -> uuid.UUID:
    generation = generation or uuid.uuid4()
    with desk.tools.databases.writing() as session:
        outgoing.bill_overage(session, account, generation, characters)
    return generation


def _billed(desk: Desk, account: Account) -> int:
    return desk.stripe.billed_characters(desk.customer(account))


def test_characters_beyond_the_allowance_are_billed_once(desk: Desk) -> None:
    account, _ = desk.subscriber()
    generation = _use(desk, account, 700)
    _use(desk, account, 700, generation)
    _use(desk, account, 11)
    _use(desk, account, 0)
    desk.work()
    assert _billed(desk, account) == 711
    assert str(generation) in desk.stripe.usage


def test_an_answer_that_is_lost_bills_nothing_twice(desk: Desk) -> None:
    account, _ = desk.subscriber()
    _use(desk, account, 700)
    desk.stripe.lose_answers(3)
    desk.work()
    assert len(desk.undone(outgoing.CALL)) == 1
    desk.due_now()
    desk.work()
    assert desk.undone() == []
    assert _billed(desk, account) == 700


def test_while_stripe_is_down_nothing_is_lost_and_all_is_sent_later(desk: Desk) -> None:
    account, subscription = desk.subscriber()
    desk.stripe.go_down()
    for characters in (10, 20, 30):
        _use(desk, account, characters)
    with desk.tools.databases.writing() as session:
        outgoing.cancel_subscription(session, subscription)
    desk.work()
    waiting = desk.undone(outgoing.CALL)
    assert len(waiting) == 4
    assert all(each.problem and each.due_at > now() for each in waiting)
    desk.stripe.come_back()
    desk.due_now()
    desk.work()
    assert desk.undone() == []
    assert _billed(desk, account) == 60
    assert desk.stripe.objects[subscription]["status"] == "canceled"


def test_what_stripe_refuses_is_tried_again_and_shown(desk: Desk) -> None:
    account, _ = desk.subscriber()
    (meter,) = desk.stripe.all("billing.meter")
    meter["status"] = "inactive"
    _use(desk, account, 5)
    for _ in range(4):
        desk.due_now()
        desk.work()
    with desk.tools.databases.reading() as session:
        ((kind, number, problem),) = errands.stuck(session)
    assert (kind, number) == (outgoing.CALL, 1)
    assert problem
    meter["status"] = "active"
    desk.due_now()
    desk.work()
    assert _billed(desk, account) == 5


def test_usage_that_nobody_can_be_billed_for_is_given_up_with_a_reason(desk: Desk) -> None:
    account, _ = desk.subscriber()
    _use(desk, account, 5)
    _age_usage(desk)
    desk.work()
    _use(desk, account, 6)
    with desk.tools.databases.writing() as session:
        session.execute(delete(BillingCustomer))
    desk.work()
    given_up = desk.world.rows(select(Errand.problem).where(Errand.problem.is_not(None)).order_by(Errand.id))
    assert len(given_up) == 2
    assert "35 days" in given_up[0]
    assert "no longer a customer" in given_up[1]


def _age_usage(desk: Desk) -> None:
    (errand,) = desk.undone(outgoing.CALL)
    old = {**errand.payload, "at": (now() - timedelta(days=36)).isoformat()}
    with desk.tools.databases.writing() as session:
        session.execute(update(Errand).where(Errand.id == errand.id).values(payload=old))


def test_a_person_who_is_erased_is_forgotten_there_too(desk: Desk) -> None:
    account, subscription = desk.subscriber()
    desk.verify(account)
    desk.deliver()
    customer = desk.customer(account)
    with desk.tools.databases.writing() as session:
        outgoing.forget_person(session, account)
        errands.drop(session, owner_id=account.id)
    desk.work()
    desk.deliver()
    assert desk.stripe.objects[customer].get("deleted")
    assert desk.stripe.objects[subscription]["status"] == "canceled"
    (check,) = desk.stripe.all("identity.verification_session")
    assert check["redaction"]
    desk.due_now()
    desk.work()
    assert desk.undone() == []
    assert desk.fresh(account).plan == "free"
