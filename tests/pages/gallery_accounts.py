"""Accounts in every state that their pages can show, and the pages for people who have none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta

import httpx2

from app.accounts import links
from app.accounts.models import TokenPurpose
from app.billing.subscriptions import set_overage_cap
from app.billing.verification import rename_account
from tests.harness import Service
from tests.pages.browsing import OWN_FORM, Page, Visitor
from tests.pages.paying import Payer
from tests.world import World, actor_of
from workers.tools import Tools

PASSWORD = "seven quiet otters row"
SIGN_UP = {"name": "Grace Hopper", "email": "grace@example.org", "password": PASSWORD, "agree": "yes"}


@dataclass(frozen=True)
class Crowd:
    """People, by a name for their state, and what their pages show: state to path and words."""

    people: dict[str, Visitor]
    shown: dict[str, tuple[str, str]]
    """The fragment of a path says who looks at it."""


@contextmanager
def tools_of(service: Service) -> Iterator[Tools]:
    """What errands of the service are done with."""
    tools = Tools(service.settings)
    with closing(tools.databases):
        yield tools


def gather(service: Service) -> Crowd:
    """Make them all."""
    with tools_of(service) as tools:
        people = {name: Payer(service, tools) for name in _WORDS}
        people["paying"].subscribe().prove()
        _spend(service.world, people["paying"])
        people["owing"].subscribe("starter").press("fail").show_bad_document()
        people["leaving"].subscribe("starter").press("cancel_later").have_it_looked_at()
        people["other card"].subscribe("starter").prove().press("card", "other")
        _rename(service, people["other name"].subscribe("starter").prove())
        sandbox = {
            "sandbox checkout": (people["new"].checkout_page(), "Pay with", "new"),
            "sandbox portal": (people["paying"].portal_page(), "Creator", "paying"),
            "sandbox identity": (people["new"].check_page(), "Name on the pretended document", "new"),
        }
    shown = {f"{name}: {path}": (f"{path}#{name}", said) for name, pages in _WORDS.items() for path, said in pages}
    shown |= {name: (f"{path}#{whose}", said) for name, (path, said, whose) in sandbox.items()}
    return Crowd({name: person.visitor for name, person in people.items()}, shown)


_WORDS = {
    "new": (
        ("/", "Your way to the first clip"),
        ("/account/plan", "Choose Creator"),
        ("/account/plan?checkout=done", "We wait for the payment provider"),
        ("/account/usage", "Nothing was spoken since"),
        ("/account/invoices", "There are no invoices yet."),
        ("/account/identity", "Not verified yet"),
        ("/account", "Not verified: needed before you clone a voice"),
    ),
    "paying": (
        ("/account/plan", "Change to Studio"),
        ("/account/usage", "1,000 beyond the allowance, 0.24 EUR"),
        ("/account/invoices", "SANDBOX-0001"),
        ("/account/identity", "Verified since"),
        ("/account/profile", "You are verified under this name"),
    ),
    "owing": (
        ("/account/plan", "Your last payment did not go through. Your voices stay until"),
        ("/account/invoices", "To be paid"),
        ("/account/identity", "The document is no longer valid. Start again with one that is."),
    ),
    "leaving": (
        ("/account/plan", "You have cancelled: the plan ends on"),
        ("/account/identity", "Being looked at"),
    ),
    "other card": (("/account/identity", "Please verify again by"),),
    "other name": (("/account/identity", "the old check no longer counts"),),
}


def _spend(world: World, person: Payer) -> None:
    """Two days of clips, the last beyond the allowance."""
    with world.databases.writing() as session:
        set_overage_cap(session, session.merge(person.account), 50_000, actor_of(person.account))
    world.spend(person.account, 118_500)
    world.spend(person.account, 2_500)


def _rename(service: Service, person: Payer) -> None:
    with service.world.databases.writing() as session:
        account = session.merge(person.account)
        rename_account(session, account, "Another Person", actor_of(account), service.settings)


def outside(service: Service) -> dict[str, tuple[httpx2.Response, Page]]:
    """What somebody without an account sees, by name."""
    with httpx2.Client(base_url=service.url, headers=OWN_FORM, timeout=30) as client:
        answers = {"look into the mail": client.post("/sign-up", data=SIGN_UP)}
        answers |= {path: client.get(path) for path in outside_paths(service)}
        answers["nothing filled in"] = client.post("/sign-up")
        answers["mail for a new password"] = client.post("/password/forgotten", data={"email": SIGN_UP["email"]})
        answers["dead link"] = client.get("/sign-up/confirm", params={"token": "made-up"})
    return {name: (answer, Page.read(answer.text)) for name, answer in answers.items()}


def outside_paths(service: Service) -> list[str]:
    """Every page that opens without an account; the links of mails lead to somebody new."""
    made = service.world.newcomer().account
    with service.world.databases.writing() as session:
        mailed = [
            f"{links.PAGES[purpose]}?token={links.issue(session, made.id, purpose, timedelta(hours=1))}"
            for purpose in (TokenPurpose.VERIFY_EMAIL, TokenPurpose.RESET_PASSWORD)
        ]
    return ["/", "/login", "/plans", "/sign-up", "/password/forgotten", "/detect", "/verify-receipt", *mailed]
