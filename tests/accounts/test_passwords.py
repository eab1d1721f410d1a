"""What a new password must be. No rules about kinds of characters: length, and how hard it is to guess."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from zxcvbn import matching

from app.accounts import passwords
from app.accounts.models import Account
from app.core import crypto
from app.core.errors import Invalid

STRONG = [
    "purple monkey dishwasher 9",
    "pass 🔑 phrase, new",
    "ein grüner Elefant fährt Rad",
    "正しい馬バッテリーホッチキス長い",
    "x7#kqLw92!sd",
    "four words all lowercase",
    "long sentence of somebody. " * 7,
]
EASY = ["password1234", "aaaaaaaaaaaa", "qwertyuiop12", "123456789012", "vouchvouchvouch", "abcdefghijkl"]


def prepare(password: str, email: str = "ada@example.org", name: str = "Ada Lovelace") -> str:
    return passwords.prepare(password, email=email, name=name)


@pytest.mark.parametrize("password", STRONG)
def test_strong_ones_of_any_kind_are_taken(password: str) -> None:
    account = Account(password_hash=prepare(password))
    assert passwords.matches(account, password)
    assert not passwords.matches(account, password[:-1])


@pytest.mark.parametrize("password", ["", "short", "x7#kqLw92!s", "🔑" * 11, "a          b c", "é" * 201, "x" * 10**6])
def test_too_short_or_too_long(password: str) -> None:
    with pytest.raises(Invalid, match="12 to 200 characters") as said:
        prepare(password)
    assert said.value.code == "password.short"


@pytest.mark.parametrize("password", EASY)
def test_easy_ones_are_refused_with_a_hint(password: str) -> None:
    with pytest.raises(Invalid, match=r"easy to guess\. \w+") as said:
        prepare(password)
    assert said.value.code == "password.weak"
    assert password not in said.value.message


@pytest.mark.parametrize("password", ["ada.lovelace1815", "lovelace-ada1", "countesslovelace"])
def test_ones_made_of_address_and_name_are_refused(password: str) -> None:
    with pytest.raises(Invalid):
        prepare(password, email="ada.lovelace1815@example.org", name="Countess Lovelace")
    prepare("countess of the kettles")


def test_the_same_characters_from_another_keyboard_are_the_same_password() -> None:
    account = Account(password_hash=prepare("ein grüner Elefant fährt Rad"))
    assert passwords.matches(account, "ein gru\u0308ner Elefant fa\u0308hrt Rad")
    assert not passwords.matches(account, "ein gruner Elefant fahrt Rad")


def test_half_a_character_does_no_harm() -> None:
    with pytest.raises(Invalid):
        prepare("\ud83d" * 12)
    assert not passwords.matches(Account(password_hash=crypto.hash_password("x")), "\ud83d")
    assert not passwords.matches(None, "\ud83d")


def test_judging_takes_bounded_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """With many signs that look like letters, zxcvbn would look a password up 736 times: look-ups are counted here."""
    looked_up = []
    real = matching.dictionary_match

    def counting(password: str, _ranked_dictionaries: Any) -> Any:
        looked_up.append(password)
        return real(password, _ranked_dictionaries=_ranked_dictionaries)

    monkeypatch.setattr(matching, "dictionary_match", counting)
    for password in ("4@8({[<3691!|70$5+%2" * 10, "(1!|7+$5" * 9, "P@$$w0rd!123|" * 3):
        with suppress(Invalid):
            prepare(password)
    assert len(looked_up) < 200
    assert max(len(password) for password in looked_up) == 72


def test_two_people_at_once_are_judged_by_their_own_names() -> None:
    """zxcvbn keeps the words of the person in one place for all threads."""
    start = threading.Barrier(8)

    def refused(number: int) -> int:
        name = f"Wilhelmina{number} Featherstone{number}"
        start.wait()
        count = 0
        for _ in range(25):
            try:
                prepare(f"wilhelmina{number}featherstone{number}", name=name, email=f"w{number}@example.org")
            except Invalid:
                count += 1
        return count

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(refused, range(8))) == [25] * 8


def test_a_temporary_password_is_random() -> None:
    first, second = passwords.temporary(), passwords.temporary()
    assert first.text != second.text
    assert len(first.text) == 20
    assert passwords.matches(Account(password_hash=first.hashed), first.text)
