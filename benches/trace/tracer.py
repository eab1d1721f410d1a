"""The trace itself, as the worker runs it, over a service that was read from its database once."""

from __future__ import annotations

import hashlib
import io
import uuid
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, overload

import numpy as np
from sqlalchemy import select

from app.core.db import Databases
from app.provenance import fingerprints
from app.provenance.ledger.models import LeafKind, MerkleLeaf
from app.provenance.models import Stamp, Verdict
from app.provenance.rules import verdict_of_mark
from app.settings import Settings
from app.speech.models import Generation
from benches.trace.attacks import RATE, Floats, load
from workers.index import Candidate, Index
from workers.index.follow import catch_up
from workers.marks import matching
from workers.marks.detect import Reading
from workers.marks.fingerprint import Query
from workers.marks.search import Search
from workers.tools import Tools
from workers.trace.known import Made, Tags, Texts
from workers.trace.ledger import made_of
from workers.trace.marks import best_mark
from workers.trace.search import find

COMPARED = 20_000
"""Tags that a query is really compared with: those that were issued, and random ones."""
_SEARCHES: tuple[Literal["plain", "full"], ...] = ("plain", "full")
_SOURCES = ("workers/marks", "workers/trace", "workers/index", "app/provenance/rules.py", "benches/trace/tracer.py")
_THOROUGH = 60  # one in so many negatives is searched for over speed, tempo and pitch too


@dataclass(frozen=True)
class Traced:
    """The answer of a trace."""

    verdict: str
    named: str
    """Generation, or empty."""
    account: str
    best: str
    channel: str
    rate: float
    query_from: float | None
    original_from: float | None
    speed: float


@dataclass(frozen=True)
class Alone:
    """The answer that the mark gives without index, words and originals."""

    right: bool
    wrong: bool
    z: float


class _Ids(Sequence[uuid.UUID]):
    """Ids of issued tags, then of random ones that nobody made."""

    def __init__(self, real: Sequence[uuid.UUID], count: int) -> None:
        self._real, self._count = real, count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> uuid.UUID: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[uuid.UUID]: ...
    def __getitem__(self, index: int | slice) -> uuid.UUID | Sequence[uuid.UUID]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(self._count))]
        return self._real[index] if index < len(self._real) else uuid.UUID(int=index)


class _Reader:
    """Reads marks and remembers the last readings: the mark alone and the trace want the same ones."""

    def __init__(self, ring: object) -> None:
        self._ring = ring
        self._kept: dict[tuple[int, str], list[Reading]] = {}
        self.thorough = True

    def read(self, pcm: Floats, sample_rate: int, search: Search = "plain") -> list[Reading]:
        if not isinstance(search, str):
            return self._ring.read(pcm, sample_rate, search)  # type: ignore[attr-defined,no-any-return]
        if search == "full" and not self.thorough:
            return []
        key = (zlib.crc32(pcm.tobytes()), search)
        if key not in self._kept:
            if len(self._kept) > 3:
                self._kept.clear()
            self._kept[key] = self._ring.read(pcm, sample_rate, search)  # type: ignore[attr-defined]
        return self._kept[key]


