"""The page of invoices over HTTP: read from the provider each time, and in words when it does not answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.accounts.registration import NewAccount
from app.billing.gateway import GatewayRefused, InvoiceFacts
from app.core.db import now
from tests.harness import Service
from tests.pages.browsing import Page, Visitor
from tests.pages.paying import Payer, provider_down

Visit = Callable[[Service, NewAccount], Visitor]
INVOICES = "/account/invoices"
ONE = InvoiceFacts(
    "in_1", "V-0001", now(), 2_200, "eur", "paid", "https://pay.example/in_1", "https://pay.example/in_1.pdf"
)


def read(person: Visitor) -> Page:
    answer = person.get(INVOICES)
    assert answer.status_code == 200
    return Page.read(answer.text)


def test_who_never_paid_has_none_and_is_told_where_they_come_from(payer: Payer) -> None:
    shown = read(payer.visitor)
    assert "There are no invoices yet." in shown.text
    assert "/account/plan" in shown.links


def test_what_was_paid_and_what_is_owed(payer: Payer) -> None:
    payer.subscribe("creator").press("fail")
    said = read(payer.visitor).text
    assert "22.00 EUR SANDBOX-0001" in said
    assert said.index("SANDBOX-0002") < said.index("SANDBOX-0001"), "newest first"
    assert ("Paid" in said, "To be paid" in said) == (True, True)


def test_nobody_sees_somebody_elses(payer: Payer, customer: Visitor) -> None:
    payer.subscribe("creator")
    assert "SANDBOX-0001" not in read(customer).text


@pytest.mark.parametrize(
    ("changed", "there", "not_there"),
    [
        ({}, ("22.00 EUR", "Paid", "https://pay.example/in_1.pdf"), ()),
        ({"status": "open"}, ("To be paid", ">Pay<"), ()),
        ({"status": "something new"}, ("Void",), ()),
        ({"number": None, "status": "draft"}, ("no invoices yet",), ("22.00",)),
        ({"page_url": None, "pdf_url": None}, ("22.00 EUR",), ("PDF",)),
        ({"total_cents": 1_234_567, "currency": "usd"}, ("12,345.67 USD",), ()),
    ],
)
def test_what_the_provider_says(
    payer: Payer,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, Any],
    there: tuple[str, ...],
    not_there: tuple[str, ...],
) -> None:
    payer.subscribe("creator")
    monkeypatch.setattr(type(payer.gateway), "invoices", lambda *_, **__: [replace(ONE, **changed)])
    html = payer.visitor.get(INVOICES).text
    assert [words for words in there if words not in html] == []
    assert [words for words in not_there if words in html] == []


def test_a_provider_that_does_not_answer_is_said_in_words(payer: Payer, service: Service) -> None:
    payer.subscribe("creator")
    with provider_down(service):
        said = read(payer.visitor).text
    assert "The payment provider does not answer at the moment" in said
    assert "There are no invoices yet" not in said


def test_a_customer_whom_the_provider_no_longer_knows_is_no_error(
    payer: Payer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise GatewayRefused("payment.missing", "No such customer.")

    payer.subscribe("creator")
    monkeypatch.setattr(type(payer.gateway), "invoices", gone)
    assert "we can’t show your invoices" in read(payer.visitor).text


def test_where_the_operator_gives_plans_there_are_none(without_provider: Service, visit: Visit) -> None:
    assert "Nobody is billed here" in read(visit(without_provider, without_provider.world.newcomer())).text
