"""Mail over a real connection: encryption, passwords, refusals, a server that is away and comes back."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import select, update

from app.core import mail
from app.core.db import now
from app.core.errands import CannotBeDone, Errand
from app.core.errors import Unavailable
from app.settings import Settings
from tests.core.mail_server import PASSWORD, USER, MailServer, free_port, mail_server, self_signed
from tests.core.test_mail import errand
from tests.world import World
from workers.errands import run_due
from workers.tools import Tools

ELSEWHERE = "0.0.0.0"
"""This machine too, but not by a loopback address: it is treated as any other host."""
WHO = f"{USER}:{quote(PASSWORD, safe='')}@"


def to(server: MailServer, *, scheme: str = "smtp", who: str = "", host: str = "127.0.0.1") -> Settings:
    """Settings that send mail through a server."""
    return Settings(mail={"url": f"{scheme}://{who}{host}:{server.port}", "sender": "Vouch <vouch@example.org>"})


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """TLS of a server whose certificate nobody has signed."""
    return self_signed(tmp_path)[0]


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """TLS of a server at ELSEWHERE whose certificate this machine trusts."""
    context, certificate = self_signed(tmp_path, ELSEWHERE)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return context


def test_a_plain_server_on_this_machine_gets_the_mail() -> None:
    one = errand(text="Grüße\n.\nQUIT\n")
    with mail_server() as server:
        mail.deliver(to(server), one)
    (got,) = server.received
    assert (got.sender, got.to, got.encrypted) == ("vouch@example.org", ["ada@example.org"], False)
    assert got.message["Message-ID"] == f"<{one.id.hex}@example.org>"
    assert got.message.get_content().splitlines() == ["Grüße", ".", "QUIT"]


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_what_the_server_can_encrypt_is_encrypted(tls: ssl.SSLContext, scheme: str) -> None:
    with mail_server(**{"smtps" if scheme == "smtps" else "starttls": tls}, password=True) as server:  # type: ignore[arg-type]
        mail.deliver(to(server, scheme=scheme, who=WHO), errand())
    (got,) = server.received
    assert (got.encrypted, got.user) == (True, USER)


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_certificate_is_checked_unless_the_server_is_on_this_machine(tls: ssl.SSLContext, scheme: str) -> None:
    with mail_server(host=ELSEWHERE, **{"smtps" if scheme == "smtps" else "starttls": tls}) as server:  # type: ignore[arg-type]
        with pytest.raises(Unavailable, match="certificate is not trusted"):
            mail.deliver(to(server, scheme=scheme, host=ELSEWHERE), errand())
        assert server.received == []


def test_a_trusted_certificate_is_enough_elsewhere(trusted: ssl.SSLContext) -> None:
    with mail_server(host=ELSEWHERE, starttls=trusted, password=True) as server:
        mail.deliver(to(server, who=WHO, host=ELSEWHERE), errand())
    assert [(got.encrypted, got.user) for got in server.received] == [(True, USER)]


def test_a_password_is_not_told_in_the_open_to_another_machine() -> None:
    with mail_server(host=ELSEWHERE, password=True) as server:
        with pytest.raises(Unavailable, match="offers no encryption") as refused:
            mail.deliver(to(server, who=WHO, host=ELSEWHERE), errand())
        assert "smtps://" in str(refused.value.fix)
        mail.deliver(to(server, who=WHO), errand())  # by its loopback address
    assert [got.user for got in server.received] == [USER]


@pytest.mark.parametrize("who", [f"{USER}:wrong@", f"{USER}:gehe%C3%AFm@"])
def test_a_wrong_password_is_said_and_not_repeated(who: str) -> None:
    with mail_server(password=True) as server, pytest.raises(Unavailable) as refused:
        mail.deliver(to(server, who=who), errand())
    assert not [said for said in ("wrong", "gehe") if said in refused.value.message + str(refused.value.fix)]


@pytest.mark.parametrize("where", ["ada@example.org", "DATA"])
def test_a_refusal_for_good_ends_the_mail_with_the_servers_words(where: str) -> None:
    with mail_server() as server:
        server.answers[where] = "550 5.1.1 There is no such person here"
        with pytest.raises(CannotBeDone, match="550 5\\.1\\.1 There is no such person here"):
            mail.deliver(to(server), errand())


@pytest.mark.parametrize(
    ("where", "answer"),
    [
        ("ada@example.org", "450 4.2.1 Come back later"),
        ("ada@example.org", "421 4.3.0 Closing"),
        ("ada@example.org", "530 5.7.0 Authentication required"),
        ("DATA", "452 4.3.1 Insufficient storage"),
    ],
)
def test_any_other_refusal_is_tried_again(where: str, answer: str) -> None:
    with mail_server() as server:
        server.answers[where] = answer
        with pytest.raises(Unavailable, match=answer.split(" ", 2)[2]):
            mail.deliver(to(server), errand())
        server.answers.clear()
        mail.deliver(to(server), errand())
    assert len(server.received) == 1


def test_letters_that_the_server_does_not_take_end_the_mail() -> None:
    with mail_server() as server, pytest.raises(CannotBeDone, match="such letters"):
        mail.deliver(to(server), errand(to="ünal@example.org"))


def test_an_address_with_other_letters_is_sent_where_the_server_takes_it() -> None:
    with mail_server(utf8=True) as server:
        mail.deliver(to(server), errand(to="ünal@example.org"))
    (got,) = server.received
    assert got.to == ["ünal@example.org"]
    assert got.message["To"] == "ünal@example.org"


def test_the_check_signs_in_and_sends_nothing(tls: ssl.SSLContext) -> None:
    with mail_server(starttls=tls, password=True) as server:
        assert mail.check(to(server, who=WHO)) == f"127.0.0.1:{server.port} answers and knows our name and password"
        with pytest.raises(Unavailable, match="could not be used: 535"):
            mail.check(to(server, who=f"{USER}:wrong@"))
    assert server.received == []
    with pytest.raises(Unavailable, match="Connection refused"):
        mail.check(to(server, who=WHO))


@pytest.fixture
def tools(world: World) -> Iterator[Tools]:
    """A worker's tools, with a mail server at a port where nobody listens yet."""
    changed = world.settings.model_dump() | {"mail": {"url": f"smtp://127.0.0.1:{free_port()}"}}
    made = Tools(Settings(**changed))
    yield made
    made.databases.close()


