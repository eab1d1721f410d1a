"""Credentials say who signed what, notice any change, and name no person."""

from __future__ import annotations

import io
import json
import socket
import threading
from datetime import UTC, datetime

import c2pa
import numpy as np
import pytest
from marks_certificates import bought
from marks_sound import decode, encode
from numpy.typing import NDArray

from workers.marks.certificates import Authority, Signer
from workers.marks.credentials import MIME_TYPES, Claim, CredentialError, mime_of, read, sign

WHEN = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
CLAIM = Claim("Zk3vQ8mTt1", "Synthetic speech", "kokoro-82m", WHEN)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("Studio North")


@pytest.fixture(scope="module")
def sound() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(0, 0.1, 24_000).astype(np.float32)


@pytest.mark.parametrize("mime", sorted(MIME_TYPES))
def test_a_signed_file_says_so_and_still_plays(mime: str, authority: Authority, sound: NDArray[np.float32]) -> None:
    plain = encode(sound, mime)
    signed = sign(plain, mime, CLAIM, authority.signer)
    sniffed = mime_of(signed[:16])
    assert sniffed is not None
    assert read(signed, sniffed, authority.anchor_pem).state == "valid"
    reading = read(signed, mime, authority.anchor_pem)
    assert reading.state == "valid", reading
    assert (reading.generation_ref, reading.issuer, reading.signed_at) == (
        "Zk3vQ8mTt1",
        "Studio North",
        WHEN,
    )
    assert reading.problems == ()
    np.testing.assert_array_equal(decode(signed), decode(plain))


@pytest.mark.parametrize("mime", sorted(MIME_TYPES))
def test_one_flipped_bit_of_the_sound_or_the_claim_is_noticed(
    mime: str, authority: Authority, sound: NDArray[np.float32]
) -> None:
    signed = sign(encode(sound, mime), mime, CLAIM, authority.signer)
    sound_at = signed.index(b"mdat") + 100 if mime == "audio/mp4" else len(signed) * 3 // 4
    for position in (sound_at, signed.index(b"Zk3vQ8mTt1"), signed.index(b"trainedAlgorithmicMedia")):
        broken = bytearray(signed)
        broken[position] ^= 1
        assert read(bytes(broken), mime, authority.anchor_pem).state == "invalid", position


def test_a_truncated_file_is_not_valid(authority: Authority, sound: NDArray[np.float32]) -> None:
    signed = sign(encode(sound, "audio/wav"), "audio/wav", CLAIM, authority.signer)
    reading = read(signed[:-500], "audio/wav", authority.anchor_pem)
    assert reading.state == "invalid"
    assert reading.problems


def test_a_foreign_authority_is_an_unknown_signer(authority: Authority, sound: NDArray[np.float32]) -> None:
    signed = sign(encode(sound, "audio/wav"), "audio/wav", CLAIM, authority.signer)
    reading = read(signed, "audio/wav", Authority.create("Studio North").anchor_pem)
    assert (reading.state, reading.problems) == ("unknown_signer", ("signingCredential.untrusted",))
    assert read(signed, "audio/wav", "").state == "unknown_signer"
    both = Authority.create("Elsewhere").anchor_pem + authority.anchor_pem
    assert read(signed, "audio/wav", both).state == "valid"


def test_only_exactly_our_certificate_speaks_for_us(authority: Authority, sound: NDArray[np.float32]) -> None:
    """A known signer may write any generation under our label; so may another customer of our own authority."""
    ours, stranger = bought(serial=7), Authority.create("A known studio")
    signed = sign(encode(sound, "audio/wav"), "audio/wav", CLAIM, ours.signer)
    known = stranger.anchor_pem + ours.anchor_pem
    assert read(signed, "audio/wav", known, [ours.signer.chain_pem]).own
    assert read(signed, "audio/wav", "", [authority.signer.chain_pem, ours.signer.chain_pem]).state == "valid"
    neighbour = ours.sibling(serial=8)
    for other in (stranger.signer, neighbour, bought(serial=7).signer):
        forged = sign(encode(sound, "audio/wav"), "audio/wav", CLAIM, other)
        assert not read(forged, "audio/wav", known + other.chain_pem, [ours.signer.chain_pem]).own
    assert read(forged, "audio/wav", known, [ours.signer.chain_pem]).state == "unknown_signer"
    broken = signed.replace(b"Zk3vQ8mTt1", b"Zk3vQ8mTt2")
    assert not read(broken, "audio/wav", known, [ours.signer.chain_pem]).own


@pytest.mark.parametrize("content", [b"", b"x", b"no audio at all" * 99, b"RIFF\xff\xff\xff\xffWAVEfmt ", bytes(4000)])
@pytest.mark.parametrize("mime", [*sorted(MIME_TYPES), "text/plain"])
def test_bytes_without_credentials_have_none(content: bytes, mime: str, authority: Authority) -> None:
    assert read(content, mime, authority.anchor_pem).state == "none"


@pytest.mark.parametrize("mime", sorted(MIME_TYPES))
def test_audio_without_credentials_has_none(mime: str, authority: Authority, sound: NDArray[np.float32]) -> None:
    assert read(encode(sound, mime), mime, authority.anchor_pem).state == "none"


