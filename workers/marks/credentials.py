"""Content credentials (C2PA) in audio files: signed, and readable by anyone, without any network.

A manifest says that the sound is synthetic, by which model, that it carries a mark, and a random public
reference of the generation. It names no person and no account. It survives byte-exact copies only; the mark
is for the rest.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

MARK_ALGORITHM = "io.vouch.mark.1"  # of the soft binding: our own reverse-domain name, not (yet) on the C2PA list
GENERATION_LABEL = "io.vouch.generation"
MIME_TYPES = frozenset({"audio/wav", "audio/mpeg", "audio/flac"})
TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"

# Without a time stamp, a manifest is worth as much as its certificate is valid, so a short life would spoil
# old clips.
_AUTHORITY_YEARS, _SIGNER_YEARS = 20, 10
_MANIFEST_LIMIT = 64 << 20  # bytes of a file that is looked into

# Verification never leaves this machine: no remote manifests, no revocation servers.
_OFFLINE: Mapping[str, Any] = {
    "remote_manifest_fetch": False,
    "ocsp_fetch": False,
}

State = Literal["valid", "invalid", "unknown_signer", "none"]

_STATES: Mapping[str, State] = {"Trusted": "valid", "Valid": "unknown_signer", "Invalid": "invalid"}
_MANIFEST_MARK = b"jumb"  # the box type that every manifest store starts with


class CredentialError(RuntimeError):
    """A file could not be given credentials: damaged or unsupported audio, or unusable keys."""


@dataclass(frozen=True)
class Claim:
    """What is said of a clip. `generation_ref` is a random public token: no account, no person."""

    generation_ref: str
    title: str
    model_name: str
    created_at: datetime
    mark_alg: str = MARK_ALGORITHM


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
        anchor = root.public_bytes(serialization.Encoding.PEM).decode()
        chain = leaf.public_bytes(serialization.Encoding.PEM).decode() + anchor
        key = leaf_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return cls(anchor_pem=anchor, signer=Signer(chain, key.decode()))


@dataclass(frozen=True)
class CredentialReading:
    """What a file's credentials say, and whether to believe it.

    "valid": untouched since it was signed by a known signer. "unknown_signer": untouched, but anyone could
    have signed it. "invalid": changed since, or damaged. "none": no credentials, which says nothing about
    where it comes from.
    """

    state: State
    generation_ref: str | None = None
    signed_at: datetime | None = None  # by the signer's own clock, unless a time-stamp authority said so
    issuer: str | None = None
    problems: tuple[str, ...] = ()  # C2PA failure codes, such as assertion.dataHash.mismatch


def sign(audio: bytes, mime: str, claim: Claim, signer: Signer) -> bytes:
    """The same file with a signed manifest, longer by that; players ignore it. Raises CredentialError."""
    if mime not in MIME_TYPES:
        raise CredentialError(f"No content credentials for {mime}; use one of {', '.join(sorted(MIME_TYPES))}.")
    info = c2pa.C2paSignerInfo(b"es256", signer.chain_pem.encode(), signer.key_pem.encode(), None)
    signed = io.BytesIO()
    try:
        with (
            c2pa.Context(_settings()) as context,
            c2pa.Signer.from_info(info) as native,
            c2pa.Builder(_manifest(claim), context=context) as builder,
        ):
            builder.sign(native, mime, io.BytesIO(audio), signed)
    except c2pa.C2paError as error:
        raise CredentialError(f"The {mime} file could not be signed: {error}") from error
    return signed.getvalue()


def read(audio: bytes, mime: str, anchors_pem: str) -> CredentialReading:
    """What the credentials in a file say; never raises, whatever the bytes and whatever a stranger's manifest holds.

    `anchors_pem`: certificates of the authorities to trust, one after the other, or "" to trust none.
    Files of more than 64 MiB and types without credentials are "none".
    """
    if mime not in MIME_TYPES or len(audio) > _MANIFEST_LIMIT:
        return CredentialReading("none")
    try:
        with c2pa.Context(_settings(anchors_pem)) as context:
            reader = c2pa.Reader.try_create(mime, io.BytesIO(audio), context=context)
            if reader is None:
                return CredentialReading("none")
            with reader:
                return _reading(json.loads(reader.json()))
    except c2pa.C2paError as error:
        if _MANIFEST_MARK not in audio:
            return CredentialReading("none")
        return CredentialReading("invalid", problems=(f"unreadable: {error}",))


def _reading(store: Mapping[str, Any]) -> CredentialReading:
    manifest = store.get("manifests", {}).get(store.get("active_manifest"), {})
    assertions = {item["label"]: item.get("data") for item in manifest.get("assertions", [])}
    data = {label: content for label, content in assertions.items() if isinstance(content, dict)}
    signature = manifest.get("signature_info", {})
    failures = store.get("validation_results", {}).get("activeManifest", {}).get("failure", [])
    reference = data.get(GENERATION_LABEL, {}).get("generation_ref")
    return CredentialReading(
        state=_STATES.get(store.get("validation_state", ""), "invalid"),
        generation_ref=reference if isinstance(reference, str) else None,
        signed_at=_moment(signature.get("time") or _created_when(data.get("c2pa.actions.v2", {}))),
        issuer=signature.get("issuer"),
        problems=tuple(failure["code"] for failure in failures),
    )


def _created_when(actions: Mapping[str, Any]) -> str | None:
    listed = actions.get("actions")
    named = [action for action in listed if isinstance(action, dict)] if isinstance(listed, list) else []
    return next((action.get("when") for action in named if action.get("action") == "c2pa.created"), None)


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None


def _settings(anchors_pem: str | None = None) -> c2pa.Settings:
    settings: dict[str, Any] = {"version": 1, "verify": dict(_OFFLINE)}
    if anchors_pem:
        settings["trust"] = {"user_anchors": anchors_pem}
    return c2pa.Settings.from_dict(settings)


def _manifest(claim: Claim) -> dict[str, Any]:
    created = {
        "action": "c2pa.created",
        "when": claim.created_at.astimezone(UTC).isoformat(timespec="seconds"),
        "digitalSourceType": TRAINED,
        "softwareAgent": {"name": claim.model_name},
    }
    return {
        "title": claim.title,
        "claim_generator_info": [{"name": "Vouch"}],
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {"actions": [created, {"action": "c2pa.watermarked.bound"}]},
            },
            {
                "label": "c2pa.soft-binding",
                "data": {"alg": claim.mark_alg, "blocks": [{"scope": {}, "value": claim.generation_ref}]},
            },
            {"label": GENERATION_LABEL, "data": {"generation_ref": claim.generation_ref}},
        ],
    }


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
