"""What anybody can ask the log: checkpoints, proofs that hold, keys; and what nobody learns from it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx2
import pytest

from app.api import ledger as routes
from app.core.db import Databases
from app.jobs.models import JobKind
from app.main import create_app
from app.provenance.ledger import merkle, notes, proofs
from app.settings import Settings
from tests.http_server import serve
from tests.ledger.test_checkpoints import grow
from tests.world import World
from workers.checkpoints import sign_now
from workers.tools import Tools

FILE = "0" * 64


@pytest.fixture
def tools(settings: Settings) -> Iterator[Tools]:
    made = Tools(settings)
    yield made
    made.databases.close()


@pytest.fixture
def client(settings: Settings) -> Iterator[httpx2.Client]:
    app = create_app(settings)
    with serve(app, 0) as url, httpx2.Client(base_url=url, timeout=30) as client:
        yield client
    app.state.services.close()


def test_a_delivered_file_is_proven_to_be_in_the_log(
    world: World, databases: Databases, tools: Tools, client: httpx2.Client
) -> None:
    account = world.account()
    world.speak(account, world.voice(account))
    claim = world.take(JobKind.SPEAK)
    ref = world.commit(claim).public_ref
    world.deliver(claim)
    by_ref = {"ref": ref}
    assert client.get("/v1/ledger/checkpoint").json()["code"] == "ledger.no_checkpoint"
    sign_now(tools)
    grow(databases, 1)

    note = client.get("/v1/ledger/checkpoint")
    assert note.headers["content-type"].startswith("text/plain")
    assert note.headers["cache-control"] == "public, max-age=60"
    (key,) = client.get("/v1/ledger/keys").json()["keys"]
    head = notes.opened(note.text, [key["public_pem"]])
    assert key["verifier_key"] == notes.verifier_key(head.origin, key["public_pem"])
    assert client.get(f"/v1/ledger/checkpoints/{head.size}").text == note.text

    for question, kind, named in ((by_ref, "generation", {"ref": ref}), ({"sha256": FILE}, "stamp", {"sha256": FILE})):
        said = client.get("/v1/ledger/proof/inclusion", params=question).json()
        assert proofs.check_document(said) == ""
        assert bytes.fromhex(said["checkpoint"]["root"]) == head.root
        content = json.loads(said["leaf"]["content"])
        assert content.keys() == {"v", "kind", "at", "commitment", *named}
        assert content | {"kind": kind} | named == content
        again = client.get("/v1/ledger/proof/inclusion", params={"leaf": said["leaf"]["hash"]})
        assert again.json() == said
        assert account.email not in again.text
        assert str(account.id) not in again.text

    sign_now(tools)
    newer = notes.opened(client.get("/v1/ledger/checkpoint").text, [key["public_pem"]])
    sizes = {"first": head.size, "second": newer.size}
    steps = client.get("/v1/ledger/proof/consistency", params=sizes).json()["proof"]
    proof = [bytes.fromhex(step) for step in steps]
    assert merkle.verify_consistency(head.size, newer.size, proof, head.root, newer.root)


def test_what_is_not_signed_yet_is_told_apart_from_what_is_not_there(
    world: World, databases: Databases, tools: Tools, client: httpx2.Client
) -> None:
    grow(databases, 1)
    sign_now(tools)
    account = world.account()
    world.speak(account, world.voice(account))
    generation = world.commit(world.take(JobKind.SPEAK))
    late = client.get("/v1/ledger/proof/inclusion", params={"ref": generation.public_ref})
    assert (late.status_code, late.json()["code"]) == (404, "ledger.not_yet")
    for question in ({"ref": "nobody"}, {"sha256": "1" * 64}, {"leaf": "1" * 64}):
        answer = client.get("/v1/ledger/proof/inclusion", params=question)
        assert (answer.status_code, answer.json()["code"]) == (404, "ledger.not_found")
    for path in (
        "proof/inclusion",
        "proof/inclusion?ref=a&leaf=" + "1" * 64,
        "proof/inclusion?leaf=XY",
        "proof/inclusion?ref=a%20b",
        "proof/consistency?first=2&second=1",
        "proof/consistency?first=0&second=1",
        "checkpoints/0",
        "checkpoints/99999999999999999999",
    ):
        assert client.get(f"/v1/ledger/{path}").status_code == 422, path
    for path in ("proof/consistency?first=1&second=3", "checkpoints/1", f"checkpoints/{2**53}"):
        assert client.get(f"/v1/ledger/{path}").status_code == 404, path


def test_one_network_can_ask_only_so_often(client: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "MOST_REQUESTS", 3)
    codes = [client.get("/v1/ledger/keys").status_code for _ in range(4)]
    assert codes == [200, 200, 200, 429]
