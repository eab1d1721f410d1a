"""What a key may do on each route, where it may come from, and reporting one that leaked."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from fastapi.security import SecurityScopes
from sqlalchemy import select
from starlette.requests import Request

from app.accounts import keys
from app.accounts.identity import caller_by_key
from app.accounts.key_format import new_key
from app.accounts.key_models import ApiKey, KeyEnd, Scope
from app.accounts.keys import Terms
from app.accounts.models import Account, Role
from app.accounts.signals import Signal, SignalKind
from app.api.keys import MOST_BYTES, MOST_REPORTS
from app.billing.models import LedgerEntry
from app.core.audit import AuditEntry
from app.core.errands import Errand
from app.core.rendering import Shape, shape_of
from app.core.services import Services
from app.main import create_app
from app.settings import Settings
from tests.conftest import make_settings
from tests.harness import Service, running, stock_voice
from tests.world import actor_of


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(make_settings(tmp_path_factory.mktemp("keys")), worker=False) as service:
        yield service


@pytest.fixture
def fresh(settings: Settings) -> Iterator[Service]:
    """A server of this test alone, on each database."""
    with running(settings, worker=False) as service:
        yield service


def key_of(service: Service, account: Account, terms: Terms) -> tuple[ApiKey, str]:
    with service.world.databases.writing() as session:
        return keys.create_key(session, session.get_one(Account, account.id), "robot", actor_of(account), terms)


def code_of(answer: httpx2.Response) -> str:
    """The code, in whichever of the three shapes of errors."""
    body: dict[str, Any] = answer.json()
    detail = body.get("detail")
    said = detail.get("status") if isinstance(detail, dict) else body.get("code") or body.get("error", {}).get("code")
    return str(said)


# scopes


def operations(app: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in app.openapi()["paths"].items():
        for method, said in methods.items():
            if path.startswith(("/v1/", "/v2/")):
                yield method.upper(), path, said


OPEN = {
    "/v1/keys/leaked",
    "/v1/detect",
    "/v1/detect/{detection_id}",
    "/v1/ledger/checkpoint",
    "/v1/ledger/checkpoints/{size}",
    "/v1/ledger/proof/inclusion",
    "/v1/ledger/proof/consistency",
    "/v1/ledger/keys",
}
"""Routes that anybody may use, without a key."""


def test_every_route_that_takes_a_key_names_the_scope_that_it_needs(tmp_path_factory: pytest.TempPathFactory) -> None:
    scopes = {scope.value for scope in Scope}
    seen = set()
    for method, path, said in operations(create_app(make_settings(tmp_path_factory.mktemp("document")))):
        where = f"{method} {path}"
        if path in OPEN:
            assert "security" not in said, where
            continue
        named = {tuple(each) for scheme in said["security"] for each in scheme.values()}
        assert {name for scheme in said["security"] for name in scheme} == {"ApiKey", "Bearer"}, where
        assert len(named) == 1, where
        (needed,) = named.pop()
        assert needed in scopes, where
        assert f"scope `{needed}`" in said["description"], where
        if method != "GET":
            assert needed != Scope.READ, f"{where} changes something"
        seen.add(needed)
    assert seen == scopes


def test_a_route_that_names_no_scope_lets_nobody_in(service: Service) -> None:
    services = Services.open(service.settings)
    key = service.world.newcomer().api_key
    with pytest.raises(RuntimeError, match="must name the scope"):
        caller_by_key(Request({"type": "http"}), SecurityScopes(), services, key, None)
    services.close()


def test_a_key_does_on_each_route_what_its_scopes_say_and_no_more(service: Service) -> None:
    """Every route, with a key that has all scopes but the one it needs, and with a key that has only that one."""
    operator = service.world.newcomer(role=Role.OPERATOR).account
    with_only = {scope: key_of(service, operator, Terms(frozenset({scope})))[1] for scope in Scope}
    without = {scope: key_of(service, operator, Terms(frozenset(Scope) - {scope}))[1] for scope in Scope}
    tried = 0
    for method, path, said in operations(service.app):
        if path in OPEN:
            continue
        (needed,) = said["security"][0]["ApiKey"]
        address = path.replace("{", "").replace("}", "")
        with service.client(without[Scope(needed)]) as client:
            refused = client.request(method, address)
        where = f"{method} {path}: {refused.text}"
        assert (refused.status_code, code_of(refused)) == (403, "missing_permissions"), where
        assert f"“{needed}”" in refused.text, where
        problem = shape_of(Request({"type": "http", "path": path, "headers": []})) is Shape.PROBLEM
        assert ("detail" in refused.json() and isinstance(refused.json()["detail"], str)) == problem, where
        with service.client(with_only[Scope(needed)]) as client:
            assert "missing_permissions" not in client.request(method, address).text, where
        tried += 1
    assert tried > 20


def test_a_demoted_moderators_key_moderates_no_more(service: Service) -> None:
    person = service.world.newcomer(role=Role.MODERATOR)
    with service.client(person.api_key) as client:
        assert client.get("/v1/moderation/consents").status_code == 200
        service.world.change(person.account, role=Role.CUSTOMER)
        answer = client.get("/v1/moderation/consents")
        assert (answer.status_code, answer.json()["code"]) == (403, "account.not_allowed")


# networks, use


def test_networks_are_those_of_the_connection(service: Service) -> None:
    account = service.world.newcomer().account
    row, key = key_of(service, account, Terms(frozenset({Scope.READ}), networks=("203.0.113.0/24",)))
    with service.client(key) as client:
        refused = client.get("/v1/user")
        assert (refused.status_code, code_of(refused)) == (403, "key.network")
        assert "203.0.113" not in refused.text
        assert service.world.get(ApiKey, row.id).last_used_at is None
        # The test's server trusts this machine as its proxy, as a server in service trusts its own.
        assert client.get("/v1/user", headers={"X-Forwarded-For": "203.0.113.77"}).status_code == 200
        assert client.get("/v1/user", headers={"X-Forwarded-For": "203.0.113.77, 198.51.100.1"}).status_code == 403
    used = service.world.get(ApiKey, row.id)
    assert used.last_address == "203.0.113.77"
    assert used.last_used_at is not None


def test_the_words_for_a_key_that_ended_are_in_the_shape_of_the_route(service: Service) -> None:
    account = service.world.newcomer().account
    row, key = key_of(service, account, Terms(frozenset(Scope) - {Scope.MODERATE}))
    with service.world.databases.writing() as session:
        keys.revoke_key(session, session.get_one(Account, account.id), row.id, actor_of(account))
    with service.client(key) as client:
        answer = client.get("/v1/voices")
        assert answer.status_code == 401
        assert answer.json()["detail"]["status"] == "invalid_api_key"
        assert "was revoked" in answer.json()["detail"]["message"]
        assert answer.json()["detail"]["rule"] == "key.revoked"
        assert client.get("/v1/trace/x").json()["code"] == "invalid_api_key"


def test_the_cap_of_a_key_counts_what_it_asks_for_over_http(service: Service) -> None:
    account = service.world.newcomer().account
    voice = stock_voice(service).public_id
    row, key = key_of(service, account, Terms(frozenset({Scope.SPEAK}), character_cap=5))
    with service.client(key) as client:
        answer = client.post(f"/v1/text-to-speech/{voice}", json={"text": "Too long."})
    assert (answer.status_code, code_of(answer)) == (403, "speak.key_cap")
    assert "this key has 5 left this month" in answer.text
    assert service.world.count(LedgerEntry, LedgerEntry.api_key_id == row.id) == 0


# leaks


def report(service: Service, address: str = "192.0.2.1", **body: Any) -> httpx2.Response:
    """Report from a network address of one's own, since each has only so many reports a minute."""
    with service.client() as client:
        return client.post("/v1/keys/leaked", json=body, headers={"X-Forwarded-For": address})


