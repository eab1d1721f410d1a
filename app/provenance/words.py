"""Every text that was ever spoken here, searched for words that were heard.

On SQLite the table `clip_words`, which triggers keep; on PostgreSQL an index of `clip.text` (migration 0005). Texts
that were erased are in neither.
"""

from __future__ import annotations

import math
import re
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.speech.models import Clip, Generation

MOST_WORDS = 24
"""Words of a query that are looked up: the longest, which are the rarest as a rule."""
MOST_CLIPS = 1_000
"""A word that more clips have tells too little; so no look-up reads more rows."""
MOST_TEXTS = 20
_WORD = re.compile(r"[^\W_]{2,40}")

_SQLITE = text("SELECT clip_id FROM clip_words WHERE clip_words MATCH :word LIMIT :most")
_POSTGRESQL = text(
    "SELECT id FROM clip WHERE to_tsvector('simple', text) @@ plainto_tsquery('simple', :word) LIMIT :most"
)


@dataclass(frozen=True)
class Spoken:
    """A clip with its text."""

    generation_id: uuid.UUID
    account_id: uuid.UUID
    text: str


def spoken_with(session: Session, words: Sequence[str]) -> list[Spoken]:
    """Clips that were asked to say some of these words, those with most of the rarest first, at most MOST_TEXTS.

    The words may come from anywhere: what is no word is left out, and time is bounded by MOST_WORDS and MOST_CLIPS.
    When every word is common, clips that have all of the longest four.
    """
    looked_up = _choose(words)
    scores: Counter[uuid.UUID] = Counter()
    for word in looked_up:
        clips = _clips_with(session, [word])
        if len(clips) <= MOST_CLIPS:
            weight = math.log(1 + MOST_CLIPS / max(len(clips), 1))
            scores.update(dict.fromkeys(clips, weight))
    if not scores and looked_up:
        scores.update(_clips_with(session, looked_up[:4])[:MOST_CLIPS])
    best = [clip_id for clip_id, _ in scores.most_common(MOST_TEXTS)]
    query = (
        select(Clip.id, Generation.id, Generation.account_id, Clip.text)
        .join(Generation, Generation.clip_id == Clip.id)
        .where(Clip.id.in_(best), Clip.text != "")
    )
    found = {row[0]: Spoken(row[1], row[2], row[3]) for row in session.execute(query)}
    return [found[clip_id] for clip_id in best if clip_id in found]


def _choose(words: Sequence[str]) -> list[str]:
    """Different words, the longest first."""
    parts = {part for word in words for part in _WORD.findall(word.casefold())}
    return sorted(parts, key=lambda part: (-len(part), part))[:MOST_WORDS]


def _clips_with(session: Session, words: Sequence[str]) -> list[uuid.UUID]:
    """Up to MOST_CLIPS + 1 clips that have all of these words."""
    if session.get_bind().dialect.name == "postgresql":
        rows = session.scalars(_POSTGRESQL, {"word": " ".join(words), "most": MOST_CLIPS + 1})
        return list(rows)
    match = " AND ".join(f'text : "{word}"' for word in words)  # letters and digits only: nothing to escape
    ids = session.scalars(_SQLITE, {"word": match, "most": MOST_CLIPS + 1})
    return [uuid.UUID(hex=each) for each in ids]
