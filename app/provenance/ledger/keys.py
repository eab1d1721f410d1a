"""The register of keys: which keys this service began to use, and when. Public halves only."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import select
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from app.core import audit, crypto, signing
from app.core.audit import Actor
from app.core.db import new_id, now
from app.provenance.ledger.models import KeyUse, ProvenanceKey

KEYS = Actor.system("keys")


def register(session: Session, use: KeyUse, name: str, fingerprint: str, public_pem: str | None) -> bool:
    """Write a key into the register and the log, unless it is there; gives whether it was written.

    `fingerprint` names it: 64 hex digits. `public_pem` is what others verify with, None for mark keys. Any number of
    processes may register the same key at once.
    """
    known = select(ProvenanceKey.id).where(ProvenanceKey.use == use, ProvenanceKey.fingerprint == fingerprint)
    if session.scalar(known) is not None:
        return False
    row = ProvenanceKey(
        id=new_id(), use=use, name=name, fingerprint=fingerprint, public_pem=public_pem, created_at=now()
    )
    if not _insert(session, row):
        return False
    audit.record(session, KEYS, "provenance_key.registered", row, facts=facts_of(row))
    return True


def facts_of(row: ProvenanceKey) -> dict[str, str | None]:
    """All columns of a key but its id, as the audit entry of its registration has them."""
    return {
        "use": row.use.value,
        "name": row.name,
        "fingerprint": row.fingerprint,
        "public_pem": row.public_pem,
        "created_at": row.created_at.isoformat(timespec="microseconds"),
    }


def _insert(session: Session, row: ProvenanceKey) -> bool:
    if session.get_bind().dialect.name != "postgresql":  # one writer at a time: nobody came in between
        session.add(row)
        return True
    values = {column.key: getattr(row, column.key) for column in ProvenanceKey.__table__.columns}
    insert = postgresql.insert(ProvenanceKey).values(values).on_conflict_do_nothing()
    return session.scalar(insert.returning(ProvenanceKey.id)) is not None


def registered(session: Session, use: KeyUse | None = None) -> list[ProvenanceKey]:
    """The keys of the register, oldest first."""
    query = select(ProvenanceKey).order_by(ProvenanceKey.created_at, ProvenanceKey.id)
    return list(session.scalars(query if use is None else query.where(ProvenanceKey.use == use)))


def signing_keys(session: Session) -> list[str]:
    """PEM of every public key that checkpoints, receipts and evidence were ever signed with."""
    query = select(ProvenanceKey.public_pem).where(ProvenanceKey.use == KeyUse.SIGNING).order_by(ProvenanceKey.id)
    return [pem for pem in session.scalars(query) if pem]


def register_signing_key(session: Session, key: Ed25519PrivateKey) -> bool:
    """Register the key that this process signs with."""
    pem = signing.public_pem(key)
    return register(session, KeyUse.SIGNING, "signing", signing.fingerprint(pem), pem)


def register_mark_key(session: Session, epoch: int, key: bytes) -> bool:
    """Register the secret key of a mark epoch, by a digest that only its holder can compute."""
    return register(session, KeyUse.MARK, f"mark-{epoch}", mark_fingerprint(key), None)


def mark_fingerprint(key: bytes) -> str:
    """Names a mark key and tells nothing of it: HMAC-SHA256 under the key itself."""
    return crypto.keyed_digest(key, "provenance_key", "mark")


def register_authorities(session: Session, pem: str) -> int:
    """Register the certificates of the authorities that our content credentials lead to; gives how many are new."""
    new = 0
    for certificate in x509.load_pem_x509_certificates(pem.encode()):
        public = certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        text = certificate.public_bytes(Encoding.PEM).decode()
        name = "credentials-anchor"
        new += register(session, KeyUse.CREDENTIALS, name, signing.fingerprint(public), text)
    return new