def port_of(tools: Tools) -> int:
    return int(tools.settings.mail.url.rpartition(":")[2])


def post(world: World, key: str, to: str = "ada@example.org") -> None:
    with world.databases.writing() as session:
        mail.post(session, to=to, subject="Your link", text="a secret link", key=key)


def later(world: World) -> None:
    with world.databases.writing() as session:
        session.execute(update(Errand).values(due_at=now() - timedelta(seconds=1)))


def test_mail_waits_for_a_server_that_is_away_and_is_sent_once_when_it_is_back(world: World, tools: Tools) -> None:
    post(world, "links:1")
    assert run_due(tools) == 1
    (waiting,) = world.rows(select(Errand))
    assert (waiting.done_at, waiting.attempts) == (None, 1)
    assert "Connection refused" in waiting.problem
    with mail_server(port_of(tools)) as server:
        later(world)
        assert run_due(tools) == 1
        later(world)
        assert run_due(tools) == 0
    assert [got.to for got in server.received] == [["ada@example.org"]]
    (sent,) = world.rows(select(Errand))
    assert (sent.payload, sent.problem) == ({}, None)


def test_a_refused_receiver_does_not_hold_up_the_others(world: World, tools: Tools) -> None:
    for name in ("ada", "nobody", "bob"):
        post(world, name, f"{name}@example.org")
    with mail_server(port_of(tools)) as server:
        server.answers["nobody@example.org"] = "550 5.1.1 There is no such person here"
        assert run_due(tools) == 3
        later(world)
        assert run_due(tools) == 0
    assert [got.to for got in server.received] == [["ada@example.org"], ["bob@example.org"]]
    (refused,) = world.rows(select(Errand).where(Errand.problem.is_not(None)))
    assert (refused.key, refused.payload) == ("nobody", {})
    assert "550 5.1.1 There is no such person here" in refused.problem
