"""One spelling for each address: what looks or works alike is the same account, or no account."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.accounts.addresses import LONGEST, clean_email, spelling
from app.core.errors import Invalid

SAME = [
    ("Ada@Example.ORG", "ada@example.org"),
    ("  ada@example.org\n", "ada@example.org"),
    ("ada@example。org", "ada@example.org"),  # an ideographic full stop
    ("ada@ｅｘａｍｐｌｅ.org", "ada@example.org"),  # full-width letters
    ("ada@Bücher.example", "ada@xn--bcher-kva.example"),
    ("ada@bu\u0308cher.example", "ada@xn--bcher-kva.example"),  # the same letter in two code points
    ("ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"),
    ("ada+news@example.org", "ada+news@example.org"),
    ("o'hara@example.org", "o'hara@example.org"),
]

NONE = [
    "",
    "ada",
    "@example.org",
    "ada@",
    "ada@example",
    "ada@@example.org",
    "ada@example..org",
    "ada lovelace@example.org",
    '"ada"@example.org',
    "Ada <ada@example.org>",
    "ada@[127.0.0.1]",
    "ada@exa\x00mple.org",
    "ada@exam\u200bple.org",
    "ada@exam\u00adple.org",
    "ada@localhost",
    "ada@example.org\r\nBcc: all@example.org",
    "\u202eada@example.org",
    "ada\u200b@example.org",
    "a" * 65 + "@example.org",
    "ada@" + "a" * 64 + ".org",
    "x" * 5_000_000 + "@example.org",
    "ada@xn--\udcff.org",
    "🦆",
]


@pytest.mark.parametrize(("typed", "stored"), SAME)
def test_one_spelling(typed: str, stored: str) -> None:
    assert clean_email(typed) == stored
    assert spelling(typed) == stored


@pytest.mark.parametrize("typed", NONE)
def test_what_is_no_address(typed: str) -> None:
    with pytest.raises(Invalid) as said:
        clean_email(typed)
    assert said.value.code == "account.email"
    assert len(spelling(typed)) <= LONGEST


@pytest.mark.parametrize("typed", ["аda@example.org", "ａda@example.org", "ıda@example.org", "ad\u212b@example.org"])
def test_letters_that_look_or_fold_alike_are_refused_before_the_at(typed: str) -> None:
    with pytest.raises(Invalid, match="only have plain letters"):
        clean_email(typed)


def test_a_domain_that_looks_alike_is_another_one_and_looks_other_when_shown() -> None:
    assert clean_email("ada@ex\u0430mple.org").isascii()
    assert clean_email("ada@ex\u0430mple.org") != "ada@example.org"


@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_is_typed_the_spelling_is_ascii_and_stays_the_same(local: str, domain: str) -> None:
    try:
        stored = clean_email(f"{local}@{domain}")
    except Invalid:
        return
    assert stored.isascii()
    assert stored == stored.lower() == clean_email(stored) == clean_email(stored.upper())
