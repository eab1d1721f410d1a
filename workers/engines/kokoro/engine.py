"""The Kokoro engine: voices by matching, speech piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from workers.engines.artefact import pack, unpack
from workers.engines.base import (
    ArtefactIncompatible,
    EngineError,
    EngineInfo,
    Progress,
    Segment,
    SpeakRequest,
    TextNotSpeakable,
    VoiceSample,
)
from workers.engines.kokoro import model, table
from workers.engines.kokoro.calibration import measure
from workers.engines.kokoro.matching import Delivery, delivery, match
from workers.engines.kokoro.table import STOCK, Style
from workers.engines.phonemes import ESPEAK_VOICES, phonemise, resolve_language
from workers.engines.text import Piece, split

ID = "kokoro"
VERSION = "1"
SLOWEST, FASTEST = 0.5, 2.0
_LONGEST_PIECE = 220
_SHORTEST_CUT = 8

INFO = EngineInfo(
    id=ID,
    version=VERSION,
    licence="Apache-2.0",
    commercial=True,
    languages=tuple(ESPEAK_VOICES),
    sample_rate=model.SAMPLE_RATE,
    max_characters_per_piece=_LONGEST_PIECE,
    stock_voices=tuple(card for _, card in STOCK.values()),
)


def voice_artefact(kind: str, style: Style, manner: Delivery) -> bytes:
    """The bytes of a voice. kind: "matched" or "stock", for whoever looks into one."""
    return pack(
        ID,
        VERSION,
        {"kind": kind, "weights_sha256": model.weights_digest(), "table_sha256": table.digest()},
        {
            "mean": style.mean.astype(np.float32),
            "slopes": style.slopes.astype(np.float16),
            "rows": style.rows.astype(np.float16),
            "delivery": np.array([manner.mu, manner.ratio, manner.shift, manner.speed], np.float32),
        },
    )


class KokoroEngine:
    """See workers.engines.base.Engine."""

    def __init__(self) -> None:
        self.info = INFO
        self._speaker: model.Speaker | None = None

    def load(self) -> None:
        """See Engine."""
        if self._speaker is None:
            self._speaker = model.Speaker()

    def prepare_voice(self, sample: VoiceSample, progress: Progress) -> bytes:
        """See Engine. Takes about two seconds on one core; needs no load()."""
        progress(0.0)
        style = match(table.table(), sample)
        progress(0.2)
        own = measure(model.Prosody(), style.at)
        progress(0.9)
        voice = voice_artefact("matched", style, delivery(table.table(), own, sample))
        progress(1.0)
        return voice

    def stock_voice(self, voice_id: str) -> bytes:
        """See Engine."""
        if voice_id not in STOCK:
            raise EngineError(f"There is no stock voice {voice_id[:40]!r}. Use one of: {', '.join(STOCK)}.")
        return voice_artefact("stock", table.table().style(STOCK[voice_id][0]), Delivery())

    def speak(self, requests: Sequence[SpeakRequest]) -> Iterator[Segment]:
        """See Engine. Kokoro takes one piece at a time, so a batch is spoken in turn."""
        for request in requests:
            yield from self._speak(request)

    def _speak(self, request: SpeakRequest) -> Iterator[Segment]:
        if not SLOWEST <= request.speed <= FASTEST:
            raise EngineError(f"The speed must be between {SLOWEST} and {FASTEST}.")
        language = resolve_language(request.language)
        style, manner = _unpack(request.artefact)
        pieces = list(_spoken_pieces(request.text, language, _LONGEST_PIECE))
        if not pieces:
            raise TextNotSpeakable("Nothing in this text can be said in the chosen language.")
        speed = request.speed * manner.speed
        self.load()
        assert self._speaker is not None
        for index, (ids, pause) in enumerate(pieces):
            pcm = self._speaker.speak(ids, style.at(len(ids)), speed, manner.mu, manner.ratio, manner.shift)
            yield Segment(request.key, pcm, model.SAMPLE_RATE, index, len(pieces), pause / speed)


def _spoken_pieces(text: str, language: str, longest: int) -> Iterator[tuple[list[int], float]]:
    """Tokens and pause of each piece; what has too many phonemes, as long numbers do, is cut again."""
    for piece in split(text, longest, min(24, longest // 2)):
        yield from _fitting(piece, language, longest)


def _fitting(piece: Piece, language: str, longest: int) -> Iterator[tuple[list[int], float]]:
    phonemes = phonemise(piece.text, language)
    ids = model.tokens(phonemes)
    if not any(symbol.isalpha() for symbol in phonemes):
        return
    if len(ids) <= model.MAX_SYMBOLS:
        yield ids, piece.pause
    elif longest > 2 * _SHORTEST_CUT:
        smaller = list(_spoken_pieces(piece.text, language, longest // 2))
        yield from smaller[:-1]
        yield from ((ids, piece.pause) for ids, _ in smaller[-1:])
    else:  # a few characters with hundreds of phonemes: no language has them, garbage does
        yield ids[: model.MAX_SYMBOLS], piece.pause


def _unpack(artefact: bytes) -> tuple[Style, Delivery]:
    facts, arrays = unpack(artefact, ID, VERSION)
    try:
        mean, slopes, rows, manner = (arrays[k].astype(np.float32) for k in ("mean", "slopes", "rows", "delivery"))
    except KeyError as missing:
        raise ArtefactIncompatible("The voice artefact is incomplete: prepare the voice again.") from missing
    fits = mean.shape == (256,) and manner.shape == (4,) and rows.ndim == 2 and slopes.shape == (rows.shape[1], 256)
    if not fits or len(rows) == 0 or facts.get("weights_sha256") != model.weights_digest():
        raise ArtefactIncompatible("The voice was prepared for other weights of Kokoro: prepare the voice again.")
    return Style(mean, slopes, rows), Delivery(*(float(v) for v in manner))
