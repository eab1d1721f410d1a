"""The usage page over HTTP: the chart, its table and the file agree with the ledger, and nobody sees another's."""

from __future__ import annotations

import csv
import io
import re

import httpx2
import pytest

from app.accounts.models import Account
from app.billing.ledger import balance_of
from app.core.db import now
from app.jobs.models import JobKind
from app.voices.models import Voice
from tests.billing.test_usage import new_key, spoken
from tests.harness import Service
from tests.pages.browsing import Page, Visitor
from tests.world import World

USAGE = "/account/usage"


def bars(html: str) -> list[tuple[float, float]]:
    """Top and height of each bar, in percent."""
    return [
        (float(top), float(height))
        for top, height in re.findall(r'class="chart-bar".*?y="([\d.]+)%" height="([\d.]+)%"', html)
    ]


def table(person: Visitor) -> list[dict[str, str]]:
    answer = person.get(f"{USAGE}.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-disposition"].startswith('attachment; filename="vouch-usage-')
    return list(csv.DictReader(io.StringIO(answer.text)))


@pytest.fixture
def world(service: Service) -> World:
    return service.world


def test_before_anything_is_spoken_the_page_says_so(customer: Visitor) -> None:
    answer = customer.get(USAGE)
    said = Page.read(answer.text).text
    assert "Nothing was spoken yet." in said
    assert "0 of 120,000" in said
    assert bars(answer.text) == []
    assert table(customer) == []


def test_what_was_spoken_is_drawn_told_and_downloaded(customer: Visitor, world: World) -> None:
    voice, key = world.voice(customer.account), new_key(world, customer.account)
    by_page = spoken(world, customer.account, voice, "x" * 1_000)
    by_key = spoken(world, customer.account, voice, "y" * 234, key)
    world.speak(customer.account, voice, "z" * 50)  # under way: held, not spoken
    answer = customer.get(USAGE)
    said = Page.read(answer.text).text
    assert "1,284 of 120,000" in said
    assert "50 for clips under way" in said
    assert bars(answer.text) == [(0, 100)], "one day, the tallest"
    day = f"{now().day} {now():%b}"
    assert f"{day} 1,234" in said, "and in the table"
    assert f"{voice.name} 1,234" in said
    assert "On these pages 1,000 a key 234" in said
    rows = table(customer)
    assert [(row["clip"], row["characters"], row["api_key"]) for row in rows] == [
        (by_key.public_id, "234", "a key"),
        (by_page.public_id, "1000", ""),
    ]
    with world.databases.reading() as session:
        balance = balance_of(session, session.get_one(Account, customer.account.id))
    assert sum(int(row["characters"]) for row in rows) == balance.used
    world.take(JobKind.SPEAK)  # and leave the queue empty to the next test


def test_nobody_sees_somebody_elses(
    customer: Visitor, moderator: Visitor, stranger: httpx2.Client, world: World
) -> None:
    spoken(world, customer.account, world.voice(customer.account), "x" * 777)
    for shown in (moderator.get(USAGE).text, moderator.get(f"{USAGE}.csv").text):
        assert "777" not in shown
    for path in (USAGE, f"{USAGE}.csv"):
        assert stranger.get(path).headers["location"].startswith("/login")


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", 'a","b\nc'])
def test_no_name_is_a_formula_or_breaks_the_table(customer: Visitor, world: World, name: str) -> None:
    voice = world.voice(customer.account)
    with world.databases.writing() as session:
        session.get_one(Voice, voice.id).name = name
    spoken(world, customer.account, voice, "Hello.")
    (row,) = table(customer)
    assert not row["voice"].startswith(("=", "+", "-", "@"))
    assert name in row["voice"]
    assert row["characters"] == "6"
