"""Content credentials (C2PA) in audio files: signed, and readable by anyone, without any network.

A manifest says that the sound is synthetic, by which model, that it carries a mark, and a random public
reference of the generation. It names no person and no account. It survives byte-exact copies only; the mark
is for the rest.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

import c2pa

from workers.marks.certificates import Authority, CertificateUnusable, Signer, issuers_pem, serial_of

__all__ = ["Authority", "Signer"]  # their old home

MARK_ALGORITHM = "io.vouch.mark.1"  # of the soft binding: our own reverse-domain name, not (yet) on the C2PA list
GENERATION_LABEL = "io.vouch.generation"
MIME_TYPES = frozenset({"audio/wav", "audio/mpeg", "audio/flac", "audio/mp4"})
"""Of the formats that can hold credentials. Ogg with Opus can't: the standard has no place for them there."""
TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"

MANIFEST_LIMIT = 64 << 20  # bytes of a file that is looked into

# Verification never leaves this machine: no remote manifests, no revocation servers.
_OFFLINE: Mapping[str, Any] = {
    "remote_manifest_fetch": False,
    "ocsp_fetch": False,
}

State = Literal["valid", "invalid", "unknown_signer", "none"]
Clock = Literal["authority", "unknown_authority", "signer"]

_STATES: Mapping[str, State] = {"Trusted": "valid", "Valid": "unknown_signer", "Invalid": "invalid"}
_LONGEST_REFERENCE, _LONGEST_NAME, _MOST_PROBLEMS = 64, 200, 20
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
class CredentialReading:
    """What a file's credentials say, and whether to believe it.

    "valid": untouched since it was signed by a known signer. "unknown_signer": untouched, but anyone could
    have signed it. "invalid": changed since, or damaged. "none": no credentials, which says nothing about
    where it comes from.
    """

    state: State
    own: bool = False
    """Valid, and signed with one of our own certificates: only then `generation_ref` is our word. Others may be known
    signers too, and write what they like."""
    generation_ref: str | None = None
    signed_at: datetime | None = None
    clock: Clock | None = None
    """Whose clock `signed_at` is of: a known time-stamp authority's, an unknown one's, or the signer's own."""
    issuer: str | None = None
    problems: tuple[str, ...] = ()  # C2PA failure codes, such as assertion.dataHash.mismatch


def mime_of(head: bytes) -> str | None:
    """The type of a file by its first bytes (16 are enough); None for what can't hold credentials.

    A signed FLAC begins with an ID3 tag, as an MP3 does: its credentials are found there under either name.
    """
    if head[:4] == b"RIFF":
        return "audio/wav"
    if head[:4] == b"fLaC":
        return "audio/flac"
    if head[4:8] == b"ftyp":
        return "audio/mp4"
    if head[:3] == b"ID3" or (head[:1] == b"\xff" and head[1:2] >= b"\xe0"):
        return "audio/mpeg"
    return None


def sign(audio: bytes, mime: str, claim: Claim, signer: Signer, timestamp_url: str = "") -> bytes:
    """The same file with a signed manifest, longer by that; players ignore it. Raises CredentialError.

    With a `timestamp_url`, an RFC 3161 authority there states the time. It is waited for without any limit.
    """
    if mime not in MIME_TYPES:
        raise CredentialError(f"No content credentials for {mime}; use one of {', '.join(sorted(MIME_TYPES))}.")
    address = timestamp_url.encode() or None
    info = c2pa.C2paSignerInfo(b"es256", signer.chain_pem.encode(), signer.key_pem.encode(), address)
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


def read(audio: bytes, mime: str, anchors_pem: str, own_chains: Sequence[str] = ()) -> CredentialReading:
    """What the credentials in a file say; never raises, whatever the bytes and whatever a stranger's manifest holds.

    `anchors_pem`: certificates of the authorities to trust, one after the other, or "" to trust none. `own_chains`: our
    own signing certificates, each as PEM with its issuers, leaf first; they are known without being in the anchors.
    Files of more than 64 MiB and types without credentials are "none".
    """
    if mime not in MIME_TYPES or len(audio) > MANIFEST_LIMIT:
        return CredentialReading("none")
    own = any(_is_ours(audio, mime, chain) for chain in own_chains)
    own_anchors = [issuers_pem(chain) for chain in own_chains]
    store = _store(audio, mime, "".join([anchors_pem, *own_anchors]))
    return replace(_reading(store), own=own) if isinstance(store, dict) else store


def _is_ours(audio: bytes, mime: str, chain: str) -> bool:
    """Whether exactly this certificate signed the file, which is intact.

    Its authority may have certified others, and another authority may use the same serial number: both must fit.
    """
    try:
        store = _store(audio, mime, issuers_pem(chain))
        serial = serial_of(chain)
    except (CertificateUnusable, IndexError):
        return False
    if not isinstance(store, dict) or store.get("validation_state") != "Trusted":
        return False
    return bool(_active(store).get("signature_info", {}).get("cert_serial_number") == serial)


def _store(audio: bytes, mime: str, anchors_pem: str) -> dict[str, Any] | CredentialReading:
    """The manifests of a file as the library reports them; a reading where there is none to report."""
    try:
        with c2pa.Context(_settings(anchors_pem)) as context:
            reader = c2pa.Reader.try_create(mime, io.BytesIO(audio), context=context)
            if reader is None:
                return CredentialReading("none")
            with reader:
                store: dict[str, Any] = json.loads(reader.json())
                return store
    except c2pa.C2paError as error:
        return unreadable(audio, str(error))


def unreadable(audio: bytes, why: str) -> CredentialReading:
    """The reading of a file that the parser fails at: "none", unless there are credentials somewhere in it."""
    if _MANIFEST_MARK not in audio:
        return CredentialReading("none")
    return CredentialReading("invalid", problems=(f"unreadable: {why}"[:200],))


def _active(store: Mapping[str, Any]) -> Mapping[str, Any]:
    manifest: Mapping[str, Any] = store.get("manifests", {}).get(store.get("active_manifest"), {})
    return manifest


def _reading(store: Mapping[str, Any]) -> CredentialReading:
    manifest = _active(store)
    assertions = {item["label"]: item.get("data") for item in manifest.get("assertions", [])}
    data = {label: content for label, content in assertions.items() if isinstance(content, dict)}
    signature = manifest.get("signature_info", {})
    results = store.get("validation_results", {}).get("activeManifest", {})
    reference = data.get(GENERATION_LABEL, {}).get("generation_ref")
    stamped = _moment(signature.get("time"))
    return CredentialReading(
        state=_STATES.get(store.get("validation_state", ""), "invalid"),
        generation_ref=reference if isinstance(reference, str) and len(reference) <= _LONGEST_REFERENCE else None,
        signed_at=stamped or _moment(_created_when(data.get("c2pa.actions.v2", {}))),
        clock=_clock(results) if stamped else "signer",
        issuer=(signature.get("issuer") or "")[:_LONGEST_NAME] or None,
        problems=tuple(str(failure["code"])[:_LONGEST_NAME] for failure in results.get("failure", [])[:_MOST_PROBLEMS]),
    )


def _clock(results: Mapping[str, Any]) -> Clock:
    codes = {each["code"] for each in results.get("success", [])}
    return "authority" if "timeStamp.trusted" in codes else "unknown_authority"


def _created_when(actions: Mapping[str, Any]) -> str | None:
    listed = actions.get("actions")
    named = [action for action in listed if isinstance(action, dict)] if isinstance(listed, list) else []
    return next((action.get("when") for action in named if action.get("action") == "c2pa.created"), None)


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


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
