"""What a mail looks like, where it goes, and that nobody can smuggle anything into it."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from structlog.testing import capture_logs

from app.core import mail
from app.core.db import new_id, now
from app.core.errands import Errand, ErrandFacts
from app.core.errors import Invalid, Unavailable
from app.core.smtp import Server
from app.settings import Settings
from tests.world import World

NASTY = "Hello\r\nBcc: victim@example.org\n\n<b>body</b>\x00\x85\u2028X-Own: 1"


def errand(to: str = "ada@example.org", subject: str = "Your link", text: str = "It is here.") -> ErrandFacts:
    """The errand of a mail, as its handler gets it."""
    return ErrandFacts(new_id(), "k", None, {"to": to, "subject": subject, "text": text}, 1)


def posted(world: World, **mail_of: Any) -> Errand:
    """The errand that posting a mail has made."""
    given = {"to": "ada@example.org", "subject": "Your link", "text": "It is here.", "key": "links:1", **mail_of}
    with world.databases.writing() as session:
        mail.post(session, **given)
    found: Errand = world.rows(select(Errand))[0]
    return found


def read(data: bytes) -> EmailMessage:
    """A mail as the receiver's program reads it."""
    message = message_from_bytes(data, policy=default)
    assert isinstance(message, EmailMessage)
    return message


def test_a_posted_mail_is_an_errand_of_the_same_transaction(world: World) -> None:
    owner = uuid.uuid4()
    made = posted(world, owner_id=owner)
    assert (made.kind, made.key, made.owner_id) == ("mail", "links:1", owner)
    posted(world, text="Again")
    assert world.count(Errand) == 1


def test_a_mail_has_the_headers_that_it_needs(sqlite_settings: Settings) -> None:
    one = errand(text="Grüße\n\nhttps://example.org/" + "x" * 200)
    message = read(mail.letter(sqlite_settings, one).as_bytes())
    assert message["From"] == "Vouch <vouch@localhost>"
    assert (message["To"], message["Subject"]) == ("ada@example.org", "Your link")
    assert message["Message-ID"] == f"<{one.id.hex}@localhost>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert timedelta() <= now() - message["Date"].datetime < timedelta(minutes=1)
    assert message.get_content_type() == "text/plain"
    assert message.get_content().splitlines() == one.payload["text"].splitlines()


def test_every_try_of_a_mail_gives_the_same_message(sqlite_settings: Settings) -> None:
    one = errand()
    first, second = (mail.letter(sqlite_settings, one).as_bytes() for _ in range(2))
    assert first == second
    assert mail.letter(sqlite_settings, errand())["Message-ID"] != mail.letter(sqlite_settings, one)["Message-ID"]


@pytest.mark.parametrize("long", ["", "x" * 5_000, "ä" * 5_000])
def test_a_mail_is_ascii_with_short_lines_whatever_it_says(sqlite_settings: Settings, long: str) -> None:
    sender = sqlite_settings.model_copy(update={"mail": {"sender": "Stimme Größe <v@example.org>"}})
    settings = Settings(data_dir=sqlite_settings.data_dir, mail=sender.mail)
    data = mail.letter(settings, errand(subject="Ihr Schlüssel 🔑", text="Grüße\n" + long)).as_bytes()
    assert data.isascii()
    assert max(len(line) for line in data.split(b"\r\n")) <= 998
    assert read(data)["Subject"] == "Ihr Schlüssel 🔑"
    assert read(data)["From"] == "Stimme Größe <v@example.org>"


def test_letters_that_are_no_letters_do_not_break_a_mail(world: World) -> None:
    broken = posted(world, subject="to \ud800 you", text="half of a \udcff smile")
    sent = read(mail.letter(world.settings, facts(broken)).as_bytes())
    assert sent["Subject"] == "to ? you"
    assert sent.get_content().splitlines() == ["half of a ? smile"]


def test_an_address_of_other_letters_stands_in_the_mail_as_it_is(sqlite_settings: Settings) -> None:
    data = mail.letter(sqlite_settings, errand(to="ünal@example.org")).as_bytes()
    assert "\r\nTo: ünal@example.org\r\n".encode() in data


def test_a_subject_cannot_begin_a_header(world: World) -> None:
    message = mail.letter(world.settings, facts(posted(world, subject=NASTY)))
    sent = read(message.as_bytes())
    assert set(sent.keys()) == {
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "Content-Type",
        "Content-Transfer-Encoding",
        "MIME-Version",
    }
    assert sent["Subject"] == "Hello Bcc: victim@example.org <b>body</b> X-Own: 1"
    assert sent.get_content().splitlines() == ["It is here."]


def facts(made: Errand) -> ErrandFacts:
    """What the handler of an errand is told."""
    return ErrandFacts(made.id, made.key, made.owner_id, made.payload, 1)


