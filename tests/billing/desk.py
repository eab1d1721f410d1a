"""Everything around the payment provider in one hand: a small Stripe, the gateway to it, accounts, and the errands."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from app.accounts.models import Account
from app.accounts.signals import Signal
from app.billing import checkout, incoming, verification
from app.billing.customers import customer_of
from app.billing.models import Subscription, Verification
from app.billing.stripe_gateway import StripeGateway
from app.core.db import now
from app.core.errands import Errand
from app.settings import Settings
from tests.stripe_fake import GOOD_CARD, StripeWorld, billing
from tests.world import World
from workers import errands
from workers.tools import Tools


def with_stripe(settings: Settings, stripe_world: StripeWorld) -> Settings:
    """The same settings, with the small Stripe as the payment provider."""
    given = {name: SecretStr(text) if "secret" in name else text for name, text in billing(stripe_world).items()}
    return settings.model_copy(update={"billing": settings.billing.model_copy(update=given)})


@dataclass
class Desk:
    """Verbs of tests. Whatever follows from an event has followed once `deliver` is back."""

    stripe: StripeWorld
    gateway: StripeGateway
    world: World
    tools: Tools

    @property
    def settings(self) -> Settings:
        """With Stripe in them."""
        return self.tools.settings

    def customer(self, account: Account) -> str:
        """The id that Stripe knows an account by."""
        with self.tools.databases.reading() as session:
            known = customer_of(session, account.id)
        assert known is not None
        return known.external_id

    def checkout(self, account: Account, plan: str = "starter") -> str:
        """The address of the checkout page."""
        return checkout.begin(self.tools.databases, self.gateway, self.settings, account.id, plan)

    def subscribe(self, account: Account, plan: str = "starter", card: str = GOOD_CARD) -> str:
        """Pay for a plan; gives the id of the subscription. Nothing follows until `deliver`."""
        return self.stripe.pay_checkout(self.checkout(account, plan), card)

    def subscriber(self, plan: str = "starter", card: str = GOOD_CARD) -> tuple[Account, str]:
        """An account on a paid plan, and its subscription."""
        account = self.world.account(plan="free")
        subscription = self.subscribe(account, plan, card)
        self.deliver()
        return account, subscription

    def deliver(self, shuffle: random.Random | None = None) -> None:
        """Have all events so far told again, and do what follows."""
        events = self.stripe.events()
        if shuffle is not None:
            shuffle.shuffle(events)
        self.tell(events)
        self.work()

    def tell(self, events: Sequence[dict[str, Any]]) -> None:
        """Put events into the inbox."""
        for event in events:
            facts = self.gateway.read_event(*self.stripe.signed(event))
            with self.tools.databases.writing() as session:
                incoming.write_down(session, facts)

    def work(self) -> None:
        """Do the errands that are due. Mails land in a folder."""
        errands.run_due(self.tools)

    def due_now(self) -> None:
        """Time passes: every errand that waits is due."""
        with self.tools.databases.writing() as session:
            session.execute(update(Errand).where(Errand.done_at.is_(None)).values(due_at=now()))

    def undone(self, kind: str | None = None) -> list[Errand]:
        """Errands that wait."""
        query = select(Errand).where(Errand.done_at.is_(None))
        return self.world.rows(query if kind is None else query.where(Errand.kind == kind))

    def fresh(self, account: Account) -> Account:
        """An account as it is now."""
        found: Account = self.world.get(Account, account.id)
        return found

    def subscription(self, account: Account) -> Subscription:
        """What is known of an account's subscription."""
        (found,) = self.world.rows(select(Subscription).where(Subscription.account_id == account.id))
        assert isinstance(found, Subscription)
        return found

    def signals(self, account: Account) -> list[Signal]:
        """All signals about an account, oldest first."""
        return self.world.rows(select(Signal).where(Signal.account_id == account.id).order_by(Signal.id))

    def mails(self) -> list[str]:
        """Subjects of the mails so far, in the order of their sending."""
        sent = self.world.rows(select(Errand.key).where(Errand.kind == "mail").order_by(Errand.id))
        return [key.split(":")[1] for key in sent]

    def start_verification(self, account: Account) -> str:
        """Begin a check; gives Stripe's id of it."""
        url = verification.start(self.tools.databases, self.gateway, self.settings, account.id, "https://vouch.test/")
        return url.rsplit("/", 1)[-1]

    def verify(self, account: Account, first: str = "Ada", last: str = "Lovelace") -> str:
        """Have a person proved; gives Stripe's id of the check. Nothing follows until `deliver`."""
        check = self.start_verification(account)
        self.stripe.verify_identity(check, first, last)
        return check

    def checks(self, account: Account) -> list[Verification]:
        """All proofs of an account, oldest first."""
        query = select(Verification).where(Verification.account_id == account.id).order_by(Verification.id)
        return self.world.rows(query)

    def end_grace(self, account: Account) -> datetime:
        """Time passes: the grace of a subscription is over. Gives when it ended."""
        moment = now()
        with self.tools.databases.writing() as session:
            session.execute(
                update(Subscription).where(Subscription.account_id == account.id).values(grace_until=moment)
            )
        return moment


@contextmanager
def open_desk(settings: Settings, stripe_world: StripeWorld) -> Iterator[Desk]:
    """A desk on a migrated database."""
    tools = Tools(with_stripe(settings, stripe_world))
    gateway = tools.gateway
    assert isinstance(gateway, StripeGateway)
    yield Desk(stripe_world, gateway, World(tools.settings, tools.databases), tools)
    tools.databases.close()


@pytest.fixture
def desk(settings: Settings, stripe_world: StripeWorld) -> Iterator[Desk]:
    """A desk, on one database after the other."""
    with open_desk(settings, stripe_world) as opened:
        yield opened
