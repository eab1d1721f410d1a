"""Erasing an account: personal data and biometrics go, what proves where audio came from stays.

One transaction changes the rows and names the stored objects for errands that delete them, so a storage that is down
delays an erasure and never loses one. What must wait (clips that a moderator is looking at) is erased by a later round:
`erase` may be called again until the erasure is done.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Delete, Update, delete, exists, select, update
from sqlalchemy.orm import Session

import app.voices.entitlements  # noqa: F401 - voices follow the plan that is taken away here
from app.accounts import holds
from app.accounts.factor_models import Passkey, RecoveryCode, TotpFactor
from app.accounts.key_models import ApiKey
from app.accounts.models import (
    Account,
    KnownBrowser,
    LoginEvent,
    LoginSession,
    OneTimeToken,
    Standing,
)
from app.accounts.signals import Signal, SignalKind
from app.billing import outgoing
from app.billing.models import BillingCustomer, CardSeen, Subscription, Verification
from app.billing.queries import is_live, subscription_of
from app.billing.subscriptions import FREE, set_plan
from app.core import audit, errands
from app.core.audit import Actor
from app.core.db import now
from app.core.erasing import forget_objects
from app.core.states import lock
from app.jobs import service as jobs
from app.jobs.models import Job
from app.privacy import letters, wiping
from app.privacy.models import DataExport, Erasure
from app.provenance import fingerprints
from app.provenance.evidence.models import EvidenceBundle
from app.provenance.models import Stamp, TraceQuery
from app.settings import Settings
from app.speech.models import Clip, Generation
from app.voices.models import Consent, Sample, Voice, VoiceState
from app.voices.service import delete_voice

ERASER = Actor.system("erasure")
NAME = "Erased account"
KEPT = (
    "generations and stamps of clips: tag, salted digest of the text, format, fingerprint of the file",
    "ledger entries: numbers of characters",
    "that and when a consent was in force, without name, words or recording",
    "the record of acts, which names accounts by number only",
)
"""What stays of every account, because others must be able to trace audio and nobody may change the record."""
BUNDLES = "evidence bundles that were made about clips, with their text and sound, as long as such bundles are kept"
CARDS = "fingerprints of cards, because the account was banned"
REVIEWED = "clips that a moderator is looking at, until that is settled"


def is_due(account: Account) -> bool:
    """Whether the holder's time to undo the deletion is over."""
    return account.erased_at is None and account.closing_at is not None and account.closing_at <= now()


def erase(session: Session, account: Account, settings: Settings) -> bool:
    """Erase an account whose deletion is due, or go on with one that is partly erased. Gives whether nothing is left.

    Does nothing while a legal hold is in force, or when the deletion was undone meanwhile.
    """
    lock(session, account)
    if holds.is_held(session, account.id):
        return False
    row = session.scalar(select(Erasure).where(Erasure.account_id == account.id))
    if row is None:
        if not is_due(account):
            return True
        row = _begin(session, account, settings)
    elif row.done_at is not None:
        return True
    reviewed = _reviewed(session, account)
    row.removed = _sum(row.removed, _erase_clips(session, account, reviewed))
    also = ((BUNDLES, _has_bundles(session, account)), (CARDS, account.state is Standing.BANNED), (REVIEWED, reviewed))
    row.kept = [*KEPT, *(what for what, is_so in also if is_so)]
    row.done_at = None if reviewed else now()
    session.flush()
    audit.record(session, ERASER, "account.erased", account, facts={"removed": row.removed, "left": len(reviewed)})
    return not reviewed


def _begin(session: Session, account: Account, settings: Settings) -> Erasure:
    letters.erased(session, account, settings)
    removed = {**_erase_voices(session, account), **_erase_traces(session, account)}
    removed |= _erase_traffic(session, account) | _erase_billing(session, account)
    _erase_person(session, account)
    row = Erasure(account_id=account.id, removed=removed)
    session.add(row)
    session.flush()
    return row


def _erase_voices(session: Session, account: Account) -> dict[str, int]:
    """Voices with samples, consents and everything that was made from them."""
    for job in jobs.open_jobs(session, account_id=account.id):
        jobs.cancel(session, job, ERASER, "the account is erased")
    voices = list(session.scalars(select(Voice).where(Voice.account_id == account.id).order_by(Voice.id)))
    keys: list[str] = []
    samples = consents = 0
    for voice in voices:
        if voice.state is not VoiceState.DELETED:
            delete_voice(session, voice, ERASER, "the account is erased")
        for sample in session.scalars(select(Sample).where(Sample.voice_id == voice.id)):
            keys += wiping.wipe_sample(session, sample, whole=True)
            samples += 1
        for consent in session.scalars(select(Consent).where(Consent.voice_id == voice.id)):
            keys += wiping.wipe_consent(consent)
            consents += 1
        keys += [voice.artefact_key] if voice.artefact_key else []
        voice.name, voice.description, voice.labels, voice.problem, voice.artefact_key = "", "", {}, None, None
    session.flush()
    forget_objects(session, f"account:{account.id}", keys)
    return {"voices": len(voices), "samples": samples, "consents": consents}