class _Memory:
    """What `workers.trace.search.find` looks through, without a database."""

    texts: Texts | None = None

    def __init__(self, settings: Settings, storage: Path, compared: int) -> None:
        databases = Databases(settings)
        self._index = Index(settings.data_dir / "index")
        catch_up(databases, self._index)
        self._storage = storage
        self._originals: dict[uuid.UUID, Floats] = {}
        with databases.reading() as session:
            rows = list(session.scalars(select(Generation).order_by(Generation.id)))
            data = fingerprints.data_of(session, [row.id for row in rows])
            self._made = made_of(session, {row.id: data.get(row.id) for row in rows})
            stamps = select(Stamp.generation_id, Stamp.storage_key, MerkleLeaf.position).join(
                MerkleLeaf, (MerkleLeaf.subject_id == Stamp.id) & (MerkleLeaf.kind == LeafKind.STAMP)
            )
            stored = list(session.execute(stamps))
        databases.close()
        self._keys = {generation_id: key for generation_id, key, _ in stored}
        self._numbers = {position: generation_id for generation_id, _, position in stored}
        real = np.frombuffer(b"".join(row.tag for row in rows), np.uint8).reshape(-1, 16)
        others = np.random.default_rng(7).integers(0, 256, (max(compared - len(real), 0), 16), dtype=np.uint8)
        ids = _Ids([row.id for row in rows], len(real) + len(others))
        self.issued = {rows[0].key_epoch: Tags(ids, np.concatenate([real, others]))}
        self._ring = Tools(settings).keys.ring
        self.reader = _Reader(self._ring)
        self.prints = self

    def search(self, query: Query) -> Sequence[Candidate]:
        return self._index.search(query)

    def tags(self) -> Mapping[int, Tags]:
        return self.issued

    def numbered(self, numbers: Sequence[int]) -> Mapping[int, Made]:
        return {number: self._made[self._numbers[number]] for number in numbers if number in self._numbers}

    def made(self, generation_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, Made]:
        return {each: self._made[each] for each in generation_ids if each in self._made}

    def original(self, generation_id: uuid.UUID) -> Floats | None:
        if generation_id not in self._originals:
            data = (self._storage / self._keys[generation_id]).read_bytes()
            self._originals[generation_id] = load(io.BytesIO(data))
        return self._originals[generation_id]

    def marked_again(self, clip: Made, original: Floats) -> Floats:
        return self._ring.under(clip.key_epoch).embed(original, RATE, clip.tag)

    def unseen_twins(self, _generation_id: uuid.UUID) -> int:
        """None: nothing was erased."""
        return 0


class Tracer:
    """Traces copies over the service of `settings`, whose mark is searched for among `tags` tags.

    Only `compared` of them are really compared with: the bounds are those of all. A random tag that was left out would
    have been accepted once in 10,000 queries at most: that is what the bound says.
    """

    def __init__(self, settings: Settings, storage: Path, tags: int, compared: int = COMPARED) -> None:
        self._known = _Memory(settings, storage, compared)
        (issued,) = self._known.issued.values()
        whole, plain_bound = len(issued.ids), matching.false_match_bound

        def bound_of_all(z: float, count: int, hypotheses: int) -> float:
            """That of all tags for a search of them all; a comparison with a few clips is what it is."""
            return plain_bound(z, max(tags, whole) if count == whole else count, hypotheses)

        matching.false_match_bound = bound_of_all  # type: ignore[assignment]  # its callers give places, not names
        self.version = f"{_digest()}-{tags}-{compared}"

    def trace(self, audio: Floats) -> Traced:
        """As the worker would, but for speech recognition, which never names anybody."""
        self._known.reader.thorough = True
        return self._traced(audio)

    def trace_cheaply(self, audio: Floats, name: str) -> Traced:
        """The same, for most names without the search over speed, tempo and pitch."""
        self._known.reader.thorough = zlib.crc32(name.encode()) % _THOROUGH == 0
        return self._traced(audio)

    def _traced(self, audio: Floats) -> Traced:
        found = find(audio, self._known)
        named = found.generation_id
        made = self._known.made([named]) if named is not None else {}
        place = found.matched
        return Traced(
            verdict=found.verdict.value,
            named=str(named or ""),
            account=str(made[named].account_id) if named and named in made else ("nobody" if named else ""),
            best=str(found.best or ""),
            channel=str(found.channel or ""),
            rate=found.false_match_rate,
            query_from=place["query_from"] if place is not None else None,
            original_from=place["original_from"] if place is not None else None,
            speed=place["speed"] if place is not None else 1.0,
        )

    def alone(self, audio: Floats, truth: str, *, stretched: bool) -> Alone:
        """By the mark only; searched for over speed, tempo and pitch where `stretched`, which takes a second or two."""
        self._known.reader.thorough = True
        z = 0.0
        for searches, search in enumerate(_SEARCHES if stretched else _SEARCHES[:1], 1):
            hit = best_mark(self._known.reader.read(audio, RATE, search), self._known.issued, searches)
            z = max(z, hit.found.z) if hit is not None else z
            if hit is not None and verdict_of_mark(hit.found) is Verdict.CONFIRMED:
                named = str(hit.found.generation_id)
                return Alone(named == truth, named != truth, z)
        return Alone(False, False, z)


def _digest() -> str:
    digest = hashlib.sha256()
    for source in _SOURCES:
        path = Path(source)
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
