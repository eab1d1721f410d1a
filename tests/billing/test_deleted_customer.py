"""A customer that somebody deleted at the payment provider: the account starts anew there, and is not locked out."""

from __future__ import annotations

from tests.billing.desk import Desk


def test_an_account_whose_customer_was_deleted_can_buy_again(desk: Desk) -> None:
    account, _ = desk.subscriber("starter")
    before = desk.customer(account)
    _forget_idempotent_answers(desk)
    desk.gateway.delete_customer(before, key="by hand")
    subscription = desk.subscribe(account, "creator")
    desk.deliver()
    assert desk.customer(account) != before
    assert desk.subscription(account).external_id == subscription
    assert desk.fresh(account).plan == "creator"


def _forget_idempotent_answers(desk: Desk) -> None:
    """Days pass: the provider no longer gives the old answer for the old key."""
    desk.stripe.answers.clear()
