"""Mail that leaves: written as an errand in the transaction that causes it, sent by workers/errands.py.

Where it goes is `settings.mail.url`: a mail server (app.core.smtp), the log (`console:`), or, when it is empty, files
in `settings.mail_directory`.
"""

from __future__ import annotations

import os
import re
import uuid
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from urllib.parse import urlsplit

import structlog
from email_validator import EmailNotValidError, validate_email
from sqlalchemy.orm import Session

from app.core import errands, smtp
from app.core.errands import ErrandFacts
from app.core.errors import Invalid, Unavailable
from app.settings import Settings

KIND = "mail"
CONSOLE = "console:"
_LONGEST_ADDRESS = 254
_LONGEST_SUBJECT = 200
_INTERNET = SMTP.clone(cte_type="7bit")  # not every server passes on more than ASCII
_PLAIN = re.compile(r"[^\s@<>()\[\],;:\\\"]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")

log = structlog.get_logger(__name__)


def post(session: Session, *, to: str, subject: str, text: str, key: str, owner_id: uuid.UUID | None = None) -> None:
    """Have a mail sent once the caller's transaction commits. The same `key` again sends nothing.

    `text` is plain text; it is kept only until it is sent. Raises Invalid for what is no address.
    """
    payload = {"to": deliverable(to), "subject": _one_line(subject), "text": _encodable(text)}
    errands.add(session, KIND, key, payload, owner_id=owner_id)


def deliverable(address: str) -> str:
    """The address in the form in which mail servers take it. Raises Invalid when it is none.

    Names that only a local network knows (`ada@office.local`) pass: whether mail arrives is for the mail server to say.
    """
    if len(address) <= _LONGEST_ADDRESS and address.isprintable() and _PLAIN.fullmatch(address):
        return address
    try:  # an international domain has an ASCII form, which is not for us to guess
        found = validate_email(address, check_deliverability=False)
    except EmailNotValidError as error:
        raise Invalid("mail.address", "This is not an e-mail address that mail can be sent to.") from error
    return found.ascii_email or found.normalized


def deliver(settings: Settings, errand: ErrandFacts) -> None:
    """Send what `post` has written.

    Raises Unavailable when it should be tried again, CannotBeDone when the mail server refuses it for good.
    """
    message = letter(settings, errand)
    to: str = errand.payload["to"]
    if settings.mail.url == CONSOLE:
        log.info("mail", to=to, subject=errand.payload["subject"], text=errand.payload["text"])
    elif settings.mail.url:
        sender = _sender(settings).addr_spec
        smtp.send(smtp.Server.parse(settings.mail.url), _own_name(settings), message, sender=sender, to=to)
    else:
        _keep(settings, errand, message)


def letter(settings: Settings, errand: ErrandFacts) -> EmailMessage:
    """The message. Each try of an errand gives the same one, by its Message-ID, so that a repeat can be recognised."""
    sender = _sender(settings)
    local, _, domain = errand.payload["to"].rpartition("@")
    message = EmailMessage(policy=_INTERNET.clone(utf8=not local.isascii()))  # RFC 6532, for addresses like ünal@
    message["From"] = str(sender)
    message["To"] = Address(username=local, domain=domain)
    message["Subject"] = errand.payload["subject"]
    message["Date"] = format_datetime(_written_at(errand.id))
    message["Message-ID"] = f"<{errand.id.hex}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(errand.payload["text"])
    return message


def check(settings: Settings) -> str:
    """Where mail goes, in words, after asking the mail server whether it takes any. Raises Unavailable with a fix."""
    _sender(settings)
    if settings.mail.url == CONSOLE:
        return "mail is written to the log of the errands process"
    if not settings.mail.url:
        return f"mail is kept as files in {settings.mail_directory}"
    server = smtp.Server.parse(settings.mail.url)
    with smtp.connected(server, _own_name(settings)) as client:
        client.noop()
    return f"{server.host}:{server.port} answers" + (" and knows our name and password" if server.user else "")


def _sender(settings: Settings) -> Address:
    header = EmailMessage(policy=_INTERNET)
    try:
        header["From"] = settings.mail.sender
        (sender,) = header["From"].addresses
        if not sender.username or not sender.domain or not sender.domain.isascii():
            raise ValueError("no address")
    except (ValueError, IndexError) as error:
        said = f"Mail can't be sent from {settings.mail.sender!r}: that is not one name with one address."
        fix = "Set VOUCH_MAIL__SENDER to something like `Vouch <vouch@example.org>`."
        raise Unavailable("mail.sender", said, fix=fix) from error
    return Address(sender.display_name, sender.username, sender.domain)


def _own_name(settings: Settings) -> str:
    """What we call ourselves to mail servers; some refuse names that nobody knows."""
    host = urlsplit(settings.public_url).hostname or "localhost"
    if ":" in host:
        return f"[IPv6:{host}]"
    return f"[{host}]" if host.replace(".", "").isdigit() else host


def _keep(settings: Settings, errand: ErrandFacts, message: EmailMessage) -> None:
    """One file a mail, for us only; a second try writes the same file again."""
    folder = settings.mail_directory
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{_written_at(errand.id):%Y%m%dT%H%M%S}-{errand.id.hex[-8:]}.eml"
    part = path.with_suffix(".part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(message.as_bytes())
    part.replace(path)


def _written_at(errand_id: uuid.UUID) -> datetime:
    """When the errand was made: a uuid7 begins with the milliseconds since 1970."""
    return datetime.fromtimestamp((errand_id.int >> 80) // 1000, UTC)


def _one_line(subject: str) -> str:
    """A subject that can't begin another header, whatever name somebody gave to their voice."""
    words = " ".join(_encodable(subject).split())
    return "".join(character for character in words if character.isprintable())[:_LONGEST_SUBJECT]


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
