"""What one worker process keeps: connections, and models that are loaded once, at their first use."""

from __future__ import annotations

import os
import socket
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import app.parts  # noqa: F401
from app.billing.gateway import Gateway, open_gateway
from app.core.db import Databases
from app.core.signing import signing_key
from app.core.storage import Storage, open_storage
from app.settings import Settings, get_settings

if TYPE_CHECKING:  # imported where they are first used: the process that does errands never does
    from workers.audio.transcribe import Transcriber
    from workers.engines.base import Engine
    from workers.keys import Keys
    from workers.mark_keys import KeyFolder
    from workers.trace.ledger import Ledger


class Tools:
    """Settings, connections and warm models of this process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.databases = Databases(settings)
        self.storage: Storage = open_storage(settings)
        self.worker = f"{socket.gethostname()[:40]}:{os.getpid()}"  # an audit entry keeps 64 characters of it

    @cached_property
    def engine(self) -> Engine:
        """The voice engine, loaded."""
        from workers.engines.registry import get_engine

        engine = get_engine(self.settings.speech.engine)
        engine.load()
        return engine

    @cached_property
    def transcriber(self) -> Transcriber:
        """Speech recognition, loaded."""
        from workers.audio.transcribe import Transcriber

        return Transcriber()

    @cached_property
    def _key_folder(self) -> KeyFolder:
        from workers.mark_keys import KeyFolder

        return KeyFolder(self.settings)

    @property
    def keys(self) -> Keys:
        """The secret keys of mark and credentials, with an epoch that was added since."""
        return self._key_folder.now()

    @cached_property
    def ledger(self) -> Ledger:
        """What traces look through: all tags, and the open index."""
        from workers.trace.ledger import Ledger

        return Ledger(self)

    @cached_property
    def signing(self) -> Ed25519PrivateKey:
        """Signs checkpoints of the ledger, receipts and evidence."""
        return signing_key(self.settings)

    @cached_property
    def gateway(self) -> Gateway | None:
        """The payment provider; None where only the operator gives plans."""
        return open_gateway(self.settings, self.databases)


@lru_cache
def tools() -> Tools:
    """The tools of this process."""
    return Tools(get_settings())
