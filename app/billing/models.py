"""Tables of the usage ledger, of customers and subscriptions, and of proofs of identity."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, now, primary_key
from app.core.states import state_enum


class Book(StrEnum):
    """The books of one account and period between which characters move."""

    GRANTED = "granted"
    """Where allowances come from."""
    OVERAGE = "overage"
    """Where characters beyond the allowance come from; each is billed."""
    REFUNDED = "refunded"
    """Where characters given back come from."""
    ALLOWANCE = "allowance"
    """What can still be spent."""
    RESERVED = "reserved"
    """Held for clips that are being made."""
    USED = "used"
    """Spoken."""


class EntryKind(StrEnum):
    """Why characters moved; each kind has one way (see MOVES)."""

    GRANT = "grant"
    CARRY = "carry"
    """What was left of a period that ended early, because a larger plan began a new one."""
    OVERAGE = "overage"
    OVERAGE_BACK = "overage_back"
    RESERVE = "reserve"
    RELEASE = "release"
    SETTLE = "settle"
    REFUND = "refund"


MOVES: dict[EntryKind, tuple[Book, Book]] = {
    EntryKind.GRANT: (Book.GRANTED, Book.ALLOWANCE),
    EntryKind.CARRY: (Book.GRANTED, Book.ALLOWANCE),
    EntryKind.OVERAGE: (Book.OVERAGE, Book.ALLOWANCE),
    EntryKind.OVERAGE_BACK: (Book.ALLOWANCE, Book.OVERAGE),
    EntryKind.RESERVE: (Book.ALLOWANCE, Book.RESERVED),
    EntryKind.RELEASE: (Book.RESERVED, Book.ALLOWANCE),
    EntryKind.SETTLE: (Book.RESERVED, Book.USED),
    EntryKind.REFUND: (Book.REFUNDED, Book.ALLOWANCE),
}
"""From which book to which. Every entry has both, so all books of a period always add up to nothing."""

_ONE_WAY = " OR ".join(
    f"(kind = '{kind.value}' AND debit = '{debit.value}' AND credit = '{credit.value}')"
    for kind, (debit, credit) in MOVES.items()
)


_AN_END = "kind IN ('settle', 'release')"


class LedgerEntry(Base):
    """Characters that moved from one book to another. Append-only.

    One per job and kind, whatever is retried; a job that was settled can't be released, nor one released be settled.
    """

    __tablename__ = "ledger_entry"
    __table_args__ = (
        UniqueConstraint("job_id", "kind"),
        UniqueConstraint("account_id", "kind", "reference"),
        CheckConstraint("characters > 0", name="positive"),
        CheckConstraint(_ONE_WAY, name="one_way_for_each_kind"),
        CheckConstraint("(job_id IS NULL) <> (reference IS NULL)", name="job_or_reference"),
        Index(
            "uq_ledger_entry_one_end",
            "job_id",
            unique=True,
            sqlite_where=text(_AN_END),
            postgresql_where=text(_AN_END),
        ),
        Index(None, "account_id", "period", "kind", "characters"),  # a balance is read from the index alone
        Index(None, "api_key_id", "at"),
    )

    id: Mapped[uuid.UUID] = primary_key()
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    period: Mapped[datetime]
    """Start of the allowance period that it counts in."""
    kind: Mapped[EntryKind] = mapped_column(state_enum(EntryKind))
    debit: Mapped[Book] = mapped_column(state_enum(Book, checked=False))
    credit: Mapped[Book] = mapped_column(state_enum(Book, checked=False))
    characters: Mapped[int]
    job_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("job.id"))
    reference: Mapped[str | None] = mapped_column(String(80))
    """What a grant is for: period and plan."""
    api_key_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("api_key.id"))
    at: Mapped[datetime] = mapped_column(default=now)


class BillingCustomer(Base):
    """An account as the payment provider knows it."""

    __tablename__ = "billing_customer"

    id: Mapped[uuid.UUID] = primary_key()
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"), unique=True)
    external_id: Mapped[str] = mapped_column(String(120), unique=True)
    card_fingerprint: Mapped[str | None] = mapped_column(String(64), index=True)
    """The provider's name for the card in use: the same for the same card in any account."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class CardSeen(Base):
    """A card that an account has paid with, kept to recognise a banned person's next account."""

    __tablename__ = "card_seen"
    __table_args__ = (UniqueConstraint("account_id", "fingerprint"), Index(None, "fingerprint"))

    id: Mapped[uuid.UUID] = primary_key()
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    fingerprint: Mapped[str] = mapped_column(String(64))
    first_seen_at: Mapped[datetime] = mapped_column(default=now)


