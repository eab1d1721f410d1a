"""E-mail addresses: one spelling of each, so that two accounts can't have addresses that look or work alike."""

from __future__ import annotations

from email_validator import EmailNotValidError, validate_email

from app.core.errors import Invalid
from app.core.text import printable

LONGEST = 254  # RFC 5321's longest path, less its brackets


def clean_email(typed: str) -> str:
    """The one spelling that is stored and looked up: lower case, the domain in its ASCII form. Asks no name server.

    Before the @ only ASCII is taken: Unicode has letters that look alike and letters that fold into others, and either
    would let a second person receive the mail of the first. Raises Invalid with what is wrong.
    """
    typed = typed.strip()
    local = typed.rpartition("@")[0]
    if len(typed) > LONGEST or not local:
        raise _not_an_address()
    if not local.isascii():
        raise Invalid("account.email", "Before the @, an address may only have plain letters, digits and signs.")
    try:
        found = validate_email(typed, check_deliverability=False, allow_smtputf8=False, strict=True)
    except EmailNotValidError as error:
        raise _not_an_address() from error
    if found.ascii_email is None or len(found.ascii_email) > LONGEST:
        raise _not_an_address()
    return found.ascii_email.lower()


def spelling(typed: str) -> str:
    """What to look an address up by: as `clean_email`; what is no address is given back as a database can take it."""
    try:
        return clean_email(typed)
    except Invalid:
        return printable(typed[: 2 * LONGEST])[:LONGEST]


def _not_an_address() -> Invalid:
    return Invalid("account.email", "That is not an e-mail address. It should look like name@example.org.")
