"""The secret of the web side, sealed values and keyed digests."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from argon2 import extract_parameters
from argon2.exceptions import VerifyMismatchError
from hypothesis import given
from hypothesis import strategies as st

from app.core import crypto
from app.core.errors import Unavailable
from app.main import create_app
from app.settings import Settings

START = """
import sys
from app.core import crypto
from app.settings import Settings

settings = Settings(data_dir=sys.argv[1])
sys.stdin.readline()
print(crypto.web_secret(settings).hex())
"""
KEY, OTHER = b"k" * 32, b"o" * 32


def production(folder: Path) -> Settings:
    """Settings of a production installation in a folder."""
    return Settings(
        data_dir=folder,
        environment="production",
        database={"url": "postgresql://127.0.0.1/x"},
        broker={"url": "redis://127.0.0.1"},
        mail={"url": "smtp://127.0.0.1"},
        provenance={"key_directory": folder / "keys"},
        web={
            "secure_cookies": True,
            "public_url": "https://v.example.org",
            "secret_file": folder / "secrets" / "w.key",
        },
    )


def test_in_development_the_secret_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    secret = crypto.web_secret(settings)
    assert len(secret) == 32
    assert crypto.web_secret(settings) == secret
    assert settings.secret_file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in settings.secret_file.parent.iterdir()] == ["secret.key"]


def test_threads_that_start_at_once_have_the_same_secret(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    together = Barrier(8)

    def start(_: int) -> bytes:
        together.wait()
        return crypto.web_secret(settings)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(start, range(8)))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]


def test_processes_that_start_at_once_have_the_same_secret(tmp_path: Path) -> None:
    command = [sys.executable, "-c", START, str(tmp_path)]
    started = [subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, text=True) for _ in range(3)]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60) for process in started]
    assert {out for out, _ in said} == {f"{crypto.web_secret(Settings(data_dir=tmp_path)).hex()}\n"}, said


def test_a_secret_that_appears_in_the_last_moment_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, write = Settings(data_dir=tmp_path), crypto.write_secret

    def overtaken(path: Path, content: bytes) -> None:
        write(path, content)
        write(settings.secret_file, OTHER)  # by another process

    monkeypatch.setattr(crypto, "write_secret", overtaken)
    assert crypto.web_secret(settings) == OTHER


def test_in_production_a_missing_secret_is_an_error_that_says_how_to_make_it(tmp_path: Path) -> None:
    settings = production(tmp_path)
    with pytest.raises(Unavailable, match="missing") as refused:
        crypto.web_secret(settings)
    assert "vouch admin init-keys" in str(refused.value.fix)
    assert not settings.secret_file.exists()
    assert crypto.make_web_secret(settings) is True
    assert crypto.make_web_secret(settings) is False
    assert len(crypto.web_secret(settings)) == 32


def test_the_web_process_does_not_start_without_its_secret(tmp_path: Path) -> None:
    settings = production(tmp_path)
    with pytest.raises(Unavailable, match=r"w.key is missing") as refused:
        create_app(settings)
    assert "vouch admin init-keys" in str(refused.value.fix)
    crypto.make_web_secret(settings)
    assert create_app(settings).title == "Vouch"
    settings.secret_file.write_bytes(b"short")
    with pytest.raises(Unavailable, match="not a 32-byte key"):
        create_app(settings)


def test_a_file_that_is_no_key_is_said_and_never_replaced(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    settings.secret_file.write_bytes(b"short")
    with pytest.raises(Unavailable, match="not a 32-byte key"):
        crypto.web_secret(settings)
    assert settings.secret_file.read_bytes() == b"short"


def test_a_secret_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match=r"can't be (made|used)"):
        crypto.web_secret(Settings(data_dir=tmp_path / "file"))
    with pytest.raises(Unavailable, match="can't be made"):
        crypto.make_web_secret(Settings(data_dir=tmp_path / "file"))


@given(st.binary(max_size=200), st.text(st.characters(codec="utf-8"), max_size=40))
def test_what_was_sealed_can_be_read_again(data: bytes, context: str) -> None:
    sealed = crypto.seal(KEY, data, context)
    assert crypto.unseal(KEY, sealed, context) == data


def test_the_same_value_is_sealed_differently_each_time() -> None:
    assert crypto.seal(KEY, b"seed", "totp:1") != crypto.seal(KEY, b"seed", "totp:1")


@given(st.integers(0, 31), st.integers(1, 255))
def test_a_changed_byte_is_noticed(position: int, flip: int) -> None:
    sealed = bytearray(crypto.seal(KEY, b"seed", "totp:1"))
    assert len(sealed) == 12 + 4 + 16
    sealed[position] ^= flip
    with pytest.raises(ValueError, match="not sealed with this key"):
        crypto.unseal(KEY, bytes(sealed), "totp:1")


@pytest.mark.parametrize(
    ("key", "context", "cut"), [(OTHER, "totp:1", 99), (KEY, "totp:2", 99), (KEY, "totp:1", 27), (KEY, "totp:1", 0)]
)
def test_another_key_another_context_or_a_cut_value_opens_nothing(key: bytes, context: str, cut: int) -> None:
    sealed = crypto.seal(KEY, b"seed", "totp:1")[:cut]
    with pytest.raises(ValueError, match="not sealed with this key"):
        crypto.unseal(key, sealed, context)


def test_a_keyed_digest_tells_values_purposes_and_keys_apart() -> None:
    digests = {
        crypto.keyed_digest(key, purpose, value)
        for key in (KEY, OTHER)
        for purpose in ("card", "name", "seal")
        for value in ("", "a", "b")
    }
    assert len(digests) == 18
    assert {len(digest) for digest in digests} == {64}
    assert crypto.keyed_digest(KEY, "card", "a") == crypto.keyed_digest(KEY, "card", "a")


def test_a_digest_never_gives_away_the_key_of_sealed_values() -> None:
    assert crypto.keyed_digest(KEY, "seal", "totp:1") != crypto.derive(KEY, "seal", "totp:1").hex()


def test_a_check_for_nobody_costs_what_a_check_for_somebody_costs() -> None:
    asked: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crypto, "password_matches", lambda hashed, password: asked.append(hashed))
        crypto.spend_time_on("guess")
    (decoy,) = asked
    real = crypto.hash_password("password")
    assert extract_parameters(decoy) == extract_parameters(real)
    assert not crypto.password_matches(decoy, "guess")  # and is a hash that can be checked
    with pytest.raises(VerifyMismatchError):
        crypto._passwords.verify(decoy, "guess")