def test_a_key_that_anyone_posts_is_dead_at_once_and_its_owner_is_told(fresh: Service) -> None:
    world = fresh.world
    person = world.newcomer()
    other, second = key_of(fresh, person.account, Terms(frozenset({Scope.READ})))
    safe = world.newcomer().api_key
    text = f"# settings\nKEY='{person.api_key}'\nold={new_key()} {person.api_key}\nurl=https://x.example/?k={second}&a"
    answer = report(fresh, text=text, source="https://pages.example/repo/settings.py")
    assert (answer.status_code, answer.json()) == (200, {"disabled": 2})
    for key in (person.api_key, second):
        with fresh.client(key) as client:
            refused = client.get("/v1/user")
        assert refused.status_code == 401
        assert "found in public" in refused.text
    with fresh.client(safe) as client:
        assert client.get("/v1/user").status_code == 200
    assert report(fresh, text=text).json() == {"disabled": 0}
    assert world.get(ApiKey, other.id).ended_for is KeyEnd.LEAKED
    (mail,) = world.rows(select(Errand).where(Errand.kind == "mail", Errand.owner_id == person.account.id))
    assert mail.payload["to"] == person.account.email
    assert second[:9] in mail.payload["text"]
    assert "pages.example" not in mail.payload["text"]  # a stranger's words
    signals = world.rows(select(Signal).where(Signal.kind == SignalKind.LEAKED_KEY))
    assert {signal.account_id for signal in signals} == {person.account.id}
    assert len(signals) == 2
    assert any(f"({second[:9]}…) was found in public" in signal.summary for signal in signals)
    assert not any("pages.example" in signal.summary for signal in signals)
    entries = world.rows(select(AuditEntry).where(AuditEntry.action == "api_key.leaked"))
    assert {entry.facts["source"] for entry in entries} == {"https://pages.example/repo/settings.py"}
    kept = repr([(row.payload if isinstance(row, Errand) else row.facts) for row in (mail, *signals, *entries)])
    assert person.api_key not in kept
    assert second not in kept


