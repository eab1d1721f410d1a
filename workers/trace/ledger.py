"""What is known, from the database, the storage and the index of this machine."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from functools import cached_property

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.errors import NotFound
from app.provenance import fingerprints, traces
from app.provenance import words as spoken
from app.provenance.models import Stamp
from app.speech.models import Generation
from app.voices.models import Voice
from workers.audio.decode import AudioRejected, Limits, decode
from workers.audio.resample import resample
from workers.audio.transcribe import Word
from workers.index import Candidate, Index
from workers.index.follow import catch_up, opened
from workers.marks.fingerprint import BadFingerprint, Query, parse
from workers.recordings import fetched
from workers.tools import Tools
from workers.trace.known import Floats, Made, Reader, Tags, Text
from workers.trace.tags import TagCache

log = structlog.get_logger(__name__)

CANDIDATES = 20
_RATE = 16_000
_LONGEST_ORIGINAL = 3600.0  # seconds


class Ledger:
    """See `workers.trace.known.Known`. One for each process: it keeps tags and the open index."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._tags = TagCache(tools.databases)
        self.prints = _Prints(tools)
        self.texts = _Texts(tools)

    @property
    def reader(self) -> Reader:
        """See Known."""
        return self._tools.keys.ring

    def tags(self) -> Mapping[int, Tags]:
        """See Known."""
        return self._tags.current()

    def numbered(self, numbers: Sequence[int]) -> Mapping[int, Made]:
        """See Known."""
        with self._tools.databases.reading() as session:
            found = fingerprints.numbered(session, numbers)
            prints = {each.generation_id: each.data for each in found.values()}
            made = made_of(session, prints)
        return {number: made[each.generation_id] for number, each in found.items()}

    def made(self, generation_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, Made]:
        """See Known."""
        with self._tools.databases.reading() as session:
            there = fingerprints.data_of(session, generation_ids)
            return made_of(session, {each: there.get(each) for each in generation_ids})

    def original(self, generation_id: uuid.UUID) -> Floats | None:
        """See Known."""
        with self._tools.databases.reading() as session:
            key = session.scalar(select(Stamp.storage_key).where(Stamp.generation_id == generation_id))
        if key is None:
            return None
        try:
            with fetched(key, self._tools) as file:
                audio = decode(file, Limits(max_seconds=_LONGEST_ORIGINAL))
        except (AudioRejected, NotFound):  # its file was erased
            return None
        return resample(audio.pcm, audio.sample_rate, _RATE)

    def marked_again(self, clip: Made, original: Floats) -> Floats | None:
        """See Known."""
        try:
            mark = self._tools.keys.ring.under(clip.key_epoch)
        except KeyError:
            log.warning("mark.key_missing", epoch=clip.key_epoch)
            return None
        return mark.embed(original, _RATE, clip.tag)

    def unseen_twins(self, generation_id: uuid.UUID) -> int:
        """See Known."""
        with self._tools.databases.reading() as session:
            return traces.unseen_twins(session, generation_id)


def made_of(session: Session, prints: Mapping[uuid.UUID, bytes | None]) -> dict[uuid.UUID, Made]:
    """The generations of these ids, with the fingerprints that they are given with."""
    query = (
        select(Generation.id, Generation.account_id, Generation.key_epoch, Generation.tag, Voice.account_id)
        .join(Voice, Voice.id == Generation.voice_id)
        .where(Generation.id.in_(prints))
    )
    return {
        made: Made(made, account, epoch, tag, _readable(prints[made]), own_voice=owner is not None)
        for made, account, epoch, tag, owner in session.execute(query)
    }


def _readable(fingerprint: bytes | None) -> bytes | None:
    """None for a damaged one: it must not keep the others from being found."""
    try:
        if fingerprint is not None:
            parse(fingerprint)
    except BadFingerprint as problem:
        log.warning("fingerprint.damaged", problem=str(problem))
        return None
    return fingerprint


class _Prints:
    """The index, kept up with the database."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    @cached_property
    def _index(self) -> Index:
        return opened(self._tools.databases, self._tools.settings.index_directory)

    def search(self, query: Query) -> Sequence[Candidate]:
        """See Prints."""
        catch_up(self._tools.databases, self._index)
        return self._index.search(query, CANDIDATES)


class _Texts:
    """Speech recognition over all texts."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def hear(self, audio: Floats) -> Sequence[Word]:
        """See Texts."""
        return self._tools.transcriber.transcribe(audio).words

    def search(self, words: Sequence[str]) -> Sequence[Text]:
        """See Texts."""
        with self._tools.databases.reading() as session:
            found = spoken.spoken_with(session, words)
        return [Text(each.generation_id, each.account_id, each.text) for each in found]
