"""Phonemes: Kokoro's conventions, every symbol known, every language."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from workers.engines.base import LanguageNotSupported
from workers.engines.kokoro.model import symbols
from workers.engines.phonemes import ESPEAK_VOICES, phonemise, resolve_language


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Hello, world!", "en-us", "həlˈO, wˈɜɹld!"),
        ("Go home now, my choice.", "en-us", "ɡˌO hˈOm nˈW, mI ʧˈYs."),
        ("The judge made water.", "en-us", "ðə ʤˈʌʤ mˌAd wˈɔTəɹ."),
        ("Go home to the nurse.", "en-gb", "ɡˌQ hˈQm tə ðə nˈɜːs."),
        ("Ocho niños.", "es", "ˈoʧo nˈiɲos."),
    ],
)
def test_symbols_follow_kokoros_conventions(text: str, language: str, expected: str) -> None:
    assert phonemise(text, language) == expected


SAMPLES = {
    "en-us": "The quick brown fox jumps over 13 lazy dogs; isn't it odd?",
    "en-gb": "The quick brown fox jumps over 13 lazy dogs; isn't it odd?",
    "es": "El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia.",
    "fr": "Portez ce vieux whisky au juge blond qui fume.",
    "it": "Quel vituperabile xenofobo zelante assaggia il whisky ed esclama: alleluja!",
    "pt-br": "Luís argüia à Júlia que brações, fé, chá, óxido, pôr, zângão eram palavras.",
    "hi": "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश।",
}


@pytest.mark.parametrize("language", ESPEAK_VOICES)
def test_kokoro_knows_every_symbol_of_every_language(language: str) -> None:
    phonemes = phonemise(SAMPLES[language], language)
    assert len(phonemes) > 30
    assert {c for c in phonemes if c not in symbols()} == set()


def test_a_full_stop_inside_is_no_pause() -> None:
    assert phonemise("Mr. Smith paid 3.14.", "en-us").count(".") == 1


def test_language_tags_are_forgiving_and_unknown_ones_refused() -> None:
    assert resolve_language("EN_gb") == "en-gb"
    assert resolve_language("pt") == "pt-br"
    with pytest.raises(LanguageNotSupported, match="Use one of: en-us"):
        resolve_language("tlh")


def test_threads_get_what_one_thread_gets() -> None:
    jobs = [(SAMPLES[tag], tag) for tag in SAMPLES] * 8
    alone = [phonemise(*job) for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda job: phonemise(*job), jobs)) == alone
