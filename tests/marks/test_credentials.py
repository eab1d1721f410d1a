"""Credentials say who signed what, notice any change, and name no person."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from marks_sound import decode, encode
from numpy.typing import NDArray

from workers.marks.credentials import MIME_TYPES, Authority, Claim, CredentialError, read, sign

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
    for position in (len(signed) * 3 // 4, signed.index(b"Zk3vQ8mTt1"), signed.index(b"trainedAlgorithmicMedia")):
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
    with pytest.raises(CredentialError, match="audio/ogg"):
        sign(b"OggS", "audio/ogg", CLAIM, authority.signer)
    with pytest.raises(CredentialError, match="could not be signed"):
        sign(b"not audio", "audio/wav", CLAIM, authority.signer)
    foreign = Authority.create("Elsewhere").signer
    mixed = type(foreign)(authority.signer.chain_pem, foreign.key_pem)
    with pytest.raises(CredentialError, match="could not be signed"):
        sign(encode(sound, "audio/wav"), "audio/wav", CLAIM, mixed)