def test_one_leak_reported_by_many_at_once_is_one_leak(fresh: Service) -> None:
    person = fresh.world.newcomer()
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: report(fresh, f"192.0.2.{n}", key=person.api_key), range(8)))
    assert sorted(answer.json()["disabled"] for answer in answers) == [0] * 7 + [1]
    assert fresh.world.count(Signal) == 1
    assert fresh.world.count(Errand, Errand.kind == "mail") == 1


def test_a_leak_is_stopped_even_when_no_mail_can_reach_the_owner(service: Service) -> None:
    person = service.world.newcomer()
    service.world.change(person.account, email="nobody at all")
    assert report(service, key=person.api_key).json() == {"disabled": 1}


def test_unknown_ended_and_made_up_keys_get_one_and_the_same_answer(service: Service) -> None:
    account = service.world.newcomer().account
    row, ended = key_of(service, account, Terms(frozenset({Scope.READ})))
    with service.world.databases.writing() as session:
        keys.revoke_key(session, session.get_one(Account, account.id), row.id, actor_of(account))
    answers = [report(service, "192.0.2.9", text=text) for text in (new_key(), ended, "vch_", "nothing", "é" * 900)]
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, '{"disabled":0}')}
    assert service.world.get(ApiKey, row.id).ended_for is KeyEnd.REVOKED


def test_a_report_full_of_fakes_still_finds_the_real_one(service: Service) -> None:
    real = service.world.newcomer().api_key
    fakes = "\n".join(new_key() for _ in range(900))
    assert report(service, "192.0.2.10", text=f"{fakes}\n{real}").json() == {"disabled": 1}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"text": 5}', 422),
        (b'{"text": ""}', 422),
        (b'{"text": "\\ud800 vch_"}', 422),
        (b'{"text": "x", "source": "javascript:alert(1)"}', 422),
        (b'{"text": "x", "source": "https://' + b"a" * 600 + b'"}', 422),
        (b'{"text": "x", "source": "ftp://pages.example/list"}', 422),
        (b'{"text": "x", "source": "http://[1"}', 422),
        (b"[" * 60_000, 422),
        (b'{"text": "' + b"a" * MOST_BYTES + b'"}', 413),
        (b'{"text": "' + b"a" * 5_000_000 + b'"}', 413),
    ],
)
def test_reports_that_can_not_be_read(service: Service, body: bytes, status: int) -> None:
    with service.client() as client:
        answer = client.post(
            "/v1/keys/leaked",
            content=body,
            headers={"X-Forwarded-For": "192.0.2.11", "content-type": "application/json"},
        )
    assert answer.status_code == status, answer.text[:300]
    assert answer.headers["content-type"] == "application/problem+json"
    assert "a" * 100 not in answer.text


def test_reports_come_at_a_pace_for_each_network(service: Service) -> None:
    for _ in range(MOST_REPORTS):
        assert report(service, "2001:db8:5::1", text="nothing").status_code == 200
    for address in ("2001:db8:5::1", "2001:db8:5::ffff"):  # the same customer of the same provider
        slow = report(service, address, text="nothing")
        assert (slow.status_code, slow.json()["code"]) == (429, "too_many_requests")
        assert 1 <= int(slow.headers["retry-after"]) <= 60
    assert report(service, "2001:db8:6::1", text="nothing").status_code == 200
