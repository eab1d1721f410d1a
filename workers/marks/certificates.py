"""The certificates that content credentials are signed with: our own authority, or one that the operator bought."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Without a time stamp, a manifest is worth as much as its certificate is valid, so a short life would spoil
# old clips.
_AUTHORITY_YEARS, _SIGNER_YEARS = 20, 10


class CertificateUnusable(ValueError):
    """Certificate and key can't sign content credentials; the message says why."""


@dataclass(frozen=True)
class Signer:
    """PEM of the signing certificate with its issuers, leaf first, and of its ES256 private key (PKCS #8)."""

    chain_pem: str
    key_pem: str


@dataclass(frozen=True)
class Authority:
    """A self-hoster's own certificate authority and the signing certificate that it issued. All PEM.

    `anchor_pem` is public: whoever verifies needs it. The authority's own key is not kept, so nothing else
    can be issued.
    """

    anchor_pem: str
    signer: Signer

    @classmethod
    def create(cls, common_name: str, now: datetime | None = None) -> Authority:
        """A new P-256 authority called `common_name` and a signing certificate valid for ten years from
        `now`.
        """
        now = now or datetime.now(UTC)
        root_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        root_name, leaf_name = _name(f"{common_name} authority"), _name(common_name)
        root = _root(root_name, root_key, now)
        leaf = _leaf(leaf_name, leaf_key, root_name, root_key, now)
        anchor = pem_of([root])
        key = leaf_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return cls(anchor_pem=anchor, signer=Signer(pem_of([leaf]) + anchor, key.decode()))


def certificates(pem: str) -> list[x509.Certificate]:
    """The certificates of a PEM text, in order; none for "". Raises CertificateUnusable."""
    if not pem.strip():
        return []
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError as error:
        raise CertificateUnusable(f"it holds no PEM certificates ({error})") from error


def pem_of(chain: Iterable[x509.Certificate]) -> str:
    """Certificates as PEM, one after another."""
    return "".join(each.public_bytes(serialization.Encoding.PEM).decode() for each in chain)


def issuers_pem(chain_pem: str) -> str:
    """All of a chain but its leaf: what makes the leaf known."""
    return pem_of(certificates(chain_pem)[1:])


def serial_of(chain_pem: str) -> str:
    """The serial number of the leaf, in decimal."""
    return str(certificates(chain_pem)[0].serial_number)


def check_signer(signer: Signer, now: datetime | None = None) -> None:
    """Raise CertificateUnusable unless chain and key fit together and may sign content credentials at `now`."""
    now = now or datetime.now(UTC)
    chain = certificates(signer.chain_pem)
    if len(chain) < 2:
        raise CertificateUnusable("the chain must hold the signing certificate, then its issuers; add the issuers")
    leaf, key = chain[0], _key(signer.key_pem)
    if leaf.public_key() != key.public_key():
        raise CertificateUnusable("the private key does not belong to the first certificate of the chain")
    for each in chain:
        if not each.not_valid_before_utc <= now <= each.not_valid_after_utc:
            raise CertificateUnusable(
                f"{each.subject.rfc4514_string()} is valid from {each.not_valid_before_utc:%Y-%m-%d} "
                f"to {each.not_valid_after_utc:%Y-%m-%d}, which is not now"
            )
    _check_order(chain)
    _check_purpose(leaf)


def _key(pem: str) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError) as error:
        raise CertificateUnusable(f"the private key can't be read; it must be PEM, unlocked ({error})") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CertificateUnusable("the private key must be an elliptic-curve key on P-256 (ES256)")
    return key


def _check_order(chain: Sequence[x509.Certificate]) -> None:
    for issued, issuer in pairwise(chain):
        try:
            issued.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise CertificateUnusable(
                f"{issued.subject.rfc4514_string()} is not issued by the next certificate, "
                f"{issuer.subject.rfc4514_string()}: the leaf comes first, then who issued it, and so on"
            ) from error


def _check_purpose(leaf: x509.Certificate) -> None:
    extensions = leaf.extensions
    try:
        may_sign = extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
        purposes = set(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
        is_authority = extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound as error:
        raise CertificateUnusable(f"the first certificate is not for signing: it has no {error.oid._name}") from error
    if is_authority or not may_sign or ExtendedKeyUsageOID.EMAIL_PROTECTION not in purposes:
        raise CertificateUnusable(
            "the first certificate is not for signing content credentials: it must be no authority, with the key usage "
            "digitalSignature and the extended key usage emailProtection"
        )


def silence() -> bytes:
    """A WAV file of a tenth of a second, to try a signature on."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(bytes(1600))
    return file.getvalue()


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, common_name),  # readers show the organisation as the issuer
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, years: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))  # for clocks that are a little behind
        .not_valid_after(now + timedelta(days=365 * years))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _root(name: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    return (
        _certificate(name, name, key.public_key(), now, _AUTHORITY_YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signing=False), critical=True)
        .sign(key, hashes.SHA256())
    )


def _leaf(
    name: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.Certificate:
    return (
        _certificate(name, issuer, key.public_key(), now, _SIGNER_YEARS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signing=True), critical=True)
        # C2PA 2.x asks for a purpose; e-mail protection is the one that every validator accepts.
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _usage(signing: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signing,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=not signing,
        crl_sign=not signing,
        encipher_only=False,
        decipher_only=False,
    )