@given(st.text(), st.text())
def test_no_subject_or_text_changes_the_headers_or_breaks_the_mail(subject: str, text: str) -> None:
    cleaned = {"subject": mail._one_line(subject), "text": mail._encodable(text)}
    message = mail.letter(Settings(), errand(**cleaned))
    sent = read(message.as_bytes())
    assert len(sent.keys()) == 9
    assert (sent["To"], sent["From"]) == ("ada@example.org", "Vouch <vouch@localhost>")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "@example.org",
        "ada@",
        "ada@example.org\r\nBcc: victim@example.org",
        "ada@example.org\nRCPT TO:<victim@example.org>",
        "ada@example.org, victim@example.org",
        "ada@example.org>, <victim@example.org",
        "Ada <ada@example.org>",
        "ada@victim.org@example.org",
        '"ada@x"@example.org',
        "ada @example.org",
        "ada@exa mple.org",
        "ada@-",
        "a\u202eda@example.org",
        "a" * 250 + "@example.org",
        "ada@[127.0.0.1]",
    ],
)
def test_what_is_no_single_address_is_refused_before_anything_is_written(world: World, address: str) -> None:
    with pytest.raises(Invalid) as refused, world.databases.writing() as session:
        mail.post(session, to=address, subject="s", text="t", key="k")
    assert refused.value.code == "mail.address"
    assert world.count(Errand) == 0


@pytest.mark.parametrize(
    ("address", "sent_to"),
    [
        ("ada@example.org", "ada@example.org"),
        ("ada.o'neil+vouch@sub.example.org", "ada.o'neil+vouch@sub.example.org"),
        ("ada@office.local", "ada@office.local"),
        ("ada@localhost", "ada@localhost"),
        ("ada@bücher.example.org", "ada@xn--bcher-kva.example.org"),
        ("ada@straße.de", "ada@xn--strae-oqa.de"),
        ("ünal@example.org", "ünal@example.org"),
    ],
)
def test_real_addresses_are_taken(address: str, sent_to: str) -> None:
    assert mail.deliverable(address) == sent_to


def test_by_default_a_mail_is_a_file_for_its_owner_only(sqlite_settings: Settings) -> None:
    one = errand(subject="Grüße")
    mail.deliver(sqlite_settings, one)
    (path,) = sqlite_settings.mail_directory.iterdir()
    assert path.name.endswith(f"-{one.id.hex[-8:]}.eml")
    written = datetime.strptime(path.name.split("-")[0], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    assert timedelta() <= now() - written < timedelta(minutes=1)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert read(path.read_bytes())["Subject"] == "Grüße"


def test_a_mail_that_is_written_twice_is_one_file(sqlite_settings: Settings) -> None:
    one = errand()
    mail.deliver(sqlite_settings, one)
    mail.deliver(sqlite_settings, one)
    mail.deliver(sqlite_settings, errand())
    assert len(list(sqlite_settings.mail_directory.iterdir())) == 2


def test_the_console_shows_the_mail(sqlite_settings: Settings) -> None:
    settings = Settings(data_dir=sqlite_settings.data_dir, mail={"url": "console:"})
    with capture_logs() as lines:
        mail.deliver(settings, errand(text="https://example.org/link"))
    assert [(line["to"], line["text"]) for line in lines] == [("ada@example.org", "https://example.org/link")]
    assert not settings.mail_directory.exists()


@pytest.mark.parametrize("sender", ["", "Vouch", "a@b.c, d@e.f", "Vouch <v@b.c>\r\nBcc: x@y.z", "<>", "v@"])
def test_a_sender_that_is_no_address_is_said(tmp_path: Path, sender: str) -> None:
    settings = Settings(data_dir=tmp_path, mail={"sender": sender})
    for use in (lambda: mail.deliver(settings, errand()), lambda: mail.check(settings)):
        with pytest.raises(Unavailable) as refused:
            use()
        assert "VOUCH_MAIL__SENDER" in str(refused.value.fix)


@pytest.mark.parametrize(
    ("url", "read_as"),
    [
        ("smtp://mail.example.org", Server("mail.example.org", 25, "", "", False)),
        ("smtp://u:p@mail.example.org", Server("mail.example.org", 587, "u", "p", False)),
        ("smtps://u%40x:p%2F%3A%40@mail.example.org", Server("mail.example.org", 465, "u@x", "p/:@", True)),
        ("smtp://[::1]:2525", Server("::1", 2525, "", "", False)),
    ],
)
def test_the_address_of_a_mail_server_is_read(url: str, read_as: Server) -> None:
    assert Server.parse(url) == read_as
    assert "p/:@" not in repr(Server.parse(url))


@pytest.mark.parametrize(
    "url", ["smtp://", "http://example.org", "smtp://host:port", "smtp://h:99999", "mail", "smtp://["]
)
def test_what_is_no_mail_server_is_said(tmp_path: Path, url: str) -> None:
    settings = Settings(data_dir=tmp_path, mail={"url": url})
    for use in (lambda: mail.deliver(settings, errand()), lambda: mail.check(settings)):
        with pytest.raises(Unavailable, match="VOUCH_MAIL__URL is not the address"):
            use()


@pytest.mark.parametrize(
    ("public_url", "name"),
    [
        ("https://voices.example.org/x", "voices.example.org"),
        ("", "[127.0.0.1]"),
        ("http://[::1]:8800", "[IPv6:::1]"),
    ],
)
def test_mail_servers_are_told_a_name_that_they_accept(tmp_path: Path, public_url: str, name: str) -> None:
    assert mail._own_name(Settings(data_dir=tmp_path, web={"public_url": public_url})) == name
