"""The sandbox over HTTP: the way from a plan to a verified person, all that can go wrong, and whose it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from app.accounts.models import Account, Standing
from app.accounts.rules import is_verified
from app.billing import checkout, sandbox_world, verification
from app.billing.customers import customer_of
from app.billing.gateway import Gateway
from app.billing.models import SandboxObject, Subscription
from app.core.db import now
from app.core.errands import Errand
from app.core.errors import Invalid
from app.settings import Settings
from tests.harness import Service, running
from tests.pages.browsing import Page, Visitor, visitor
from workers import errands
from workers.tools import Tools


@pytest.fixture
def service(settings: Settings) -> Iterator[Service]:
    """A running Vouch whose payments are pretended; errands are done when a test says so."""
    with running(settings, worker=False) as running_service:
        yield running_service


@pytest.fixture
def tools(settings: Settings) -> Iterator[Tools]:
    """What errands are done with."""
    made = Tools(settings)
    yield made
    made.databases.close()


class Guest:
    """Somebody at the sandbox."""

    def __init__(self, service: Service, tools: Tools) -> None:
        self.service, self.tools = service, tools
        self.visitor = Visitor.of(service, service.world.newcomer(plan="free", verified=False))
        self.id = self.visitor.account.id

    @property
    def gateway(self) -> Gateway:
        assert self.tools.gateway is not None
        return self.tools.gateway

    def checkout(self, plan: str = "starter") -> str:
        """The page to pay at."""
        return checkout.begin(self.tools.databases, self.gateway, self.tools.settings, self.id, plan)

    def subscribe(self, plan: str = "starter", card: str = "good") -> None:
        """Pay, and let Vouch hear of it."""
        answer = self.visitor.post(self.checkout(plan), card=card)
        assert (answer.status_code, answer.headers["location"]) == (303, checkout.PAID_PATH)
        errands.run_due(self.tools)

    def portal(self) -> str:
        """The page where things are made to happen."""
        return checkout.portal(self.tools.databases, self.gateway, self.tools.settings, self.id)

    def press(self, action: str, choice: str = "") -> Page:
        """Press a button, and let Vouch hear of it."""
        answer = self.visitor.post(self.portal(), action=action, choice=choice)
        assert answer.status_code == 303, Page.read(answer.text).text
        errands.run_due(self.tools)
        return Page.read(self.visitor.get(answer.headers["location"]).text)

    def identity(self) -> str:
        """The page of the pretended check."""
        back = "https://elsewhere.example/account/identity"
        return verification.start(self.tools.databases, self.gateway, self.tools.settings, self.id, back)

    def now(self) -> Account:
        """The account as it is."""
        found: Account = self.service.world.get(Account, self.id)
        return found


@pytest.fixture
def arrive(service: Service, tools: Tools) -> Iterator[Callable[[], Guest]]:
    """Makes people who are signed in."""
    with ExitStack() as browsers:

        def come() -> Guest:
            guest = Guest(service, tools)
            browsers.callback(guest.visitor.client.close)
            return guest

        yield come


@pytest.fixture
def guest(arrive: Callable[[], Guest]) -> Guest:
    """Somebody who is signed in."""
    return arrive()


def test_from_a_plan_to_a_verified_person(guest: Guest) -> None:
    page = guest.checkout("creator")
    shown = Page.read(guest.visitor.get(page).text)
    assert "This is a sandbox. No money moves here" in shown.text
    assert "22.00 EUR a month: 120,000 characters" in shown.text
    guest.subscribe("creator")
    assert guest.now().plan == "creator"
    check = guest.identity()
    assert "This is a sandbox. Nobody is checked" in Page.read(guest.visitor.get(check).text).text
    answer = guest.visitor.post(check, outcome="verified", name="Ada Lovelace")
    assert answer.headers["location"] == "/account/identity", "back to the same server, whatever its address"
    errands.run_due(guest.tools)
    assert is_verified(guest.now().verified_at, guest.now().recheck_by, now())


def test_a_declined_card_pays_nothing_and_another_one_may_be_tried(guest: Guest) -> None:
    page = guest.checkout()
    answer = guest.visitor.post(page, card="declined")
    assert answer.status_code == 422
    assert "The card was declined." in answer.text
    errands.run_due(guest.tools)
    assert guest.now().plan == "free"
    assert guest.visitor.post(page, card="good").status_code == 303
    assert "This was paid already." in guest.visitor.post(page, card="good").text
    assert len(guest.service.world.rows(_objects("subscription"))) == 1


def _objects(kind: str) -> object:
    return select(SandboxObject).where(SandboxObject.kind == kind)


def test_a_click_that_is_repeated_opens_the_same_checkout(guest: Guest) -> None:
    assert guest.checkout() == guest.checkout()
    assert guest.checkout("studio") != guest.checkout()


def test_what_can_happen_to_a_subscription(guest: Guest) -> None:
    guest.subscribe()
    assert "Vouch hears of it" in guest.press("fail").text
    assert "A payment is missing." in Page.read(guest.visitor.get(guest.portal()).text).text
    (held,) = guest.service.world.rows(select(Subscription))
    assert held.status.value == "past_due"
    guest.press("recover")
    guest.press("plan", "studio")
    assert guest.now().plan == "studio"
    guest.press("cancel_later")
    guest.press("resume")
    guest.press("next")
    assert guest.now().plan == "studio"
    guest.press("cancel")
    assert guest.now().plan == "free"
    answer = guest.visitor.post(guest.portal(), action="next")
    assert answer.status_code == 422
    assert "There is no subscription now." in answer.text


def test_what_can_happen_to_a_payment(guest: Guest) -> None:
    guest.subscribe()
    guest.press("dispute")
    assert guest.now().state is Standing.RESTRICTED
    guest.press("won")
    assert guest.now().state is Standing.ACTIVE
    guest.press("warning")
    assert guest.now().state is Standing.RESTRICTED


def test_a_card_that_declines_can_be_chosen_and_fails_when_it_should_pay(guest: Guest) -> None:
    guest.subscribe()
    guest.press("card", "declined")
    answer = guest.visitor.post(guest.portal(), action="plan", choice="studio")
    assert (answer.status_code, "The card was declined." in answer.text) == (422, True)
    guest.press("next")
    (held,) = guest.service.world.rows(select(Subscription))
    assert (held.status.value, guest.now().plan) == ("past_due", "starter")


def test_a_shared_card_gives_a_banned_persons_next_account_away(service: Service, arrive: Callable[[], Guest]) -> None:
    first, second = arrive(), arrive()
    first.subscribe(card="shared")
    service.world.set_standing(first.visitor.account, Standing.BANNED)
    second.subscribe(card="shared")
    assert second.now().state is Standing.RESTRICTED


def test_a_refused_document_may_be_shown_again(guest: Guest) -> None:
    page = guest.identity()
    guest.visitor.post(page, outcome="refused", problem="document_expired")
    errands.run_due(guest.tools)
    assert guest.now().verified_at is None
    assert guest.identity() == page
    assert guest.visitor.post(page, outcome="verified", name=" ").status_code == 422
    guest.visitor.post(page, outcome="verified", name="Ada")
    errands.run_due(guest.tools)
    assert guest.now().verified_at is not None
    assert "This check is over." in guest.visitor.get(page).text
    assert guest.visitor.post(page, outcome="verified", name="Bob").status_code == 422


def test_a_period_that_is_over_begins_anew_with_the_usage_on_the_invoice(guest: Guest) -> None:
    guest.subscribe()
    with guest.tools.databases.reading() as session:
        customer = customer_of(session, guest.id)
    assert customer is not None
    for _ in range(2):
        guest.gateway.record_usage(customer=customer.external_id, identifier="one", characters=2_000, at=now())
    (held,) = guest.service.world.rows(_objects("subscription"))
    past = {**held.data, "period_end": now().isoformat()}
    with guest.tools.databases.writing() as session:
        session.execute(update(SandboxObject).where(SandboxObject.id == held.id).values(data=past))
    with guest.tools.databases.writing() as session:
        sandbox_world.renew_due(session, guest.tools.settings)
    errands.run_due(guest.tools)
    newest, *_ = guest.gateway.invoices(customer.external_id)
    assert newest.total_cents == 600 + 60
    (known,) = guest.service.world.rows(select(Subscription))
    assert known.period_start.isoformat() == past["period_end"]


def test_usage_is_billed_once_whether_a_larger_plan_or_time_ends_the_period(guest: Guest) -> None:
    guest.subscribe()
    with guest.tools.databases.reading() as session:
        customer = customer_of(session, guest.id)
    assert customer is not None
    guest.gateway.record_usage(customer=customer.external_id, identifier="one", characters=2_000, at=now())
    guest.press("plan", "studio")
    guest.press("next")
    invoices = guest.gateway.invoices(customer.external_id)
    assert [invoice.total_cents for invoice in invoices] == [9_900, 9_900 + 60, 600]


def test_nobody_sees_or_presses_what_is_somebody_elses(service: Service, arrive: Callable[[], Guest]) -> None:
    guest, other = arrive(), arrive()
    guest.subscribe()
    pages = [guest.portal(), guest.identity()]
    (paid,) = service.world.rows(_objects("checkout"))
    for page in [*pages, f"/sandbox/checkout/{paid.id}", f"/sandbox/portal/{paid.id}", "/sandbox/identity/none"]:
        assert other.visitor.get(page).status_code == 404
        assert other.visitor.post(page, action="cancel", outcome="verified", name="Eve", card="good").status_code == 404
        with visitor(service) as stranger:
            assert stranger.get(page).headers["location"].startswith("/login")
    assert guest.now().plan == "starter"


@pytest.mark.parametrize("action", ["", "explode", "card", "plan"])
def test_buttons_that_there_are_not_do_nothing(guest: Guest, action: str) -> None:
    guest.subscribe()
    assert guest.visitor.post(guest.portal(), action=action, choice="gold").status_code == 422
    assert guest.visitor.get(f"{guest.portal()}?done=<b>").status_code == 200


def test_there_is_no_sandbox_where_payments_are_real(settings: Settings, tools: Tools) -> None:
    real = settings.model_copy(
        update={"billing": settings.billing.model_copy(update={"stripe_secret_key": SecretStr("sk_test_x")})}
    )
    with running(real, worker=False) as service, ExitStack() as browsers:
        guest = Guest(service, tools)
        browsers.callback(guest.visitor.client.close)
        for page in (guest.checkout(), guest.portal(), guest.identity()):
            assert guest.visitor.get(page).status_code == 404
            assert guest.visitor.post(page, card="good", action="card", outcome="verified").status_code == 404


def test_nobody_can_send_the_sandbox_an_event(service: Service, guest: Guest) -> None:
    with pytest.raises(Invalid):
        guest.gateway.read_event(b"{}", "t=1,v1=00")
    with service.client() as client:
        assert client.post("/webhooks/stripe", content=b"{}", headers={"stripe-signature": "t=1"}).status_code == 400
    assert service.world.count(Errand) == 0