def _reviewed(session: Session, account: Account) -> list[uuid.UUID]:
    """Clips that an open signal is about."""
    about = exists().where(
        Signal.account_id == account.id,
        Signal.kind == SignalKind.TEXT_RULE,
        Signal.closed_at.is_(None),
        Signal.reference == Clip.public_id,
    )
    return list(session.scalars(select(Clip.id).where(Clip.account_id == account.id, about)))


def _has_bundles(session: Session, account: Account) -> bool:
    """Whether evidence was made about the account's clips. It stays: that is what it was made for."""
    of_account = (
        select(EvidenceBundle.id)
        .join(TraceQuery, TraceQuery.id == EvidenceBundle.trace_query_id)
        .join(Generation, Generation.id == TraceQuery.generation_id)
        .where(Generation.account_id == account.id)
    )
    return session.scalar(of_account.limit(1)) is not None


def _erase_clips(session: Session, account: Account, but: Sequence[uuid.UUID]) -> dict[str, int]:
    """Texts and audio. Rows, generations and stamps stay: a file that turns up somewhere can still be traced."""
    theirs = (Clip.account_id == account.id, Clip.text != "", Clip.id.not_in(but))
    found = session.execute(
        select(Clip.id, Generation.id, Stamp.storage_key)
        .outerjoin(Generation, Generation.clip_id == Clip.id)
        .outerjoin(Stamp, Stamp.generation_id == Generation.id)
        .where(*theirs)
        .order_by(Clip.id)
    ).all()
    if found:  # the first clip names the errand: another round erases other clips
        keys = [key for _, _, key in found if key is not None]
        forget_objects(session, f"clips:{found[0][0]}", keys)
    prints = fingerprints.forget(session, (generation for _, generation, _ in found if generation is not None))
    _change(session, update(Clip).where(*theirs).values(text=""))
    closed = delete(Signal).where(Signal.account_id == account.id, Signal.closed_at.is_not(None))
    return {"clips": len(found), "fingerprints": prints, "signals": _change(session, closed)}


def _erase_traces(session: Session, account: Account) -> dict[str, int]:
    """Files that the account, if it was a moderator's, has had traced."""
    keys = []
    traces = session.scalars(select(TraceQuery).where(TraceQuery.asked_by == str(account.id))).all()
    for query in traces:
        keys += wiping.wipe_trace(query)
    exports = session.scalars(select(DataExport).where(DataExport.account_id == account.id)).all()
    for export in exports:
        keys += [export.storage_key] if export.storage_key else []
        session.delete(export)
    forget_objects(session, f"files:{account.id}", keys)
    return {"traces": len(traces), "exports": len(exports)}


def _erase_traffic(session: Session, account: Account) -> dict[str, int]:
    """How the account was used, and by what it was opened."""
    removed = {}
    for table in (LoginSession, LoginEvent, KnownBrowser, OneTimeToken, TotpFactor, RecoveryCode, Passkey):
        removed[table.__tablename__] = _change(session, delete(table).where(table.account_id == account.id))
    api_keys = session.scalars(select(ApiKey).where(ApiKey.account_id == account.id)).all()
    for key in api_keys:  # the rows stay: ledger entries name them
        key.name, key.prefix, key.key_digest = "", "", f"erased:{key.id}"
        key.allowed_networks, key.last_address = [], None
        key.revoked_at = key.revoked_at or now()
    done = update(Job).where(Job.account_id == account.id).values(request={}, error_message=None)
    return {**removed, "api_keys": len(api_keys), "jobs": _change(session, done)}


def _erase_billing(session: Session, account: Account) -> dict[str, int]:
    """What the payment provider keeps goes by errands. They are no errands of the account, which are dropped here."""
    subscription = subscription_of(session, account.id)
    if subscription is not None and is_live(subscription):
        outgoing.cancel_subscription(session, subscription.external_id)
    outgoing.forget_person(session, account)
    set_plan(session, account, FREE, ERASER, "the account is erased")
    proofs = update(Verification).where(Verification.account_id == account.id)
    removed = {
        "subscriptions": _change(session, delete(Subscription).where(Subscription.account_id == account.id)),
        "customers": _change(session, delete(BillingCustomer).where(BillingCustomer.account_id == account.id)),
        "verifications": _change(session, proofs.values(external_id=None, name_digest=None, reason=None)),
        "cards": 0,
    }
    named = [SignalKind.LEAKED_KEY]  # its sentence holds the name of the key
    if account.state is not Standing.BANNED:  # else the next account of the same person must be recognised
        removed["cards"] = _change(session, delete(CardSeen).where(CardSeen.account_id == account.id))
        named.append(SignalKind.LINKED_CARD)  # its reference is a card
    _change(session, delete(Signal).where(Signal.account_id == account.id, Signal.kind.in_(named)))
    return removed


def _erase_person(session: Session, account: Account) -> None:
    errands.drop(session, owner_id=account.id)
    account.email, account.name, account.password_hash = f"erased:{account.id}", NAME, ""
    account.verified_at, account.recheck_by, account.closing_at = None, None, None
    account.erased_at = now()
    session.flush()


def _change(session: Session, statement: Update | Delete) -> int:
    result = session.execute(statement.execution_options(synchronize_session=False))
    return int(result.rowcount)  # type: ignore[attr-defined]  # an UPDATE and a DELETE always have a row count


def _sum(before: dict[str, Any], more: dict[str, int]) -> dict[str, Any]:
    return {**before, **{name: before.get(name, 0) + number for name, number in more.items()}}