def test_the_manifest_says_synthetic_and_marked(authority: Authority, sound: NDArray[np.float32]) -> None:
    plain = encode(sound, "audio/wav")
    signed = sign(plain, "audio/wav", CLAIM, authority.signer)
    for statement in (b"trainedAlgorithmicMedia", b"c2pa.watermarked.bound", b"c2pa.soft-binding", b"io.vouch.mark.1"):
        assert statement in signed
    assert len(signed) - len(plain) < 6000


def test_what_cannot_be_signed_is_an_error_in_words(authority: Authority, sound: NDArray[np.float32]) -> None:
    with pytest.raises(CredentialError, match="audio/ogg"):  # the standard has no place for credentials there
        sign(b"OggS", "audio/ogg", CLAIM, authority.signer)
    with pytest.raises(CredentialError, match="could not be signed"):
        sign(b"not audio", "audio/wav", CLAIM, authority.signer)
    foreign = Authority.create("Elsewhere").signer
    mixed = Signer(authority.signer.chain_pem, foreign.key_pem)
    with pytest.raises(CredentialError, match="could not be signed"):
        sign(encode(sound, "audio/wav"), "audio/wav", CLAIM, mixed)


def test_the_manifest_holds_what_it_should_and_no_more(authority: Authority, sound: NDArray[np.float32]) -> None:
    signed = sign(encode(sound, "audio/wav"), "audio/wav", CLAIM, authority.signer)
    with c2pa.Reader("audio/wav", io.BytesIO(signed)) as reader:
        manifest = reader.get_active_manifest()
    assert manifest is not None
    said = {item["label"]: item["data"] for item in manifest["assertions"]}
    assert set(said) == {"c2pa.actions.v2", "c2pa.soft-binding", "io.vouch.generation"}
    assert said["io.vouch.generation"] == {"generation_ref": "Zk3vQ8mTt1"}
    assert said["c2pa.soft-binding"]["blocks"] == [{"scope": {}, "value": "Zk3vQ8mTt1"}]
    created, marked = said["c2pa.actions.v2"]["actions"]
    assert set(created) == {"action", "when", "digitalSourceType", "softwareAgent"}
    assert marked == {"action": "c2pa.watermarked.bound"}
    assert manifest["title"] == "Synthetic speech"
    everything = json.dumps(manifest)
    assert socket.gethostname() not in everything
    assert "account" not in everything


@pytest.mark.parametrize("content", ["a text", 3, [{"generation_ref": "Zk3vQ8mTt1"}], {"generation_ref": ["Zk3"]}])
def test_a_stranger_may_put_anything_under_our_label(
    content: object, authority: Authority, sound: NDArray[np.float32]
) -> None:
    manifest = {
        "claim_generator_info": [{"name": "somebody"}],
        "assertions": [{"label": "io.vouch.generation", "data": content}],
    }
    signer = authority.signer
    info = c2pa.C2paSignerInfo(b"es256", signer.chain_pem.encode(), signer.key_pem.encode(), None)
    out = io.BytesIO()
    with c2pa.Signer.from_info(info) as native, c2pa.Builder(manifest) as builder:
        builder.set_intent(c2pa.C2paBuilderIntent.CREATE, c2pa.C2paDigitalSourceType.DIGITAL_CREATION)
        builder.sign(native, "audio/wav", io.BytesIO(encode(sound, "audio/wav")), out)
    assert read(out.getvalue(), "audio/wav", authority.anchor_pem).generation_ref is None


@pytest.mark.parametrize("mime", sorted(MIME_TYPES))
def test_a_file_that_points_elsewhere_makes_no_connection(
    mime: str, authority: Authority, sound: NDArray[np.float32]
) -> None:
    """A manifest may live at an address that the file names; whoever sent the file would learn that it is
    looked at.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        visits: list[str] = []
        guard = threading.Thread(target=_count_visits, args=(server, visits))
        guard.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}/manifest.c2pa"
        pointing = _with_remote_manifest(encode(sound, mime), mime, authority, address)
        assert address.encode() in pointing
        assert read(pointing, mime, authority.anchor_pem).state == "none"
        with socket.create_connection(server.getsockname()) as last:
            last.sendall(b"the test ends here")
        guard.join(timeout=10)
    assert visits == ["the test ends here"]


def _count_visits(server: socket.socket, visits: list[str]) -> None:
    while "the test ends here" not in visits:
        connection, _ = server.accept()
        with connection:
            visits.append(connection.recv(100).decode())


def _with_remote_manifest(audio: bytes, mime: str, authority: Authority, address: str) -> bytes:
    signer = authority.signer
    info = c2pa.C2paSignerInfo(b"es256", signer.chain_pem.encode(), signer.key_pem.encode(), None)
    out = io.BytesIO()
    manifest = {"claim_generator_info": [{"name": "somebody"}], "assertions": []}
    with c2pa.Signer.from_info(info) as native, c2pa.Builder(manifest) as builder:
        builder.set_intent(c2pa.C2paBuilderIntent.CREATE, c2pa.C2paDigitalSourceType.DIGITAL_CREATION)
        builder.set_no_embed()
        builder.set_remote_url(address)
        builder.sign(native, mime, io.BytesIO(audio), out)
    return out.getvalue()
