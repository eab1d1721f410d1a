"""The pages of API keys: made, shown once, limited, replaced, revoked; and that they are one's own."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from app.accounts import keys
from app.accounts.key_models import ApiKey, KeyEnd
from app.accounts.models import LoginSession
from app.core.crypto import digest
from app.core.db import now
from tests.harness import Service
from tests.pages.browsing import Page, Visitor

KEYS = "/account/keys"


def send(person: Visitor, path: str = KEYS, **fields: Any) -> httpx2.Response:
    """A form; a field may have several values."""
    return person.client.post(path, data=fields)


def shown_key(answer: httpx2.Response) -> str:
    assert answer.status_code == 200
    return answer.text.partition('<code class="key">')[2].partition("<")[0]


def new_key(person: Visitor, name: str, **fields: Any) -> str:
    return shown_key(send(person, name=name, **{"scope": ["read", "speak"], **fields}))


def use(service: Service, key: str, **headers: str) -> int:
    with service.client(key) as client:
        return client.get("/v1/user", headers=headers).status_code


def row_of(service: Service, key: str) -> ApiKey:
    (identity,) = service.world.rows(select(ApiKey.id).where(ApiKey.key_digest == digest(key)))
    row: ApiKey = service.world.get(ApiKey, identity)
    return row


def change(service: Service, key: str, **columns: Any) -> None:
    with service.world.databases.writing() as session:
        row = session.get_one(ApiKey, row_of(service, key).id)
        for name, value in columns.items():
            setattr(row, name, value)


def words(person: Visitor) -> str:
    return Page.read(person.get(KEYS).text).text


def forget_confirmation(service: Service, person: Visitor) -> None:
    """Time passes since the sign-in."""
    with service.world.databases.writing() as session:
        for login in session.scalars(select(LoginSession).where(LoginSession.account_id == person.account.id)):
            login.confirmed_at = now() - timedelta(hours=1)


def test_a_key_is_shown_once_works_and_can_be_revoked(service: Service, customer: Visitor) -> None:
    key = new_key(customer, "Radio clock")
    assert key.startswith("vch_")
    again = customer.get(KEYS).text
    assert key not in again
    assert key[:9] in again
    assert use(service, key) == 200
    assert send(customer, f"{KEYS}/{row_of(service, key).id}/revoke").status_code == 303
    assert use(service, key) == 401
    said = words(customer)
    assert "You revoked it." in said.partition("Ended in the last 30 days")[2]
    assert "Radio clock" not in said.partition("Ended in the last 30 days")[0]


def test_what_the_form_says_is_what_the_key_may(service: Service, customer: Visitor) -> None:
    key = new_key(
        customer,
        "Phone line",
        scope=["read", "voices"],
        cap="20 000",
        networks="203.0.113.7, 2001:db8::/32\n2001:db8::/32",
        expires="90",
    )
    row = row_of(service, key)
    assert row.scopes == ["read", "voices"]
    assert row.character_cap == 20_000
    assert row.allowed_networks == ["203.0.113.7/32", "2001:db8::/32"]
    assert row.expires_at is not None
    assert abs(row.expires_at - now() - timedelta(days=90)) < timedelta(minutes=1)
    assert use(service, key, **{"X-Forwarded-For": "203.0.113.7"}) == 200
    said = words(customer)
    for shown in ("Phone line", "0 of 20,000", "Look, Keep voices", "203.0.113.7/32", "from 203.0.113.7"):
        assert shown in said, shown


def test_a_day_is_the_last_on_which_a_key_works(service: Service, customer: Visitor) -> None:
    today = now().date()
    row = row_of(service, new_key(customer, "Fair", expires="date", expires_on=today.isoformat()))
    assert row.expires_at is not None
    assert (row.expires_at.date(), row.expires_at.hour) == (today + timedelta(days=1), 0)


def test_a_key_that_does_not_work_here_says_so(customer: Visitor) -> None:
    here, elsewhere = (
        send(customer, name="x", scope="read", networks=networks).text for networks in ("127.0.0.0/8", "203.0.113.0/24")
    )
    assert "(127.0.0.1) this key does not work" in elsewhere
    assert "does not work" not in here


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"scope": []}, "Choose at least one thing that the key may do."),
        ({"scope": "moderate"}, "can’t give a key all of these rights"),
        ({"cap": "abc"}, "whole number of characters"),
        ({"cap": "0"}, "from 1 to 1,000,000,000"),
        ({"cap": "-1"}, "whole number of characters"),
        ({"cap": "٥٠"}, "whole number of characters"),
        ({"cap": "9" * 12}, "from 1 to 1,000,000,000"),
        ({"networks": "10.0.0.1/8"}, "Write 10.0.0.0/8 for the network"),
        ({"networks": "<b>all</b>"}, "is not a network"),
        ({"networks": "10.0.0.0/33"}, "is not a network"),
        ({"networks": "fe80::1%eth0"}, "is not a network"),
        ({"networks": "::ffff:10.0.0.0/104"}, "as an IPv4 network"),
        ({"networks": "\n".join(f"10.0.0.{n}" for n in range(21))}, "at most 20 networks; these are 21"),
        ({"expires": "date"}, "Choose the last day"),
        ({"expires": "date", "expires_on": "2020-01-01"}, "That day is over."),
        ({"expires": "date", "expires_on": "9999-12-31"}, "within the next ten years"),
        ({"expires": "date", "expires_on": "soon"}, "Choose the last day"),
    ],
)
def test_a_form_that_can_not_be_taken_comes_back_filled_in(
    service: Service, customer: Visitor, fields: dict[str, Any], said: str
) -> None:
    answer = send(customer, **{"name": "My robot", "scope": "read", **fields})
    assert answer.status_code == 422
    assert said.replace("’", "'") in Page.read(answer.text).text.replace("’", "'")
    assert 'value="My robot"' in answer.text
    assert "<b>" not in answer.text
    assert service.world.count(ApiKey, ApiKey.account_id == customer.account.id) == 1


def test_all_that_is_wrong_is_said_at_once(customer: Visitor) -> None:
    answer = send(customer, name="x", scope="read", cap="abc", networks="here", expires="date")
    assert answer.text.count('aria-invalid="true"') == 3


@pytest.mark.parametrize("fields", [{"scope": "everything"}, {"expires": "31"}, {"networks": "x" * 3000}])
def test_fields_that_no_form_of_ours_sends(customer: Visitor, fields: dict[str, str]) -> None:
    assert send(customer, **{"name": "x", "scope": "read", **fields}).status_code == 422


def test_odd_names_of_keys(service: Service, customer: Visitor) -> None:
    for name in ("", " \n\t ", "\x00\x1b[31m", "🗝" * 100, "<b>bold</b>", "\u202egnirts"):
        assert use(service, new_key(customer, name)) == 200
    shown = customer.get(KEYS).text
    assert "<b>bold</b>" not in shown
    assert "\x1b" not in shown
    assert "🗝" * 60 in shown
    assert "🗝" * 61 not in shown


def test_a_key_can_be_renamed_but_not_to_nothing(service: Service, customer: Visitor) -> None:
    here = f"{KEYS}/{row_of(service, new_key(customer, 'Clock')).id}/rename"
    assert send(customer, here, name="Kitchen clock").status_code == 303
    assert "Kitchen clock" in words(customer)
    empty = send(customer, here, name=" \u202e ")
    assert (empty.status_code, "A key needs a name" in empty.text) == (422, True)


@pytest.mark.parametrize(("old", "works"), [("now", 401), ("later", 200)])
def test_a_key_can_be_replaced(service: Service, customer: Visitor, old: str, works: int) -> None:
    key = new_key(customer, "Clock", cap="500")
    fresh = shown_key(send(customer, f"{KEYS}/{row_of(service, key).id}/rotate", old=old))
    assert fresh != key
    assert (use(service, fresh), use(service, key)) == (200, works)
    assert row_of(service, fresh).character_cap == 500
    assert ("Replaced, ends soon" in words(customer)) == (old == "later")
    assert send(customer, f"{KEYS}/{row_of(service, key).id}/rotate", old="now").status_code == 422


def test_ended_keys_are_shown_for_a_month_with_the_reason(service: Service, customer: Visitor) -> None:
    leaked, expired, long_gone = (new_key(customer, name) for name in ("Blog", "Trial", "Forgotten"))
    change(service, leaked, revoked_at=now(), ended_for=KeyEnd.LEAKED)
    change(service, expired, expires_at=now() - timedelta(days=1))
    change(service, long_gone, revoked_at=now() - timedelta(days=31), ended_for=KeyEnd.REVOKED)
    live, _, ended = words(customer).partition("Ended in the last 30 days")
    assert "Somebody found it in a public place" in ended
    assert "It reached the end that was set for it." in ended
    assert "Forgotten" not in live + ended
    assert "Blog" not in live
    assert "Trial" not in live


def test_there_is_an_end_to_keys(customer: Visitor) -> None:
    for number in range(keys.MOST_KEYS - 1):
        new_key(customer, f"key {number}")
    answer = send(customer, name="one too many", scope="read")
    assert answer.status_code == 422
    assert "You have 20 keys. Revoke one that you no longer use." in answer.text
    assert f"{KEYS}/new" not in Page.read(customer.get(KEYS).text).links


def test_making_keys_needs_a_recent_proof_and_taking_them_away_does_not(service: Service, customer: Visitor) -> None:
    here = f"{KEYS}/{row_of(service, new_key(customer, 'Clock')).id}"
    forget_confirmation(service, customer)
    before = service.world.count(ApiKey)
    for answer in (
        customer.get(f"{KEYS}/new"),
        send(customer, name="late", scope="read"),
        send(customer, f"{here}/rotate", old="now"),
    ):
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/account/confirm")
    assert service.world.count(ApiKey) == before
    assert customer.get(KEYS).status_code == 200
    assert send(customer, f"{here}/revoke").headers["location"] == KEYS


def test_keys_of_others_are_out_of_reach(service: Service, customer: Visitor, moderator: Visitor) -> None:
    key = new_key(customer, "mine")
    before = row_of(service, key)
    for verb in ("revoke", "rename", "rotate"):
        answer = send(moderator, f"{KEYS}/{before.id}/{verb}", name="yours")
        assert answer.status_code == 404
        assert Page.read(answer.text).title.startswith("There is nothing here")
    assert use(service, key) == 200
    assert row_of(service, key).name == "mine"


@pytest.mark.parametrize("made_up", [str(uuid.UUID(int=1)), "1", "x" * 3000, "%00", "..%2f.."])
def test_made_up_ids(customer: Visitor, made_up: str) -> None:
    for verb in ("revoke", "rename", "rotate"):
        assert send(customer, f"{KEYS}/{made_up}/{verb}", name="x").status_code == 404


def test_a_moderator_is_offered_what_moderators_use(moderator: Visitor) -> None:
    form = moderator.get(f"{KEYS}/new").text
    assert 'value="moderate"' in form
    assert 'value="speak"' not in form
