"""What one worker process keeps: connections, and models that are loaded once, at their first use."""

from __future__ import annotations

import os
import socket
from functools import cached_property, lru_cache

from app.core.db import Databases
from app.core.storage import Storage, open_storage
from app.settings import Settings, get_settings
from workers.audio.transcribe import Transcriber
from workers.engines.base import Engine
from workers.engines.registry import get_engine
from workers.keys import Keys, load_keys


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
        engine = get_engine(self.settings.speech.engine)
        engine.load()
        return engine

    @cached_property
    def transcriber(self) -> Transcriber:
        """Speech recognition, loaded."""
        return Transcriber()

    @cached_property
    def keys(self) -> Keys:
        """The secret keys of mark and credentials."""
        return load_keys(self.settings.key_directory)


@lru_cache
def tools() -> Tools:
    """The tools of this process."""
    return Tools(get_settings())
