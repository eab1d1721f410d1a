"""The account behind a key, over HTTP: its plan, what is left of it, and voices that the plan has no room for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from app.accounts.registration import NewAccount
from app.billing.models import SubscriptionStatus
from app.billing.periods import next_month
from app.billing.plans import PLANS
from app.core.db import now
from app.voices.models import Voice, VoiceState
from tests.conftest import make_settings
from tests.harness import Service, running
from tests.pages.browsing import Page, Visitor

STARTER = PLANS["starter"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(make_settings(tmp_path_factory.mktemp("account")), worker=False) as service:
        yield service


def subscription(client: httpx2.Client) -> Any:
    answer = client.get("/v1/user/subscription")
    assert answer.status_code == 200
    return answer.json()


def starter(service: Service, **given: Any) -> NewAccount:
    person = service.world.newcomer(plan="creator")
    start = now() - timedelta(days=1)
    service.world.subscribe(person.account, "starter", start, next_month(start), **given)
    return person


def test_a_free_account_has_its_month_and_no_more(service: Service) -> None:
    person = service.world.newcomer(plan="free")
    service.world.spend(person.account, 120)
    with service.client(person.api_key) as client:
        seen = subscription(client)
    assert (seen["tier"], seen["status"], seen["character_count"]) == ("free", "free", 120)
    assert seen["character_limit"] == PLANS["free"].characters_a_month
    assert seen["can_extend_character_limit"] is seen["allowed_to_extend_character_limit"] is False
    assert (seen["max_credit_limit_extension"], seen["current_overage"]["amount"]) == (0, "0.00")


def test_what_goes_beyond_the_allowance_is_told_with_its_price(service: Service) -> None:
    person = starter(service, overage_cap=5_000)
    service.world.spend(person.account, STARTER.characters_a_month + 1_500)
    with service.client(person.api_key) as client:
        seen = subscription(client)
    assert (seen["status"], seen["character_limit"]) == ("active", STARTER.characters_a_month)
    assert seen["character_count"] == STARTER.characters_a_month + 1_500
    assert seen["can_extend_character_limit"] is seen["allowed_to_extend_character_limit"] is True
    assert seen["max_credit_limit_extension"] == 5_000
    assert seen["current_overage"] == {"amount": "0.45", "currency": service.settings.billing.currency}


def test_a_missing_payment_is_told(service: Service) -> None:
    person = starter(service, status=SubscriptionStatus.PAST_DUE, overage_cap=5_000)
    with service.client(person.api_key) as client:
        seen = subscription(client)
    assert (seen["status"], seen["allowed_to_extend_character_limit"]) == ("past_due", False)


@pytest.fixture
def off(service: Service) -> tuple[NewAccount, list[Voice]]:
    """A starter with one voice more than the plan has room for; the last is off."""
    world, person = service.world, service.world.newcomer(plan="creator")
    voices = [world.voice(person.account) for _ in range(STARTER.voice_slots + 1)]
    start = now() - timedelta(days=1)
    world.subscribe(person.account, "starter", start, next_month(start))
    return person, voices


def test_deleting_a_voice_through_the_api_brings_another_back(
    service: Service, off: tuple[NewAccount, list[Voice]]
) -> None:
    person, voices = off
    with service.client(person.api_key) as client:
        last = client.get(f"/v1/voices/{voices[-1].public_id}").json()["vouch"]
        assert last["state"] == "disabled"
        assert "larger plan" in last["problem"]
        assert subscription(client)["voice_slots_used"] == STARTER.voice_slots
        assert client.delete(f"/v1/voices/{voices[0].public_id}").status_code == 200
        assert client.get(f"/v1/voices/{voices[-1].public_id}").json()["vouch"]["state"] == "ready"


def test_the_page_of_a_voice_that_is_off_says_why_and_asks_for_no_consent(
    service: Service, off: tuple[NewAccount, list[Voice]]
) -> None:
    person, voices = off
    visitor = Visitor.of(service, person)
    path = f"/voices/{voices[-1].public_id}"
    shown = Page.read(visitor.get(path).text)
    assert "the plan has no room for it" in shown.text
    assert "choose a larger plan or delete another voice" in shown.text
    assert ("post", f"{path}/consent/start") not in shown.forms
    refused = visitor.post(f"{path}/consent/start", speaker_name="Ada Lovelace", language="en")
    assert refused.status_code == 422
    visitor.post(f"/voices/{voices[0].public_id}/delete", confirm="yes")
    assert service.world.get(Voice, voices[-1].id).state is VoiceState.READY
    visitor.client.close()
