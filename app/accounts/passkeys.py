"""Passkeys (WebAuthn): a device that checks its holder by itself signs in alone, and counts as a second factor.

Every ceremony has a challenge that is stored as a one-time token, works once, for one purpose, for five minutes. What
browsers send is untrusted: whatever is wrong with it, the answer is the same short refusal.
"""

from __future__ import annotations

import ipaddress
import json
import uuid
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import structlog
import webauthn
from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session
from webauthn.helpers import bytes_to_base64url
from webauthn.helpers.options_to_json_dict import options_to_json_dict
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from app.accounts import links
from app.accounts.factor_models import Passkey
from app.accounts.models import Account, OneTimeToken, TokenPurpose
from app.core import audit
from app.core.audit import Actor
from app.core.db import now
from app.core.errors import Invalid, NotFound
from app.core.text import one_line
from app.settings import Settings

CHALLENGE_LIFETIME = timedelta(minutes=5)
MAX_PASSKEYS = 20
MAX_SENT = 20_000
"""Longest answer of a browser, in characters. Real ones have about 1,000."""
_CREDENTIAL_ID_BYTES = 1023
_log = structlog.get_logger("vouch.passkeys")


class Ceremony(StrEnum):
    """What a challenge was made for: it is good for nothing else."""

    ADD = "add"
    SIGN_IN = "sign_in"
    SECOND_STEP = "second_step"
    CONFIRM = "confirm"


@dataclass(frozen=True)
class Site:
    """Whom the passkeys are for: browsers bind them to `rp_id` and say from which `origin` they were asked."""

    rp_id: str
    origin: str
    name: str


def site_of(settings: Settings) -> Site | None:
    """This service as browsers know it; None where they allow no passkeys: without a name, or without TLS."""
    parts = urlsplit(settings.public_url)
    host = parts.hostname or ""
    try:
        ipaddress.ip_address(host)
        return None
    except ValueError:
        pass
    if parts.scheme != "https" and host != "localhost":
        return None
    standard = parts.port in (None, {"https": 443, "http": 80}[parts.scheme])
    port = "" if standard else f":{parts.port}"
    return Site(host, f"{parts.scheme}://{host}{port}", settings.voices.service_name)


def of_account(session: Session, account_id: uuid.UUID) -> list[Passkey]:
    """The account's passkeys, oldest first."""
    return list(session.scalars(select(Passkey).where(Passkey.account_id == account_id).order_by(Passkey.id)))


def has_any(session: Session, account_id: uuid.UUID) -> bool:
    """Whether the account has a passkey."""
    return session.scalar(select(Passkey.id).where(Passkey.account_id == account_id).limit(1)) is not None


def begin_adding(session: Session, account: Account, site: Site, *, holder: uuid.UUID) -> dict[str, Any]:
    """What the browser needs to make a passkey, with a challenge for the log-in session `holder`."""
    challenge = _new_challenge(session, Ceremony.ADD, account_id=account.id, holder=holder)
    options = webauthn.generate_registration_options(
        rp_id=site.rp_id,
        rp_name=site.name,
        user_id=account.id.bytes,
        user_name=account.email,
        user_display_name=account.name,
        challenge=challenge,
        timeout=_milliseconds(CHALLENGE_LIFETIME),
        exclude_credentials=_descriptors(session, account.id),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
    )
    return options_to_json_dict(options)