class SubscriptionStatus(StrEnum):
    """How a subscription stands, in the provider's words."""

    INCOMPLETE = "incomplete"
    INCOMPLETE_EXPIRED = "incomplete_expired"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    UNPAID = "unpaid"
    PAUSED = "paused"
    CANCELED = "canceled"


class Subscription(Base):
    """The subscription of an account, as it was when it was last read from the provider."""

    __tablename__ = "subscription"
    __table_args__ = (CheckConstraint("overage_cap >= 0", name="cap_not_negative"), Index(None, "grace_until"))

    id: Mapped[uuid.UUID] = primary_key()
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"), unique=True)
    external_id: Mapped[str] = mapped_column(String(120), unique=True)
    plan: Mapped[str] = mapped_column(String(24))
    status: Mapped[SubscriptionStatus] = mapped_column(state_enum(SubscriptionStatus))
    period_start: Mapped[datetime]
    period_end: Mapped[datetime]
    cancel_at_period_end: Mapped[bool] = mapped_column(default=False)
    grace_until: Mapped[datetime | None]
    """While a payment is missing: until when the plan goes on. Afterwards the account is on the free plan."""
    overage_cap: Mapped[int] = mapped_column(default=0)
    """Most characters beyond the allowance that the holder lets us bill in a period."""
    read_at: Mapped[datetime]
    """When the read that this row rests on began: an older read never overwrites a newer one."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class VerificationMethod(StrEnum):
    """Who proved the person."""

    STRIPE = "stripe"
    SANDBOX = "sandbox"
    OPERATOR = "operator"


class VerificationState(StrEnum):
    """Where a proof of identity stands, in the provider's words."""

    REQUIRES_INPUT = "requires_input"
    PROCESSING = "processing"
    VERIFIED = "verified"
    CANCELED = "canceled"


class Verification(Base):
    """One proof that a real person is behind an account: status, session id, a digest; no name, no document."""

    __tablename__ = "verification"
    __table_args__ = (Index(None, "account_id"),)

    id: Mapped[uuid.UUID] = primary_key()
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("account.id"))
    method: Mapped[VerificationMethod] = mapped_column(state_enum(VerificationMethod))
    state: Mapped[VerificationState] = mapped_column(state_enum(VerificationState))
    external_id: Mapped[str | None] = mapped_column(String(120), unique=True)
    name_digest: Mapped[str | None] = mapped_column(String(64))
    """Keyed digest of the proved name, to tell whether it changes."""
    problem: Mapped[str | None] = mapped_column(String(64))
    """The provider's code for what is missing."""
    reason: Mapped[str | None] = mapped_column(Text)
    """The operator's reason, where an operator has vouched for the person."""
    read_at: Mapped[datetime] = mapped_column(default=now)
    redacted_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    finished_at: Mapped[datetime | None]


class SandboxObject(Base):
    """What the sandbox gateway pretends that a payment provider keeps. Empty where a real one is used."""

    __tablename__ = "sandbox_object"

    id: Mapped[str] = mapped_column(String(60), primary_key=True)
    kind: Mapped[str] = mapped_column(String(24), index=True)
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(default=now)
