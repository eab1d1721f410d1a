"""Text to Kokoro's phoneme symbols, by espeak-ng.

espeak-ng is a GPLv3 library. It comes in the package espeakng_loader and is loaded when it is first needed,
by ctypes; none of its code is part of this project. It is not thread safe, so one lock guards all use of it.

Kokoro was trained on the symbols of the phonemiser misaki: English diphthongs are single capitals (A I O Q W
Y), affricates single letters, American English has no length marks. The tables below state these conventions.
"""

from __future__ import annotations

import ctypes
import re
import threading
import unicodedata
from functools import lru_cache

import espeakng_loader

from workers.engines.base import LanguageNotSupported
from workers.engines.text import is_abbreviation

ESPEAK_VOICES = {
    "en-us": "en-us",
    "en-gb": "gmw/en",
    "es": "es",
    "fr": "roa/fr",
    "it": "it",
    "pt-br": "pt-br",
    "hi": "hi",
}
ALIASES = {"en": "en-us", "pt": "pt-br", "fr-fr": "fr", "es-es": "es", "it-it": "it", "hi-in": "hi"}

_RETRIEVAL, _DO_NOT_EXIT, _UTF8 = 1, 0x8000, 1
_TIE = "^"
_IPA_TIED = 0x02 | 0x80 | (ord(_TIE) << 8)
_lock = threading.Lock()

# A mark ends a clause where a space or the end follows it, so 3.14 and 10:30 stay whole.
_CLAUSE_MARK = re.compile(r"([;:,.!?—…\"()“”]+)(?=\s|$)|(?:(?<=\s)|^)([\"(“]+)")

_TIED = (
    ("ə^l", "ᵊl"),
    ("a^ɪ", "I"),
    ("a^ʊ", "W"),
    ("d^z", "ʣ"),
    ("d^ʒ", "ʤ"),
    ("e^ɪ", "A"),
    ("o^ʊ", "O"),
    ("ə^ʊ", "Q"),
    ("t^s", "ʦ"),
    ("t^ʃ", "ʧ"),
    ("ɔ^ɪ", "Y"),
    ("e^ə", "ɛː"),
    (_TIE, ""),
)
_ENGLISH = (
    ("ʔˌn\u0329", "tᵊn"),
    ("ʔn\u0329", "tᵊn"),
    ("əl\u0329", "ᵊl"),
    ("n\u0329", "ᵊn"),
    ("l\u0329", "ᵊl"),
    ("m\u0329", "ᵊm"),
    ("ɚ", "əɹ"),
    ("ɐ", "ə"),
    ("r", "ɹ"),
    ("x", "k"),
    ("ç", "k"),
    ("ɬ", "l"),
    ("ʔ", "t"),
    ("ʲ", ""),
    ("\u0303", ""),
    ("e", "A"),
)
_SUBSTITUTIONS = {
    "en-us": (
        *_TIED,
        *_ENGLISH,
        ("ɜːɹ", "ɜɹ"),
        ("ɜː", "ɜɹ"),
        ("ɪə", "iə"),
        ("ɾ", "T"),
        ("o", "ɔ"),
        ("ː", ""),
    ),
    "en-gb": (*_TIED, *_ENGLISH, ("iə", "ɪə")),
}


def resolve_language(language: str) -> str:
    """The tag of ESPEAK_VOICES for a language tag in any case, such as "EN" or "pt_BR".

    Raises LanguageNotSupported.
    """
    tag = language.strip().lower().replace("_", "-")
    tag = ALIASES.get(tag, tag)
    if tag not in ESPEAK_VOICES:
        known = ", ".join(ESPEAK_VOICES)
        raise LanguageNotSupported(f"The language {language[:20]!r} is not spoken here. Use one of: {known}.")
    return tag


def phonemise(text: str, language: str) -> str:
    """Kokoro's symbols for `text`, which should be one piece of workers.engines.text.split.

    Punctuation stays where it is, since the model reads it as melody. Raises LanguageNotSupported.
    """
    tag = resolve_language(language)
    parts: list[str] = []
    end = 0
    for mark in _CLAUSE_MARK.finditer(text):
        if mark.group() == "." and is_abbreviation(text, mark.start()):
            continue
        parts += [_words(text[end : mark.start()], tag), mark.group(1) or " " + mark.group(2)]
        end = mark.end()
    parts.append(_words(text[end:], tag))
    return re.sub(r"\s+", " ", "".join(parts)).strip()


def espeak_ipa(text: str, voice: str, mode: int = 0x02) -> str:
    """espeak-ng's own IPA for `text` in one of its voices; punctuation is dropped.

    mode: espeak's phoneme mode bits, 0x02 is plain IPA.
    """
    library = _library()
    with _lock:
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise LanguageNotSupported(f"espeak-ng has no voice {voice!r}.")
        buffer = ctypes.create_string_buffer(text.encode("utf-8", "ignore"))
        pointer = ctypes.c_void_p(ctypes.addressof(buffer))
        clauses = []
        while pointer.value:
            found = library.espeak_TextToPhonemes(ctypes.byref(pointer), _UTF8, mode)
            clauses.append((found or b"").decode("utf-8", "ignore"))
    return " ".join(clause for clause in clauses if clause)


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    with _lock:
        library = ctypes.CDLL(espeakng_loader.get_library_path())
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.c_int]
        data = espeakng_loader.get_data_path().encode()
        if library.espeak_Initialize(_RETRIEVAL, 0, data, _DO_NOT_EXIT) < 0:
            raise RuntimeError("espeak-ng could not start: its data folder is missing or damaged.")
    return library


def _words(text: str, tag: str) -> str:
    if not text.strip():
        return text
    ipa = unicodedata.normalize("NFD", espeak_ipa(text, ESPEAK_VOICES[tag], _IPA_TIED))
    ipa = re.sub(r"\([a-z-]+\)", "", ipa).replace("c\u0327", "ç")  # (en): espeak's mark of a borrowed word
    for old, new in _SUBSTITUTIONS.get(tag, _TIED):
        ipa = ipa.replace(old, new)
    ipa = ipa.replace("-", "").replace("_", "")
    before = " " if text[0].isspace() else ""
    return f"{before}{ipa.strip()}{' ' if text[-1].isspace() else ''}"
