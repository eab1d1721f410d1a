"""Handing a message to a mail server: encrypted where it can be, and with plain words for what goes wrong."""

from __future__ import annotations

import ipaddress
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from app.core.errands import CannotBeDone
from app.core.errors import Unavailable

SECONDS = 20.0
"""How long the server may stay silent."""
_NEEDS_PASSWORD = 530
_FIX = "See that the mail server runs and can be reached from here, or correct VOUCH_MAIL__URL."


@dataclass(frozen=True)
class Server:
    """A mail server as `settings.mail.url` names it."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    encrypted: bool
    """From the first byte (smtps); else STARTTLS is asked for."""

    @classmethod
    def parse(cls, url: str) -> Server:
        """Read `smtp[s]://[user:password@]host[:port]`; the ports left out are 465, 587 with a user, 25 without."""
        try:
            parts = urlsplit(url)
            if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
                raise ValueError("no mail server")
            user, encrypted = unquote(parts.username or ""), parts.scheme == "smtps"
            port = parts.port or (465 if encrypted else 587 if user else 25)
        except ValueError as error:
            fix = "Write it as smtp://user:password@host:587 or smtps://user:password@host, with %40 for an @ inside."
            raise Unavailable("mail.url", "VOUCH_MAIL__URL is not the address of a mail server.", fix=fix) from error
        return cls(parts.hostname, port, user, unquote(parts.password or ""), encrypted)

    @property
    def is_here(self) -> bool:
        """Whether it runs on this machine, so that nobody is in between."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


@contextmanager
def connected(server: Server, own_name: str) -> Iterator[smtplib.SMTP]:
    """A session with the server, signed in. Raises Unavailable for everything that goes wrong in it."""
    try:
        client = _open(server, own_name)
        try:
            _protect(client, server)
            yield client
        finally:
            with suppress(OSError, smtplib.SMTPException):  # what was said is said: a bad farewell changes nothing
                client.quit()
            client.close()
    except (OSError, smtplib.SMTPException) as error:
        said = f"The mail server {server.host}:{server.port} could not be used: {_reason(error)}"
        raise Unavailable("mail.away", said, fix=_FIX) from error


def send(server: Server, own_name: str, message: EmailMessage, *, sender: str, to: str) -> None:
    """Hand over one message for one address.

    Raises CannotBeDone when the server refuses the address or the message for good, Unavailable for all else.
    """
    with connected(server, own_name) as client:
        try:
            client.send_message(message, sender, [to])
        except smtplib.SMTPRecipientsRefused as refused:
            code, text = refused.recipients[to]
            _unless_for_good(code, text, refused)
            raise smtplib.SMTPResponseException(code, text) from refused
        except smtplib.SMTPDataError as refused:
            _unless_for_good(refused.smtp_code, refused.smtp_error, refused)
            raise
        except smtplib.SMTPNotSupportedError as refused:
            raise CannotBeDone("the mail server can't send to an address with such letters") from refused


def _open(server: Server, own_name: str) -> smtplib.SMTP:
    if server.encrypted:
        context = _context(server)
        return smtplib.SMTP_SSL(server.host, server.port, local_hostname=own_name, timeout=SECONDS, context=context)
    return smtplib.SMTP(server.host, server.port, local_hostname=own_name, timeout=SECONDS)


def _protect(client: smtplib.SMTP, server: Server) -> None:
    """Encrypt when the server can, and sign in; never with a password in the open across a network."""
    client.ehlo_or_helo_if_needed()
    if not server.encrypted and client.has_extn("starttls"):
        client.starttls(context=_context(server))
        client.ehlo_or_helo_if_needed()
    elif not server.encrypted and server.password and not server.is_here:
        said = f"The mail server {server.host}:{server.port} offers no encryption, so it was not told the password."
        raise Unavailable("mail.in_the_open", said, fix="Use smtps://, or a mail server that offers STARTTLS.")
    if server.user:
        try:
            client.login(server.user, server.password)
        except UnicodeEncodeError:  # would name a letter of the password
            said = "The name or the password for the mail server has letters that mail servers do not take."
            raise Unavailable("mail.password", said, fix="Use one of plain ASCII in VOUCH_MAIL__URL.") from None


def _context(server: Server) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if server.is_here:  # mail servers of a machine itself come with certificates that nobody has signed
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _unless_for_good(code: int, text: bytes | str, error: Exception) -> None:
    """Raise CannotBeDone for a 5xx, except when the server only asks us to sign in first."""
    if 500 <= code < 600 and code != _NEEDS_PASSWORD:
        raise CannotBeDone(f"the mail server refused it: {code} {_readable(text)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_readable(error.smtp_error)}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}."
    if isinstance(error, TimeoutError):
        return f"no answer within {SECONDS:.0f} seconds."
    return str(error) or type(error).__name__


def _readable(text: bytes | str) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text
