"""Credentials as the service uses them: the operator's certificate, time stamps, strangers' files, the command."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from marks_certificates import bought
from marks_sound import encode
from typer.testing import CliRunner

from app.cli.commands import cli
from app.settings import Settings, get_settings
from tests.time_authority import Mood, TimeAuthority, time_authority
from workers import credentials
from workers.keys import KeysMissing, init_keys, load_keys
from workers.marks.certificates import Authority, Signer, certificates, pem_of
from workers.marks.credentials import Claim, read
from workers.marks.credentials import sign as sign_plain

CLAIM = Claim("Zk3vQ8mTt1", "Synthetic speech", "kokoro-82m", datetime(2026, 11, 20, 12, 30, tzinfo=UTC))
WAV = encode(np.random.default_rng(0).normal(0, 0.1, 24_000).astype(np.float32), "audio/wav")


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimeAuthority]:
    with time_authority(tmp_path_factory.mktemp("clock")) as authority:
        yield authority


@pytest.fixture
def awake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "_resting", {})


def with_certificate(folder: Path, signer: Signer, **more: object) -> Settings:
    """Settings with these files, and keys beside them."""
    (folder / "chain.pem").write_text(signer.chain_pem)
    (folder / "key.pem").write_text(signer.key_pem)
    init_keys(folder / "keys", "Vouch")
    files = {"certificate_file": folder / "chain.pem", "certificate_key_file": folder / "key.pem"}
    return Settings(data_dir=folder, provenance={**files, **more})


def test_the_operators_certificate_signs_and_the_earlier_ones_stay_ours(tmp_path: Path) -> None:
    first, now = bought(), bought()
    keys = load_keys(with_certificate(tmp_path, first.signer))
    earlier = sign_plain(WAV, "audio/wav", CLAIM, keys.signer)
    assert keys.signer == first.signer
    (tmp_path / "keys" / "credentials-retired-1.pem").write_text(first.signer.chain_pem)
    keys = load_keys(with_certificate(tmp_path, now.signer))
    for signed in (earlier, sign_plain(WAV, "audio/wav", CLAIM, keys.signer)):
        reading = read(signed, "audio/wav", keys.anchors_pem, keys.own_chains)
        assert (reading.state, reading.own) == ("valid", True)


def test_what_does_not_fit_together_is_said_before_anything_is_signed(tmp_path: Path) -> None:
    good = bought()
    leaf, root = certificates(good.signer.chain_pem)
    past = datetime(2020, 1, 1, tzinfo=UTC)
    for signer, why in (
        (Signer(good.signer.chain_pem, bought().signer.key_pem), "does not belong"),
        (bought(start=past).signer, "2020-01-01 to 2020-12-31"),
        (bought(purpose=ExtendedKeyUsageOID.SERVER_AUTH).signer, "not for signing content"),
        (bought(curve=ec.SECP384R1()).signer, "P-256"),
        (Signer(pem_of([leaf]), good.signer.key_pem), "add the issuers"),
        (Signer(pem_of([leaf, certificates(bought().anchor_pem)[0]]), good.signer.key_pem), "not issued by the next"),
        (Signer(pem_of([root, leaf]), good.signer.key_pem), "does not belong"),
        (Signer("nothing", good.signer.key_pem), "no PEM certificates"),
        (Signer(good.signer.chain_pem, "nothing"), "can't be read"),
    ):
        with pytest.raises(KeysMissing, match=why):
            load_keys(with_certificate(tmp_path, signer))
    with pytest.raises(KeysMissing, match="TRUST_ANCHORS_FILE"):
        load_keys(with_certificate(tmp_path, good.signer, trust_anchors_file=tmp_path / "none.pem"))
    alone = Settings(data_dir=tmp_path, provenance={"certificate_file": tmp_path / "chain.pem"})
    with pytest.raises(KeysMissing, match="or neither"):
        load_keys(alone)


def test_doctor_and_start_say_which_certificate_is_wrong(tmp_path: Path) -> None:
    settings = with_certificate(tmp_path, Signer(bought().signer.chain_pem, bought().signer.key_pem))
    given = settings.provenance
    environment = {
        "VOUCH_DATA_DIR": str(tmp_path),
        "VOUCH_PROVENANCE__CERTIFICATE_FILE": str(given.certificate_file),
        "VOUCH_PROVENANCE__CERTIFICATE_KEY_FILE": str(given.certificate_key_file),
    }
    for module, *arguments in (["workers.keys", "--check"], ["workers.selfcheck"]):
        command = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert "does not belong to the first certificate" in done.stdout + done.stderr


def test_a_time_stamp_outlasts_the_signers_word(clock: TimeAuthority, awake: None) -> None:
    ours = Authority.create("Studio North")
    signed, stamped = credentials.sign(WAV, "audio/wav", CLAIM, ours.signer, clock.url)
    assert stamped
    reading = read(signed, "audio/wav", clock.anchor_pem, [ours.signer.chain_pem])
    assert (reading.state, reading.own, reading.clock) == ("valid", True, "authority")
    assert reading.signed_at is not None
    assert reading.signed_at > CLAIM.created_at
    assert read(signed, "audio/wav", "", [ours.signer.chain_pem]).clock == "unknown_authority"


@pytest.mark.parametrize("mood", ["refusing", "broken", "silent"])
def test_no_authority_holds_up_a_clip(
    clock: TimeAuthority, awake: None, mood: Mood, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clip is signed without a time stamp, and the next ones don't even ask for a while."""
    ours = Authority.create("Studio North")
    clock.mood, clock.asked = mood, 0
    monkeypatch.setattr(credentials, "SIGN_SECONDS", 1.0 if mood == "silent" else 30.0)
    try:
        for _ in range(2):
            signed, stamped = credentials.sign(WAV, "audio/wav", CLAIM, ours.signer, clock.url)
            reading = read(signed, "audio/wav", "", [ours.signer.chain_pem])
            assert (stamped, reading.state, reading.clock) == (False, "valid", "signer")
    finally:
        clock.mood = "well"
    assert clock.asked <= 1


