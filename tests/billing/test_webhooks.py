"""The inbox of Stripe's events: over HTTP, in any order, more than once, forged, late, and while Stripe is down."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from app.accounts.models import Account, Standing
from app.accounts.signals import SignalKind
from app.api.webhooks import MAX_BODY
from app.billing import incoming, outgoing
from app.billing.models import SubscriptionStatus
from app.core.errands import Errand
from tests.billing.desk import Desk
from tests.harness import running

EVENTS, ACCOUNTS = (1_000, 20) if os.environ.get("VOUCH_TEST_FULL") == "1" else (250, 8)
"""`make test-long` has them all; the short form meets the same kinds of events."""
Told = tuple[bytes, str]


@pytest.fixture
def web(desk: Desk) -> Iterator[httpx2.Client]:
    """A client of the running service, which does no errands by itself."""
    with running(desk.settings, worker=False) as service, service.client() as client:
        yield client


def post(web: httpx2.Client, told: Told) -> httpx2.Response:
    """Tell as Stripe does."""
    body, signature = told
    return web.post("/webhooks/stripe", content=body, headers={"stripe-signature": signature})


@pytest.mark.slow
def test_events_in_any_order_end_where_stripe_is(desk: Desk, web: httpx2.Client) -> None:
    chance = random.Random(20261123)
    accounts = [desk.world.account(plan="free", verified=False) for _ in range(ACCOUNTS)]
    story = Story(desk, chance, accounts)
    posts: list[tuple[Told, int]] = []
    told = 0
    while told < EVENTS:
        for _ in range(80):
            story.go_on()
        events = desk.stripe.events()[told:]
        told += len(events)
        posts += [(desk.stripe.signed(event), 200) for event in events for _ in range(chance.randint(1, 3))]
        forged = [desk.stripe.signed(event, secret="whsec_guess") for event in chance.sample(events, 5)]
        late = [desk.stripe.signed(event, at=time.time() - 301) for event in chance.sample(events, 5)]
        posts += [(each, 400) for each in (*forged, *late)]
        chance.shuffle(posts)
        now_, posts = posts[: len(posts) // 2], posts[len(posts) // 2 :]  # the rest comes when more has happened
        _tell(desk, web, now_)
    _tell(desk, web, posts)
    assert [each.key for each in desk.undone() if not each.key.startswith("redact-later:")] == []
    assert {str(account.id): _known(desk, account) for account in accounts} == {
        str(account.id): story.model(account) for account in accounts
    }
    assert desk.world.count(Errand, Errand.kind == incoming.EVENT) == told >= EVENTS
    second = [name for name in desk.mails() if name == "second"]
    assert second == [], "nobody was charged for two plans"


def _tell(desk: Desk, web: httpx2.Client, posts: list[tuple[Told, int]]) -> None:
    for each, status in posts:
        assert post(web, each).status_code == status
    desk.work()


def _known(desk: Desk, account: Account) -> dict[str, Any]:
    """What Vouch has in the end."""
    fresh, subscription = desk.fresh(account), desk.subscription(account)
    return {
        "plan": fresh.plan,
        "subscription": subscription.external_id,
        "status": subscription.status.value,
        "ends": subscription.cancel_at_period_end,
        "verified": fresh.verified_at is not None,
        "restricted": fresh.state is Standing.RESTRICTED,
        "signals": {signal.reference: signal.closed_at is None for signal in desk.signals(account)},
        "billed": desk.stripe.billed_characters(desk.customer(account)),
    }


class Story:
    """Things that happen to some people at Stripe, and what must follow from them."""

    def __init__(self, desk: Desk, chance: random.Random, accounts: list[Account]) -> None:
        self.desk, self.chance, self.accounts = desk, chance, accounts
        self.used: Counter[str] = Counter()
        for account in accounts:
            desk.subscribe(account, chance.choice(["starter", "creator", "studio"]))
        for account in accounts:
            self._check(account)

    def _check(self, account: Account) -> None:
        check = self.desk.start_verification(account)
        self.desk.stripe.refuse_identity(check)
        if self.chance.random() < 0.6:
            self.desk.stripe.process_identity(check)
            self.desk.stripe.verify_identity(check, "Ada", "Lovelace")

    def _live(self, account: Account) -> dict[str, Any] | None:
        held = self.desk.stripe.all("subscription", customer=self.desk.customer(account))
        return next((each for each in held if each["status"] != "canceled"), None)

    def go_on(self) -> None:
        """One more thing happens."""
        account, stripe = self.chance.choice(self.accounts), self.desk.stripe
        customer, live = self.desk.customer(account), self._live(account)
        if live is None:
            self.desk.subscribe(account, self.chance.choice(["starter", "creator", "studio"]))
            return
        missing = live["status"] != "active"
        happening = self.chance.choice(
            ["card", "month", "month", "plan", "dispute", "refund", "warning", "use", "missing", "end"]
        )
        if missing:
            stripe.recover_payment(live["id"])
        elif happening == "card":
            stripe.change_card(customer, self.chance.choice(["4242424242424242", "5555555555554444"]))
        elif happening == "month":
            stripe.advance_period(live["id"])
        elif happening == "plan":
            plan = self.chance.choice(["starter", "creator", "studio"])
            stripe.change_plan(live["id"], f"vouch_{plan}", f"vouch_{plan}_overage")
        elif happening == "missing":
            stripe.fail_payment(live["id"])
            if self.chance.random() < 0.5:
                stripe.give_up_payment(live["id"])
        elif happening == "end" and self.chance.random() < 0.1:
            stripe.cancel(live["id"], at_period_end=self.chance.random() < 0.5)
        elif happening == "use":
            self._use(account)
        elif self.chance.random() < 0.3:
            self._complain(happening, stripe.charges_of(customer)[0])

    def _complain(self, happening: str, charge: str) -> None:
        stripe = self.desk.stripe
        if happening == "dispute":
            dispute = stripe.open_dispute(charge)
            if self.chance.random() < 0.7:
                stripe.close_dispute(dispute, self.chance.choice(["won", "lost"]))
        elif happening == "refund":
            stripe.refund(charge)
        elif happening == "warning":
            stripe.warn_of_fraud(charge)

    def _use(self, account: Account) -> None:
        """A clip beyond the allowance, whose settlement is written down twice."""
        characters, generation = self.chance.randint(1, 5_000), uuid.UUID(int=self.chance.getrandbits(128))
        for _ in range(2):
            with self.desk.tools.databases.writing() as session:
                outgoing.bill_overage(session, account, generation, characters)
        self.used[str(account.id)] += characters

    def model(self, account: Account) -> dict[str, Any]:
        """What must follow from what Stripe knows in the end. Grace is a week, so a missing payment keeps the plan."""
        stripe, customer = self.desk.stripe, self.desk.customer(account)
        newest = self._live(account) or stripe.all("subscription", customer=customer)[0]
        alive = newest["status"] != "canceled"
        plan = newest["items"]["data"][0]["price"]["lookup_key"].removeprefix("vouch_")
        charges = {each["id"]: each for each in stripe.all("charge", customer=customer)}
        disputes = {each["id"]: each["status"] != "won" for each in stripe.all("dispute") if each["charge"] in charges}
        warnings = {each["id"]: True for each in stripe.all("radar.early_fraud_warning") if each["charge"] in charges}
        refunds = {f"{each['id']}/whole": True for each in charges.values() if each["refunded"]}
        (check,) = (
            each
            for each in stripe.all("identity.verification_session")
            if each["client_reference_id"] in {str(row.id) for row in self.desk.checks(account)}
        )
        signals = {**disputes, **warnings, **refunds}
        return {
            "plan": plan if alive else "free",
            "subscription": newest["id"],
            "status": newest["status"],
            "ends": newest["cancel_at_period_end"],
            "verified": check["status"] == "verified",
            "restricted": any(signals.values()),
            "signals": signals,
            "billed": self.used[str(account.id)],
        }


def test_an_answer_is_quick_and_empty_and_nothing_is_done_yet(desk: Desk, web: httpx2.Client) -> None:
    account = desk.world.account(plan="free")
    desk.subscribe(account)
    for event in desk.stripe.events():
        answer = post(web, desk.stripe.signed(event))
        assert (answer.status_code, answer.content) == (200, b"")
    assert desk.fresh(account).plan == "free"
    desk.work()
    assert desk.fresh(account).plan == "starter"


def test_what_is_not_signed_now_by_stripe_is_refused(desk: Desk, web: httpx2.Client) -> None:
    desk.subscribe(desk.world.account(plan="free"))
    event = desk.stripe.events()[0]
    body, signature = desk.stripe.signed(event)
    wrong = [
        desk.stripe.signed(event, secret="whsec_other"),
        desk.stripe.signed(event, at=time.time() - 301),
        (body + b" ", signature),
        (body, ""),
        (body, "t=1,v1=00"),
        (b"", signature),
    ]
    for told in wrong:
        answer = post(web, told)
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "webhook.signature"
    assert desk.world.count(Errand, Errand.kind == incoming.EVENT) == 0


def test_signed_nonsense_is_refused_and_unknown_types_are_let_go(desk: Desk, web: httpx2.Client) -> None:
    for nonsense in ([], {"id": 5}, {"id": "evt_1", "type": "x", "created": "soon", "data": {}}):
        assert post(web, desk.stripe.signed(nonsense)).status_code == 400  # type: ignore[arg-type]
    about = {"id": "pi_1", "object": "payment_intent", "customer": None}
    event = {"id": "evt_1", "type": "payment_intent.created", "created": 1, "data": {"object": about}}
    assert post(web, desk.stripe.signed(event)).status_code == 200
    assert desk.world.count(Errand) == 0


def test_no_event_is_larger_than_a_quarter_mebibyte(desk: Desk, web: httpx2.Client) -> None:
    assert post(web, (b"x" * (MAX_BODY + 1), "t=1,v1=00")).status_code == 413


def test_customers_of_another_product_are_left_alone(desk: Desk) -> None:
    stranger = desk.gateway.create_customer(reference="shop", email="shop@example.org", key="shop")
    desk.stripe.change_card(stranger, "4242424242424242")
    account, _ = desk.subscriber()
    assert desk.fresh(account).plan == "starter"
    assert desk.undone() == []


def test_events_wait_until_stripe_answers_again(desk: Desk, web: httpx2.Client) -> None:
    account = desk.world.account(plan="free")
    desk.subscribe(account)
    desk.stripe.go_down()
    for event in desk.stripe.events():
        assert post(web, desk.stripe.signed(event)).status_code == 200
    desk.work()
    waiting = desk.undone(incoming.EVENT)
    assert len(waiting) == len(desk.stripe.events())
    assert {each.problem for each in waiting} == {"The payment provider does not answer at the moment."}
    desk.stripe.come_back()
    desk.due_now()
    desk.work()
    assert desk.undone() == []
    assert desk.fresh(account).plan == "starter"


def test_two_handlers_at_once_do_no_harm(desk: Desk) -> None:
    account, subscription = desk.subscriber()
    desk.stripe.fail_payment(subscription)
    desk.stripe.open_dispute(desk.stripe.charges_of(desk.customer(account))[0])
    desk.tell(desk.stripe.events())
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(desk.work) for _ in range(4)]:
            done.result()
    desk.due_now()  # one that was overtaken four times would try again
    desk.work()
    assert desk.undone() == []
    assert desk.subscription(account).status is SubscriptionStatus.PAST_DUE
    assert [signal.kind for signal in desk.signals(account)] == [SignalKind.DISPUTE]
    assert sorted(desk.mails()) == ["payment-missing", "plan"]
