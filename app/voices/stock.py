"""Stock voices: those that come with the engine, belong to nobody, and need no consent."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

import app.accounts.models  # noqa: F401 - voices refer to accounts: SQLAlchemy must know that table
from app.core import audit
from app.core.audit import Actor
from app.core.db import now
from app.core.states import move
from app.voices.models import Voice, VoiceState

STOCKING = Actor.system("stock")


@dataclass(frozen=True)
class StockCard:
    """What is known of a stock voice; `engine` is name/version, `artefact_key` is where its bytes are stored."""

    stock_id: str
    name: str
    language: str
    description: str
    engine: str
    artefact_key: str


def put_stock_voice(session: Session, card: StockCard) -> bool:
    """Have a stock voice that is ready and as the card says; gives whether anything had to change."""
    voice = session.scalar(select(Voice).where(Voice.stock_id == card.stock_id))
    if voice is None:
        voice = Voice(**vars(card), state=VoiceState.READY, ready_at=now())
        session.add(voice)
        session.flush()
        audit.record(session, STOCKING, "voice.stocked", voice, facts={"engine": card.engine})
        return True
    changed = {field: value for field, value in vars(card).items() if getattr(voice, field) != value}
    for field, value in changed.items():
        setattr(voice, field, value)
    if voice.state is VoiceState.DISABLED:
        voice.problem = None
        move(session, voice, VoiceState.READY, STOCKING, facts={"engine": card.engine})
        return True
    return bool(changed)


def retire_stock_voices(session: Session, keep: Collection[str]) -> None:
    """Take stock voices that the engine does not have out of use; their past clips stay traceable."""
    query = select(Voice).where(
        Voice.stock_id.is_not(None), Voice.stock_id.not_in(keep), Voice.state == VoiceState.READY
    )
    for voice in session.scalars(query):
        voice.problem = "The engine in use does not have this voice."
        move(session, voice, VoiceState.DISABLED, STOCKING, reason=voice.problem)