def begin_proving(
    session: Session,
    site: Site,
    ceremony: Ceremony,
    *,
    account_id: uuid.UUID | None = None,
    holder: uuid.UUID | None = None,
) -> dict[str, Any]:
    """What the browser needs to use a passkey: one of the account's, or without an account any that it knows."""
    options = webauthn.generate_authentication_options(
        rp_id=site.rp_id,
        challenge=_new_challenge(session, ceremony, account_id=account_id, holder=holder),
        timeout=_milliseconds(CHALLENGE_LIFETIME),
        allow_credentials=_descriptors(session, account_id) if account_id else None,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return options_to_json_dict(options)


def take_challenge(
    session: Session,
    sent: str,
    ceremony: Ceremony,
    *,
    account_id: uuid.UUID | None = None,
    holder: uuid.UUID | None = None,
) -> bytes:
    """The challenge that a browser answers, taken out of use. Commit before the answer is judged.

    Raises Invalid for one that is unknown, used, too old, or was made for something else.
    """
    challenge = _challenge_in(sent)
    token = bytes_to_base64url(challenge)
    try:
        row = links.look(session, token, TokenPurpose.PASSKEY)
        if row.account_id != account_id or row.facts != _facts(ceremony, holder):
            raise refused()
        links.use(session, token, TokenPurpose.PASSKEY)
    except Invalid:
        raise refused() from None
    return challenge


def add(
    session: Session, account: Account, site: Site, *, challenge: bytes, sent: str, name: str, actor: Actor
) -> Passkey:
    """Keep the passkey that a browser made. Raises Invalid when something is wrong with it, or with one too many."""
    if len(of_account(session, account.id)) >= MAX_PASSKEYS:
        raise Invalid("passkey.too_many", f"You have {MAX_PASSKEYS} passkeys. Remove one that you no longer use.")
    try:
        made = webauthn.verify_registration_response(
            credential=sent,
            expected_challenge=challenge,
            expected_rp_id=site.rp_id,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except Exception as error:  # the library's parsers raise many kinds for malformed input; none of them is ours
        _log.info("passkey.not_added", why=str(error)[:200])
        raise refused() from error
    known = session.scalar(select(Passkey.id).where(Passkey.credential_id == made.credential_id))
    if known is not None or len(made.credential_id) > _CREDENTIAL_ID_BYTES:
        raise refused()
    passkey = Passkey(
        account_id=account.id,
        name=one_line(name, 60) or "Passkey",
        credential_id=made.credential_id,
        public_key=made.credential_public_key,
        sign_count=made.sign_count,
    )
    session.add(passkey)
    session.flush()
    audit.record(session, actor, "passkey.added", passkey, facts={"kind": made.credential_device_type.value})
    return passkey


def holder_of(session: Session, site: Site, *, challenge: bytes, sent: str) -> Account | None:
    """The account whose passkey answered the challenge; None when it did not, or looks like a copy.

    A copy is told by its counter going back. That is audited, so commit also when this gives None.
    """
    passkey = session.scalar(select(Passkey).where(Passkey.credential_id == _credential_id_in(sent)))
    if passkey is None:
        return None
    try:
        proof = webauthn.verify_authentication_response(
            credential=sent,
            expected_challenge=challenge,
            expected_rp_id=site.rp_id,
            expected_origin=site.origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=0,  # compared below, where it can be compared and set in one statement
            require_user_verification=True,
        )
    except Exception as error:  # as in `add`
        _log.info("passkey.not_proved", why=str(error)[:200])
        return None
    if not _count_up(session, passkey, proof.new_sign_count):
        facts = {"known": passkey.sign_count, "sent": proof.new_sign_count}
        audit.record(session, Actor.system("passkeys"), "passkey.count_went_back", passkey, facts=facts)
        return None
    return session.get_one(Account, passkey.account_id)


def _count_up(session: Session, passkey: Passkey, count: int) -> bool:
    """Set the counter if it goes up. Passkeys that count nothing stay at zero."""
    never = (Passkey.sign_count == 0) if count == 0 else (Passkey.sign_count < count)
    counted = session.execute(
        update(Passkey).where(Passkey.id == passkey.id, never).values(sign_count=count, used_at=now()),
        execution_options={"synchronize_session": False},
    )
    return bool(counted.rowcount)  # type: ignore[attr-defined]


def rename(session: Session, account: Account, passkey_id: uuid.UUID, name: str, actor: Actor) -> None:
    """Call a passkey something else. Raises NotFound for another account's."""
    passkey = _own(session, account, passkey_id)
    passkey.name = one_line(name, 60) or passkey.name
    audit.record(session, actor, "passkey.renamed", passkey)


def remove(session: Session, account: Account, passkey_id: uuid.UUID, actor: Actor) -> None:
    """Forget a passkey. Raises NotFound for another account's."""
    passkey = _own(session, account, passkey_id)
    session.delete(passkey)
    session.flush()
    audit.record(session, actor, "passkey.removed", passkey)


def refused() -> Invalid:
    """What is said of every passkey that did not work, whatever the reason."""
    return Invalid("passkey.refused", "That passkey did not work here. Try again, or use another way.")


def _own(session: Session, account: Account, passkey_id: uuid.UUID) -> Passkey:
    passkey = session.get(Passkey, passkey_id)
    if passkey is None or passkey.account_id != account.id:
        raise NotFound("passkey.not_found", "There is no such passkey.")
    return passkey


def _new_challenge(
    session: Session, ceremony: Ceremony, *, account_id: uuid.UUID | None, holder: uuid.UUID | None
) -> bytes:
    # Anybody may ask for a challenge, so old ones go at once: no more are kept than were asked for in five minutes.
    old = or_(OneTimeToken.expires_at <= now(), OneTimeToken.used_at.is_not(None))
    session.execute(delete(OneTimeToken).where(OneTimeToken.purpose == TokenPurpose.PASSKEY, old))
    facts = _facts(ceremony, holder)
    return _decoded(links.issue(session, account_id, TokenPurpose.PASSKEY, CHALLENGE_LIFETIME, facts))


def _facts(ceremony: Ceremony, holder: uuid.UUID | None) -> dict[str, Any]:
    return {"ceremony": ceremony.value, "holder": str(holder) if holder else ""}


def _descriptors(session: Session, account_id: uuid.UUID) -> list[PublicKeyCredentialDescriptor]:
    return [PublicKeyCredentialDescriptor(id=passkey.credential_id) for passkey in of_account(session, account_id)]


def _challenge_in(sent: str) -> bytes:
    try:
        client_data = json.loads(_decoded(json.loads(sent)["response"]["clientDataJSON"]))
        return _decoded(client_data["challenge"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise refused() from None


def _credential_id_in(sent: str) -> bytes:
    """The id of the passkey in an answer whose challenge could be read."""
    try:
        return _decoded(json.loads(sent)["id"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return b""


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(f"{text}===")


def _milliseconds(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)
