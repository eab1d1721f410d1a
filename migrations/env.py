"""How Alembic finds the tables and the database."""

from alembic import context
from sqlalchemy import Connection

import app.parts
from app.core.db import Base, make_engine
from app.settings import get_settings

assert app.parts  # imported for its tables


def run(connection: Connection) -> None:
    """Run the migrations on one connection, all or none."""
    context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    engine = make_engine(get_settings())
    with engine.connect() as opened:
        run(opened)
        opened.commit()
    engine.dispose()
