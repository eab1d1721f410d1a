"""The plan page over HTTP: buying, changing, cancelling, overage, and a provider that does not answer or is none."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx2
import pytest

from app.accounts.registration import NewAccount
from app.billing.customers import customer_of
from app.billing.models import Subscription
from app.billing.queries import subscription_of
from tests.harness import Service
from tests.pages.browsing import Page, Visitor
from tests.pages.paying import Payer, provider_down

Visit = Callable[[Service, NewAccount], Visitor]
PLAN = "/account/plan"


def read(person: Payer, path: str = PLAN) -> Page:
    answer = person.visitor.get(path)
    assert answer.status_code == 200
    return Page.read(answer.text)


def subscription(person: Payer) -> Subscription:
    with person.tools.databases.reading() as session:
        found = subscription_of(session, person.id)
    assert found is not None
    return found


def test_the_price_page_is_for_everybody_and_says_what_each_plan_has(stranger: httpx2.Client) -> None:
    said = Page.read(stranger.get("/plans").text).text
    for words in ("22 EUR a month", "120,000 characters a month", "10 cloned voices", "Stock voices only"):
        assert words in said


def test_choosing_leads_to_the_checkout_and_back_to_a_plan_that_is_there(payer: Payer) -> None:
    assert "Choose Creator" in read(payer).text
    chosen = payer.visitor.post(PLAN, plan="creator")
    assert chosen.status_code == 303
    assert re.fullmatch(r"/sandbox/checkout/\S+", chosen.headers["location"])
    waiting = read(payer, f"{PLAN}?checkout=done")
    assert "We wait for the payment provider" in waiting.text, "coming back is not paying"
    assert ("post", PLAN) not in waiting.forms, "and nothing there invites to pay twice"
    assert payer.account.plan == "free"
    paid = payer.visitor.post(chosen.headers["location"], card="good")
    assert paid.headers["location"] == f"{PLAN}?checkout=done"
    said = read(payer, paid.headers["location"]).text  # no event has been worked off: the page asks the provider itself
    assert "Thank you. You are on the Creator plan now." in said
    assert "verify your identity" in said
    assert payer.account.plan == "creator"


def test_a_live_plan_is_changed_at_once_and_no_second_one_is_bought(payer: Payer) -> None:
    payer.subscribe("starter")
    held = subscription(payer).external_id
    changed = payer.visitor.post(PLAN, plan="studio")
    assert (changed.status_code, changed.headers["location"]) == (303, PLAN)
    assert (payer.account.plan, subscription(payer).external_id) == ("studio", held)
    assert "Change to Starter" in read(payer).text


@pytest.mark.parametrize("plan", ["", "free", "gold", "creator' --"])
def test_a_plan_that_is_not_for_sale_is_refused_in_words(payer: Payer, plan: str) -> None:
    answer = payer.visitor.post(PLAN, plan=plan)
    assert answer.status_code == 422
    assert "There is no such paid plan." in Page.read(answer.text).text


def test_a_declined_card_leaves_the_plan_and_says_so(payer: Payer) -> None:
    payer.subscribe("starter").press("card", "declined")
    answer = payer.visitor.post(PLAN, plan="studio")
    assert answer.status_code == 422
    assert "The card was declined." in Page.read(answer.text).text
    assert payer.account.plan == "starter"


def test_the_card_is_managed_at_the_provider_by_who_pays(payer: Payer) -> None:
    none_yet = payer.visitor.post(f"{PLAN}/manage")
    assert (none_yet.status_code, "Choose a plan first." in none_yet.text) == (422, True)
    payer.subscribe()
    assert payer.visitor.post(f"{PLAN}/manage").headers["location"].startswith("/sandbox/portal/")


def test_what_happens_to_the_plan_is_said_with_its_day(payer: Payer) -> None:
    payer.subscribe().press("cancel_later")
    assert "You have cancelled: the plan ends on" in read(payer).text
    payer.press("resume").press("fail")
    said = read(payer).text
    assert "Your last payment did not go through. Your voices stay until" in said
    assert "Pay, or change the card" in said
    payer.press("recover")
    assert "did not go through" not in read(payer).text
    payer.press("cancel")
    assert "Choose Creator" in read(payer).text


def test_overage_is_off_until_it_is_switched_on_with_a_cap_and_its_price(payer: Payer) -> None:
    assert "When the characters run out" not in read(payer).text
    payer.subscribe("creator")
    assert "What is set now costs at most 0.00 EUR a month more." in read(payer).text
    saved = payer.visitor.post(f"{PLAN}/overage", cap="50,000")
    assert saved.status_code == 303
    assert subscription(payer).overage_cap == 50_000
    assert "What is set now costs at most 12.00 EUR a month more." in read(payer).text


@pytest.mark.parametrize("cap", ["a lot", "-1", "1200001", "1e9", "٣", "9" * 20])
def test_a_cap_that_is_none_changes_nothing_and_is_shown_again(payer: Payer, cap: str) -> None:
    payer.subscribe("creator")
    payer.visitor.post(f"{PLAN}/overage", cap="7")
    answer = payer.visitor.post(f"{PLAN}/overage", cap=cap)
    assert answer.status_code == 422
    assert f'value="{cap}"' in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert subscription(payer).overage_cap == 7


def test_a_provider_that_does_not_answer_costs_the_page_nothing(payer: Payer, service: Service) -> None:
    payer.subscribe("starter")
    with provider_down(service):
        assert "Change to Creator" in read(payer).text
        assert "Thank you" in read(payer, f"{PLAN}?checkout=done").text, "what is known needs no provider"
        for path, fields in ((PLAN, {"plan": "creator"}), (f"{PLAN}/manage", {})):
            answer = payer.visitor.post(path, **fields)
            assert answer.status_code == 503
            assert "does not answer" in Page.read(answer.text).text
            assert "Change to Creator" in answer.text, "the whole page is there"
    assert payer.account.plan == "starter"


def test_while_it_does_not_answer_a_payment_is_waited_for(payer: Payer, service: Service) -> None:
    payer.checkout_page()
    with provider_down(service):
        assert "We wait for the payment provider" in read(payer, f"{PLAN}?checkout=done").text


def test_an_account_that_will_be_deleted_buys_and_changes_nothing(payer: Payer) -> None:
    deleted = payer.visitor.post("/account/data/delete", email=payer.account.email)
    assert deleted.status_code == 303
    answer = payer.visitor.post(PLAN, plan="creator")
    assert (answer.status_code, "will be deleted" in Page.read(answer.text).text) == (422, True)
    with payer.tools.databases.reading() as session:
        assert customer_of(session, payer.id) is None, "nor does the provider hear of it"
    payer.visitor.post("/account/data/keep")
    payer.subscribe("starter")
    payer.visitor.post("/account/data/delete", email=payer.account.email)
    assert payer.visitor.post(PLAN, plan="studio").status_code == 422, "its end is only on its way to the provider"
    assert payer.account.plan == "starter"


def test_where_the_operator_gives_plans_nothing_can_be_bought(without_provider: Service, visit: Visit) -> None:
    person = visit(without_provider, without_provider.world.newcomer(plan="creator"))
    shown = Page.read(person.get(PLAN).text)
    assert "Given by the operator" in shown.text
    assert "Plans are given by the operator of this service." in shown.text
    assert ("post", PLAN) not in shown.forms
    for path in (PLAN, f"{PLAN}/manage"):
        answer = person.post(path, plan="studio")
        assert (answer.status_code, "Plans are given by the operator here." in answer.text) == (422, True)
    assert person.post(f"{PLAN}/overage", cap="10").status_code == 422
