"""Proving that a real person is behind an account, and asking for it again when card or name change.

The provider sees the documents. Kept here are its session's id and state, and a keyed digest of the proved name to tell
whether it changes. Where there is no provider, the operator vouches with a reason.
"""

from __future__ import annotations

import unicodedata
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.accounts.models import Account
from app.accounts.signals import SignalKind, raise_signal
from app.billing import letters, outgoing
from app.billing.customers import BILLING
from app.billing.gateway import Gateway, GatewayDown, VerificationFacts
from app.billing.models import Verification, VerificationMethod, VerificationState
from app.core import audit, crypto
from app.core.audit import Actor
from app.core.db import Databases, now
from app.core.errors import Invalid, RateLimited
from app.core.states import lock
from app.core.text import one_line
from app.settings import Settings

STARTS_A_DAY = 5
REDACTED_AFTER = timedelta(days=30)
"""How long after its begin the provider keeps what it collected: long enough for a moderator to ask about it."""
READ_AGAIN = 4
"""Reads before giving up when others write in between; the errand then tries later."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Change:
    """What makes a new proof necessary."""

    sentence: str
    at_once: bool
    code: str


CARD = Change("Your account is paid with another card than before.", at_once=False, code="card")
NAME = Change("The name on your account has changed.", at_once=True, code="name")

_PROBLEMS = {
    "abandoned": "The check was not finished. Start it again and go through to the end.",
    "consent_declined": "The check needs your agreement to look at your document. Start it again if you want to agree.",
    "country_not_supported": "Documents of this country can't be checked. Use one of another country, or ask us.",
    "device_not_supported": "This device has no camera that works for the check. Start it again on a phone.",
    "document_expired": "The document is no longer valid. Start again with one that is.",
    "document_type_not_supported": "This kind of document can't be checked. "
    "Use a passport, an identity card or a driving licence.",
    "document_unverified_other": "The document could not be checked. "
    "Take the photo in good light, with all four corners in the picture.",
    "selfie_document_missing_photo": "The document has no photo to compare with. Use one that has your photo.",
    "selfie_face_mismatch": "The face in the selfie and the one on the document do not match. "
    "Use your own document, in good light.",
    "selfie_manipulated": "The selfie could not be accepted. Take it anew with the camera, in good light.",
    "selfie_unverified_other": "The selfie could not be checked. Take it in good light, with your whole face in view.",
    "under_supported_age": "You are too young for this check.",
}


def problem_words(code: str | None) -> str:
    """What is missing, and what to do, for the provider's code of a problem."""
    return _PROBLEMS.get(code or "", "The check did not succeed. Start it again, or ask us for help.")


def latest_of(session: Session, account_id: uuid.UUID) -> Verification | None:
    """The newest proof of an account, finished or not: for its page."""
    query = select(Verification).where(Verification.account_id == account_id)
    return session.scalar(query.order_by(Verification.id.desc()).limit(1))


def start(databases: Databases, gateway: Gateway, settings: Settings, account_id: uuid.UUID, return_url: str) -> str:
    """Begin a proof, or go on with one that is not finished; gives where to send the person. Outside of transactions.

    Raises Invalid while the provider still looks at the last one and for an account that will be deleted, and
    RateLimited after STARTS_A_DAY.
    """
    with databases.reading() as session:
        if session.get_one(Account, account_id).closing_at is not None:
            raise Invalid(
                "verification.closing",
                "Your account will be deleted, so nobody needs to look at your documents.",
                fix="If you want to keep the account, say so under “Your data” first.",
            )
        last = latest_of(session, account_id)
    if last is not None and last.external_id is not None and last.finished_at is None:
        url = _go_on(databases, gateway, settings, last.external_id)
        if url is not None:
            return url
    with databases.writing() as session:
        row = _begin(session, session.get_one(Account, account_id), VerificationMethod(gateway.name))
    begun = gateway.start_verification(reference=str(row.id), return_url=return_url, key=f"verification:{row.id}")
    with databases.writing() as session:
        fresh = session.get_one(Verification, row.id)
        if fresh.external_id is None:
            fresh.external_id = begun.id
            outgoing.redact_verification(session, begun.id, due_at=now() + REDACTED_AFTER)
    return begun.url


def _go_on(databases: Databases, gateway: Gateway, settings: Settings, external_id: str) -> str | None:
    facts = refresh(databases, gateway, settings, external_id)
    if facts is not None and facts.state is VerificationState.PROCESSING:
        said = "Your documents are being looked at. You get a mail when that is done; it takes a few minutes."
        raise Invalid("verification.processing", said)
    return facts.url if facts is not None and facts.state is VerificationState.REQUIRES_INPUT else None


def _begin(session: Session, account: Account, method: VerificationMethod) -> Verification:
    lock(session, account)
    last = latest_of(session, account.id)
    if last is not None and last.external_id is None and last.finished_at is None:
        return last  # begun a moment ago in another window, or cut off before the provider answered
    day_ago = now() - timedelta(days=1)
    begun = select(func.count()).where(
        Verification.account_id == account.id,
        Verification.created_at > day_ago,
        Verification.method != VerificationMethod.OPERATOR,
    )
    if (session.scalar(begun) or 0) >= STARTS_A_DAY:
        said = f"The check can be begun {STARTS_A_DAY} times a day. Please try again tomorrow."
        raise RateLimited("verification.too_many", said, retry_after=86_400)
    row = Verification(account_id=account.id, method=method, state=VerificationState.REQUIRES_INPUT)
    session.add(row)
    session.flush()
    audit.record(session, Actor("account", str(account.id)), "verification.started", row)
    return row


