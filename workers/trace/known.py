"""What a trace looks through, as `search.find` sees it: tags, fingerprints, stored originals, texts.

The worker's is `ledger.Ledger`, over the database; a measurement can give its own, without any.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from workers.audio.transcribe import Word
from workers.marks.alignment import Candidate
from workers.marks.detect import Reading
from workers.marks.fingerprint import Query
from workers.marks.search import Search

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Tags:
    """Issued tags: ids of their generations beside rows of 16 bytes."""

    ids: Sequence[uuid.UUID]
    rows: NDArray[np.uint8]


@dataclass(frozen=True)
class Made:
    """A generation, as far as a trace needs to know it. `fingerprint` is None where there is none, or none any more.

    `own_voice`: the voice was cloned for this account. Stock voices come with the engine, and whoever has the engine
    can make the same sound elsewhere.
    """

    generation_id: uuid.UUID
    account_id: uuid.UUID
    key_epoch: int
    tag: bytes
    fingerprint: bytes | None
    own_voice: bool


@dataclass(frozen=True)
class Text:
    """What a generation was asked to say."""

    generation_id: uuid.UUID
    account_id: uuid.UUID
    text: str


class Reader(Protocol):
    """Reads marks under every key: `workers.marks.watermark.KeyRing`."""

    def read(self, pcm: Floats, sample_rate: int, search: Search = "plain") -> list[Reading]:
        """Readings with their epochs, best first."""


class Prints(Protocol):
    """The fingerprints of all clips: `workers.index.Index` behind one method."""

    def search(self, query: Query) -> Sequence[Candidate]:
        """Clips that may agree, best first, a bounded number."""


class Texts(Protocol):
    """Speech recognition, and the texts of all clips."""

    def hear(self, audio: Floats) -> Sequence[Word]:
        """The words of a query, mono at 16 kHz."""

    def search(self, words: Sequence[str]) -> Sequence[Text]:
        """Texts that have some of the rarer of these words, best first, a bounded number."""


class Known(Protocol):
    """Everything that a query is compared with."""

    @property
    def reader(self) -> Reader:
        """Reads marks."""

    @property
    def prints(self) -> Prints | None:
        """None: there is no index."""

    @property
    def texts(self) -> Texts | None:
        """None: what is said is not looked at."""

    def tags(self) -> Mapping[int, Tags]:
        """All issued tags by key epoch."""

    def numbered(self, numbers: Sequence[int]) -> Mapping[int, Made]:
        """Generations by their number in the index."""

    def made(self, generation_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, Made]:
        """Generations by id."""

    def original(self, generation_id: uuid.UUID) -> Floats | None:
        """The stored marked clip, mono at 16 kHz; None when it is gone."""

    def marked_again(self, clip: Made, original: Floats) -> Floats | None:
        """What `original` gave, marked once more with the clip's own tag under its own key; None when that is gone."""

    def unseen_twins(self, generation_id: uuid.UUID) -> int:
        """Generations that may sound the same and whose fingerprints are gone, so that no index finds them."""
