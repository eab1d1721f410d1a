"""Plans follow subscriptions: payments, grace, changes, ends, and what the operator set by hand."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from app.accounts.models import Account
from app.billing import checkout, refreshing, subscriptions
from app.billing.customers import ensure_customer
from app.billing.gateway import GatewayDown, GatewayRefused
from app.billing.models import BillingCustomer, SubscriptionStatus
from app.core.audit import AuditEntry
from app.core.db import now
from app.core.errors import Invalid
from app.core.states import lock
from tests.billing.desk import Desk
from tests.world import OPERATOR, actor_of


def test_paying_gives_the_plan_and_ending_takes_it(desk: Desk) -> None:
    account, subscription = desk.subscriber("creator")
    assert desk.fresh(account).plan == "creator"
    assert desk.subscription(account).status is SubscriptionStatus.ACTIVE
    desk.stripe.cancel(subscription, at_period_end=True)
    desk.deliver()
    assert desk.fresh(account).plan == "creator"
    assert desk.subscription(account).cancel_at_period_end
    desk.stripe.advance_period(subscription)
    desk.deliver()
    assert desk.fresh(account).plan == "free"
    assert desk.mails() == ["plan", "plan"]


def test_a_missing_payment_keeps_the_plan_until_the_grace_ends(desk: Desk) -> None:
    account, subscription = desk.subscriber()
    desk.stripe.fail_payment(subscription)
    desk.deliver()
    first = desk.subscription(account)
    assert first.grace_until is not None
    assert timedelta() < first.grace_until - now() <= desk.settings.billing.grace
    desk.stripe.give_up_payment(subscription)
    desk.deliver()
    assert desk.subscription(account).grace_until == first.grace_until, "one grace for one missing payment"
    assert desk.fresh(account).plan == "starter"
    desk.end_grace(account)
    _end_graces(desk)
    assert desk.fresh(account).plan == "free"
    desk.stripe.emit("customer.subscription.updated", desk.stripe.objects[subscription])
    desk.deliver()
    assert desk.fresh(account).plan == "free", "another word of the same missing payment gives no second grace"
    desk.stripe.recover_payment(subscription)
    desk.deliver()
    assert desk.fresh(account).plan == "starter"
    assert desk.mails() == ["plan", "payment-missing", "plan", "plan"]


def test_the_grace_of_somebody_who_has_paid_does_not_end_the_plan(desk: Desk) -> None:
    account, subscription = desk.subscriber()
    desk.stripe.fail_payment(subscription)
    desk.deliver()
    desk.stripe.recover_payment(subscription)
    desk.deliver()
    assert desk.subscription(account).grace_until is None
    _end_graces(desk)
    assert desk.fresh(account).plan == "starter"


def test_a_payment_that_comes_while_graces_end_counts(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    if desk.tools.databases.engine.dialect.name == "sqlite":
        pytest.skip("on SQLite one writer waits for the other")
    account, subscription = desk.subscriber()
    desk.stripe.fail_payment(subscription)
    desk.deliver()
    desk.end_grace(account)

    def slow(session: Session, subject: Account) -> None:
        monkeypatch.undo()
        desk.stripe.recover_payment(subscription)
        desk.deliver()
        desk.stripe.fail_payment(subscription)
        desk.deliver()
        lock(session, subject)

    monkeypatch.setattr(subscriptions, "lock", slow)
    _end_graces(desk)
    assert desk.fresh(account).plan == "starter"
    assert desk.subscription(account).grace_until is not None, "the next missing payment has a grace of its own"


def _end_graces(desk: Desk) -> None:
    with desk.tools.databases.writing() as session:
        subscriptions.end_graces(session, desk.settings)


def _set_plan(desk: Desk, account: Account, plan: str) -> None:
    with desk.tools.databases.writing() as session:
        subscriptions.set_plan(session, session.get_one(Account, account.id), plan, OPERATOR, "a gift")


def test_what_the_operator_gave_outlives_an_old_subscription(desk: Desk) -> None:
    account, subscription = desk.subscriber("starter")
    _set_plan(desk, account, "studio")
    desk.stripe.cancel(subscription)
    desk.deliver()
    assert desk.fresh(account).plan == "studio"
    desk.subscribe(account, "creator")
    desk.deliver()
    assert desk.fresh(account).plan == "creator", "a person gets what they pay for"


def test_what_the_operator_gave_after_a_grace_stays(desk: Desk) -> None:
    account, subscription = desk.subscriber()
    desk.stripe.fail_payment(subscription)
    desk.deliver()
    desk.end_grace(account)
    _end_graces(desk)
    _set_plan(desk, account, "starter")
    _end_graces(desk)
    desk.stripe.cancel(subscription)
    desk.deliver()
    assert desk.fresh(account).plan == "starter"


def test_a_plan_change_tells_its_hooks_in_the_same_transaction(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    account = desk.world.account(plan="creator")

    def broken(*_: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(subscriptions, "_hooks", [broken])
    with pytest.raises(RuntimeError):
        _set_plan(desk, account, "free")
    assert desk.fresh(account).plan == "creator"
    assert desk.world.count(AuditEntry, AuditEntry.action == "account.plan_changed") == 0


def test_nobody_pays_for_two_plans(desk: Desk) -> None:
    account = desk.world.account(plan="free")
    pages = [desk.checkout(account, plan) for plan in ("starter", "studio")]
    small, large = (desk.stripe.pay_checkout(page) for page in pages)
    desk.deliver()
    assert desk.stripe.objects[small]["status"] == "canceled"
    assert desk.stripe.objects[large]["status"] == "active"
    desk.deliver()
    assert desk.fresh(account).plan == "studio"
    assert desk.mails() == ["plan", "second"]


def test_a_payment_that_is_not_known_here_yet_opens_no_second_checkout(desk: Desk) -> None:
    account = desk.world.account(plan="free")
    desk.subscribe(account)
    with pytest.raises(Invalid, match="have a plan already"):
        desk.checkout(account, "studio")
    assert desk.fresh(account).plan == "starter"


@pytest.mark.parametrize("plan", ["free", "gold", ""])
def test_only_paid_plans_have_a_checkout(desk: Desk, plan: str) -> None:
    with pytest.raises(Invalid):
        desk.checkout(desk.world.account(plan="free"), plan)
    assert desk.world.count(BillingCustomer) == 0


def test_a_plan_is_changed_at_once_or_not_at_all(desk: Desk) -> None:
    account, _ = desk.subscriber("starter")
    parts = (desk.tools.databases, desk.gateway, desk.settings, account.id)
    checkout.change_plan(*parts, "studio")
    assert desk.fresh(account).plan == "studio"
    desk.stripe.decline_cards(desk.customer(account))
    checkout.change_plan(*parts, "creator")
    assert desk.fresh(account).plan == "creator", "less costs nothing"
    with pytest.raises(GatewayRefused, match="declined"):
        checkout.change_plan(*parts, "studio")
    assert desk.fresh(account).plan == "creator"
    desk.stripe.declining.clear()
    checkout.change_plan(*parts, "studio")
    assert desk.fresh(account).plan == "studio", "the same card may be tried again"


def test_no_new_month_is_paid_for_that_a_cancellation_would_cut_short(desk: Desk) -> None:
    account, subscription = desk.subscriber("creator")
    parts = (desk.tools.databases, desk.gateway, desk.settings, account.id)
    desk.stripe.cancel(subscription, at_period_end=True)
    desk.deliver()
    paid = len(desk.stripe.all("invoice"))
    with pytest.raises(Invalid, match="Take the cancellation back first"):
        checkout.change_plan(*parts, "studio")
    assert len(desk.stripe.all("invoice")) == paid
    checkout.change_plan(*parts, "starter")
    assert desk.fresh(account).plan == "starter"


def test_the_first_payment_for_a_larger_plan_is_no_way_around_one_that_is_missing(desk: Desk) -> None:
    account, subscription = desk.subscriber("studio")
    parts = (desk.tools.databases, desk.gateway, desk.settings, account.id)
    desk.stripe.fail_payment(subscription)
    desk.deliver()
    checkout.change_plan(*parts, "starter")
    desk.stripe.declining.clear()  # it has enough for less
    with pytest.raises(Invalid, match="Pay it first"):
        checkout.change_plan(*parts, "creator")
    assert desk.subscription(account).status is SubscriptionStatus.PAST_DUE
    desk.stripe.recover_payment(subscription)
    desk.deliver()
    checkout.change_plan(*parts, "creator")
    assert desk.fresh(account).plan == "creator"


class Overtaken:
    """A gateway whose first read is slow: in the meantime something happens, and another read is done and written."""

    def __init__(self, desk: Desk, account: Account, meanwhile: str) -> None:
        self._desk, self._account, self._meanwhile = desk, account, meanwhile

    def __getattr__(self, name: str) -> object:
        return getattr(self._desk.gateway, name)

    def subscriptions_of(self, customer: str) -> list[object]:
        found = self._desk.gateway.subscriptions_of(customer)
        if self._meanwhile:
            subscription, self._meanwhile = self._meanwhile, ""
            self._desk.stripe.cancel(subscription)
            desk = self._desk
            refreshing.refresh_customer(desk.tools.databases, desk.gateway, desk.settings, self._account.id)
        return list(found)


def test_an_old_read_never_replaces_a_newer_one(desk: Desk) -> None:
    account, subscription = desk.subscriber()
    slow = Overtaken(desk, account, subscription)
    refreshing.refresh_customer(desk.tools.databases, slow, desk.settings, account.id)  # type: ignore[arg-type]
    assert desk.subscription(account).status is SubscriptionStatus.CANCELED
    assert desk.fresh(account).plan == "free"


def test_two_requests_at_once_make_one_customer(desk: Desk) -> None:
    account = desk.world.account(plan="free")
    parts = (desk.tools.databases, desk.gateway, account.id)
    with ThreadPoolExecutor(4) as pool:
        made = {done.result().external_id for done in [pool.submit(ensure_customer, *parts) for _ in range(4)]}
    assert len(made) == 1
    assert len(desk.stripe.all("customer")) == 1


def test_an_account_whose_customer_was_deleted_gets_another_one(desk: Desk) -> None:
    account, _ = desk.subscriber()
    gone = desk.customer(account)
    desk.gateway.delete_customer(gone, key="by hand")
    desk.deliver()
    assert desk.fresh(account).plan == "free"
    desk.stripe.answers.clear()  # an hour later
    desk.subscribe(account)
    desk.deliver()
    assert desk.customer(account) != gone
    assert desk.fresh(account).plan == "starter"


def test_overage_is_capped_by_the_holder_and_by_the_plan(desk: Desk) -> None:
    account, subscription = desk.subscriber("starter")
    for wrong in (-1, 300_001):
        with pytest.raises(Invalid):
            _cap(desk, account, wrong)
    _cap(desk, account, 300_000)
    assert desk.subscription(account).overage_cap == 300_000
    desk.stripe.fail_payment(subscription)
    desk.deliver()
    with pytest.raises(Invalid, match="good standing"):
        _cap(desk, account, 0)
    with pytest.raises(Invalid):
        _cap(desk, desk.world.account(plan="free"), 0)


def _cap(desk: Desk, account: Account, characters: int) -> None:
    with desk.tools.databases.writing() as session:
        fresh = session.get_one(Account, account.id)
        subscriptions.set_overage_cap(session, fresh, characters, actor_of(account))


def test_while_stripe_is_down_nothing_is_begun(desk: Desk) -> None:
    account = desk.world.account(plan="free")
    desk.stripe.go_down()
    with pytest.raises(GatewayDown):
        desk.checkout(account)
    assert desk.world.count(BillingCustomer) == 0