def refresh(databases: Databases, gateway: Gateway, settings: Settings, external_id: str) -> VerificationFacts | None:
    """Read a proof from the provider and write down what it is now. Outside of transactions."""
    for _ in range(READ_AGAIN):
        with databases.reading() as session:
            since = session.scalar(select(Verification.read_at).where(Verification.external_id == external_id))
        read_at = now()
        facts = gateway.verification(external_id)
        if facts is None:
            return None
        with databases.writing() as session:
            if apply(session, facts, since=since, read_at=read_at, settings=settings):
                return facts
    raise GatewayDown("payment.busy", "Others are working on the same check. Please try again in a minute.")


def apply(
    session: Session, facts: VerificationFacts, *, since: datetime | None, read_at: datetime, settings: Settings
) -> bool:
    """Write down what a read has shown. Gives False when somebody else wrote after `since`: then read again.

    A finished proof never changes: only the first word that it is verified counts.
    """
    row = _row_of(session, facts)
    if row is None:
        log.info("verification.unknown", external_id=facts.id)
        return True
    account = session.get_one(Account, row.account_id)
    lock(session, account)
    session.refresh(row)
    if row.external_id is None:
        row.external_id = facts.id
        outgoing.redact_verification(session, facts.id, due_at=now() + REDACTED_AFTER)
    elif row.read_at != since:
        return False
    row.read_at = read_at
    if row.finished_at is None:
        row.state = facts.state
        row.problem = facts.problem[:64] if facts.problem else None
        if facts.state is VerificationState.VERIFIED:
            _prove(session, account, row, facts, settings)
        elif facts.state is VerificationState.CANCELED:
            row.finished_at = now()
    return True


def _row_of(session: Session, facts: VerificationFacts) -> Verification | None:
    row = session.scalar(select(Verification).where(Verification.external_id == facts.id))
    if row is not None or facts.reference is None:
        return row
    try:
        row = session.get(Verification, uuid.UUID(facts.reference))
    except ValueError:
        return None
    return row if row is not None and row.external_id is None else None


def _prove(session: Session, account: Account, row: Verification, facts: VerificationFacts, settings: Settings) -> None:
    if facts.name:
        name = " ".join(unicodedata.normalize("NFKC", facts.name).casefold().split())
        row.name_digest = crypto.keyed_digest(crypto.web_secret(settings), "verification.name", name)
        earlier = select(Verification.id).where(
            Verification.account_id == account.id,
            Verification.name_digest.is_not(None),
            Verification.name_digest != row.name_digest,
        )
        if session.scalar(earlier.limit(1)) is not None:
            said = "The account was proved again, with another name than before."
            raise_signal(session, account.id, SignalKind.VERIFICATION, facts.id, said, actor=BILLING)
    row.finished_at = now()
    _count_as_verified(account)
    audit.record(session, BILLING, "verification.verified", row, facts={"account": str(account.id)})
    letters.verified(session, account, row, settings)


def _count_as_verified(account: Account) -> None:
    account.verified_at, account.recheck_by = now(), None


def vouch_for(session: Session, account: Account, reason: str, actor: Actor) -> Verification:
    """The operator has checked who the person is. Raises Invalid without a reason, and for an unfinished sign-up."""
    reason = _reason(reason)
    lock(session, account)
    if account.email_verified_at is None:
        raise Invalid("verification.unproved", "This person has not finished the sign-up yet.")
    row = Verification(
        account_id=account.id,
        method=VerificationMethod.OPERATOR,
        state=VerificationState.VERIFIED,
        reason=reason,
        finished_at=now(),
    )
    session.add(row)
    session.flush()
    _count_as_verified(account)
    audit.record(session, actor, "verification.verified", row, reason=reason, facts={"account": str(account.id)})
    return row


def withdraw(session: Session, account: Account, reason: str, actor: Actor) -> None:
    """The account no longer counts as verified; the person may prove themselves anew. Raises Invalid if it did not."""
    reason = _reason(reason)
    lock(session, account)
    if account.verified_at is None:
        raise Invalid("verification.none", "This account is not verified.")
    account.verified_at, account.recheck_by = None, None
    audit.record(session, actor, "account.verification_withdrawn", account, reason=reason)


def want_recheck(session: Session, account: Account, change: Change, settings: Settings) -> None:
    """Ask a verified person for a new proof: a changed name counts at once, a card after `accounts.recheck_grace`."""
    lock(session, account)
    by = now() if change.at_once else now() + settings.accounts.recheck_grace
    if account.verified_at is None or (account.recheck_by is not None and account.recheck_by <= by):
        return
    account.recheck_by = by
    entry = audit.record(session, BILLING, "account.recheck_wanted", account, reason=change.code)
    session.flush()
    letters.recheck_wanted(session, account, change.sentence, by, f"mail:recheck:{entry.id}", settings)


def rename_account(session: Session, account: Account, name: str, actor: Actor, settings: Settings) -> None:
    """Change the name of an account; a verified person must prove themselves again. Raises Invalid for an empty one."""
    name = one_line(name, 120)
    if not name:
        raise Invalid("account.name", "Please give a name.")
    lock(session, account)
    if name != account.name:
        account.name = name
        audit.record(session, actor, "account.renamed", account)
        want_recheck(session, account, NAME, settings)


def _reason(reason: str) -> str:
    said = reason.strip()[:1_000]
    if not said:
        raise Invalid("reason.missing", "Please say why: the record needs a reason.")
    return said
