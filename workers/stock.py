"""The stock voices of the engine as voices that everybody can use. Run with `python -m workers.stock`; safe to repeat.

Voices of another engine are taken out of use: their artefacts can't be spoken by this one.
"""

from __future__ import annotations

import sys

import app.parts  # noqa: F401 - what registers itself, such as the leaves of the ledger
from app.core.db import Databases
from app.core.storage import Storage, open_storage
from app.settings import get_settings
from app.voices.stock import StockCard, put_stock_voice, retire_stock_voices
from workers.engines.base import Engine, EngineError
from workers.engines.registry import get_engine
from workers.weights import WeightsMissing


def sync_stock(databases: Databases, storage: Storage, engine: Engine) -> int:
    """Store the artefacts and write the rows of the engine's stock voices; gives how many rows were new or changed."""
    info = engine.info
    cards = [
        StockCard(
            stock_id=voice.id,
            name=voice.name,
            language=voice.language,
            description=voice.description,
            engine=f"{info.id}/{info.version}",
            artefact_key=f"stock/{info.id}/{info.version}/{voice.id}.npz".lower(),
        )
        for voice in info.stock_voices
    ]
    for card in cards:
        storage.put(card.artefact_key, engine.stock_voice(card.stock_id))
    with databases.writing() as session:
        retire_stock_voices(session, keep={card.stock_id for card in cards})
        return sum(put_stock_voice(session, card) for card in cards)


def main() -> None:
    """For the engine of the settings; says what there is."""
    settings = get_settings()
    databases = Databases(settings)
    try:
        engine = get_engine(settings.speech.engine)
        changed = sync_stock(databases, open_storage(settings), engine)
    except (EngineError, WeightsMissing) as error:
        sys.exit(str(error))
    finally:
        databases.close()
    sys.stdout.write(f"{len(engine.info.stock_voices)} stock voices of {engine.info.id}, {changed} new or changed.\n")


if __name__ == "__main__":
    main()