def test_strangers_files_are_read_as_ours_are(tmp_path: Path) -> None:
    ours = Authority.create("Studio North")
    signed = sign_plain(WAV, "audio/wav", CLAIM, ours.signer)
    chains = [ours.signer.chain_pem]
    (tmp_path / "a").write_bytes(signed)
    with (tmp_path / "a").open("rb") as file:
        assert credentials.read_confined(file, None, "", chains) == read(signed, "audio/wav", "", chains)
    assert credentials.read_confined(b"no audio", None, "").state == "none"


def test_a_file_that_breaks_the_parser_breaks_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The parser is made to crash, to hang, to reach for a file: each ends with the child."""
    ours = Authority.create("Studio North")
    signed = sign_plain(WAV, "audio/wav", CLAIM, ours.signer)
    (tmp_path / "c2pa").mkdir()
    monkeypatch.setattr(credentials.confined, "_PACKAGES", f"{tmp_path}:{credentials.confined._PACKAGES}")
    monkeypatch.setattr(credentials, "READ_SECONDS", 4.0)
    real = Path(sys.modules["c2pa"].__file__ or "").parent
    for does in ("os.abort()", "time.sleep(60)", "open('/etc/hostname')", "socket.socket()", "bytes(2 << 30)"):
        (tmp_path / "c2pa" / "__init__.py").write_text(
            f"import io, os, socket, time\n__path__ = ['{real}']\nexec(open('{real}/__init__.py').read())\n"
            "class Reader(Reader):\n    @classmethod\n    def try_create(cls, mime, stream, **more):\n"
            f"        if len(stream.getbuffer()) > 20000: {does}\n"
            "        return super().try_create(mime, stream, **more)\n"
        )
        reading = credentials.read_confined(signed, None, "")
        assert (reading.state, len(reading.problems)) == ("invalid", 1), does
    assert credentials.read_confined(WAV, None, "").state == "none"


def test_a_box_that_says_it_is_huge_takes_no_memory() -> None:
    bomb = struct.pack(">I4s4sI", 16, b"ftyp", b"M4A ", 0) + struct.pack(">I4sQ", 1, b"uuid", 1 << 62) + b"jumb" * 50
    assert credentials.read_confined(bomb, None, "").state in ("invalid", "none")


def test_the_command_says_in_words_what_a_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any service, database or key of ours."""
    monkeypatch.setenv("VOUCH_DATA_DIR", str(tmp_path / "empty"))
    ours = Authority.create("Studio \x1b[31mNorth")
    (tmp_path / "root.pem").write_text(ours.anchor_pem)
    signed = sign_plain(WAV, "audio/wav", CLAIM, ours.signer)
    (tmp_path / "ours").write_bytes(signed)
    (tmp_path / "changed").write_bytes(signed[:-1] + b"\x55")
    (tmp_path / "plain").write_bytes(WAV)
    known = ["--anchors", str(tmp_path / "root.pem")]
    for name, options, code, words in (
        ("ours", known, 0, "Intact: nothing in this file has changed since Studio [31mNorth signed it"),
        ("ours", [], 3, "signed by somebody unknown here"),
        ("changed", known, 4, "NOT intact"),
        ("plain", ["--json"], 5, '"delivered_here": null'),
    ):
        get_settings.cache_clear()
        result = CliRunner().invoke(cli, ["verify", str(tmp_path / name), *options])
        assert (result.exit_code, words in result.output) == (code, True), result.output
        assert "\x1b" not in result.output
    get_settings.cache_clear()
    assert not (tmp_path / "empty").exists()
