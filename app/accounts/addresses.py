"""E-mail addresses: one spelling of each, so that two accounts can't have addresses that look or work alike."""

from __future__ import annotations

from email_validator import EmailNotValidError, validate_email

from app.core.errors import Invalid

LONGEST = 254  # RFC 5321's longest path, less its brackets


def clean_email(typed: str) -> str:
    """The one spelling that is stored and looked up: lower case, the domain in its ASCII form. Asks no name server.

    Before the @ only ASCII is taken: Unicode has letters that look alike and letters that fold into others, and either
    would let a second person receive the mail of the first. Raises Invalid with what is wrong.
    """
    typed = typed.strip()
    local, _, domain = typed.rpartition("@")
    if len(typed) > LONGEST or not local or "." not in domain:
        raise _not_an_address()
    if not local.isascii():
        raise Invalid("account.email", "Before the @, an address may only have plain letters, digits and signs.")
    try:
        found = validate_email(
            typed, check_deliverability=False, allow_smtputf8=False, strict=True, globally_deliverable=False
        )
    except EmailNotValidError as error:
        raise _not_an_address() from error
    if found.ascii_email is None or len(found.ascii_email) > LONGEST:
        raise _not_an_address()
    return found.ascii_email.lower()


def spelling(typed: str) -> str:
    """What to look an address up by: as `clean_email`, but what is no address is given back as it is, cut short."""
    try:
        return clean_email(typed)
    except Invalid:
        return typed.strip()[:LONGEST]


def _not_an_address() -> Invalid:
    return Invalid("account.email", "That is not an e-mail address. It should look like name@example.org.")
