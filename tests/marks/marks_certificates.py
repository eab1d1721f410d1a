"""Certificates as an operator buys them: an authority that others are customers of, too."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from workers.marks.certificates import Signer

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Bought:
    """A signing certificate and the authority that sold it."""

    root: x509.Certificate
    root_key: Key
    signer: Signer

    @property
    def anchor_pem(self) -> str:
        return _pem(self.root)

    def sibling(self, **unlike: object) -> Signer:
        """What the same authority sells to somebody else."""
        return _issue(self.root, self.root_key, **unlike)  # type: ignore[arg-type]


def bought(**unlike: object) -> Bought:
    """A certificate, by default a good one, of a new authority; see `_issue` for what can be wrong with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    root = _certificate("Big CA", "Big CA", key, key, ca=True)
    return Bought(root, key, _issue(root, key, **unlike))  # type: ignore[arg-type]


def _issue(
    root: x509.Certificate,
    root_key: Key,
    *,
    serial: int = 5,
    years: int = 1,
    start: datetime | None = None,
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.EMAIL_PROTECTION,
    curve: ec.EllipticCurve | None = None,
) -> Signer:
    key = ec.generate_private_key(curve or ec.SECP256R1())
    leaf = _certificate("Studio", "Big CA", key, root_key, serial=serial, years=years, start=start, purpose=purpose)
    form = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
    return Signer(_pem(leaf) + _pem(root), pem)


def _certificate(
    name: str,
    issuer: str,
    key: Key,
    issuer_key: Key,
    *,
    ca: bool = False,
    serial: int = 1,
    years: int = 10,
    start: datetime | None = None,
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.EMAIL_PROTECTION,
) -> x509.Certificate:
    start = start or datetime.now(UTC) - timedelta(hours=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=365 * years))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, common), x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
