"""What the web process and the command line share: settings, database, storage. Made once per process."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request
from sqlalchemy import text

from app.core import migrate
from app.core.db import Databases
from app.core.errors import Unavailable
from app.core.storage import Storage, open_storage
from app.settings import Settings


@dataclass(frozen=True)
class Services:
    """Long-lived parts of one process."""

    settings: Settings
    databases: Databases
    storage: Storage

    @classmethod
    def open(cls, settings: Settings) -> Services:
        """Open them; nothing is contacted yet."""
        return cls(settings, Databases(settings), open_storage(settings))

    def check_database(self) -> None:
        """Raise unless the database answers and has the present schema."""
        with self.databases.reading() as session:
            session.execute(text("SELECT 1"))
        if not migrate.is_current(self.databases.engine):
            raise Unavailable("database.old", "The database needs `vouch migrate`.")

    def close(self) -> None:
        """Give everything back."""
        self.databases.close()


def services_of(request: Request) -> Services:
    """The services of the app that serves this request (a FastAPI dependency)."""
    services: Services = request.app.state.services
    return services
