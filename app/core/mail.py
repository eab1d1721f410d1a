"""Mail that leaves: written as an errand in the transaction that causes it, sent by workers/errands.py."""

from __future__ import annotations

import re
import uuid

from email_validator import EmailNotValidError, validate_email
from sqlalchemy.orm import Session

from app.core import errands
from app.core.errors import Invalid

KIND = "mail"
_LONGEST_ADDRESS = 254
_PLAIN = re.compile(r"[^\s@<>()\[\],;:\\\"]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


def post(session: Session, *, to: str, subject: str, text: str, key: str, owner_id: uuid.UUID | None = None) -> None:
    """Have a mail sent once the caller's transaction commits. The same `key` again sends nothing.

    `text` is plain text; it is kept only until it is sent. Raises Invalid for what is no address.
    """
    payload = {"to": deliverable(to), "subject": " ".join(subject.split()), "text": text}
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
