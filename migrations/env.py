"""How Alembic finds the tables and the database."""

from alembic import context
from sqlalchemy import Connection

import app.accounts.models
import app.billing.models
import app.privacy.models
import app.provenance.models  # the topmost package of the flow: it imports the tables of all below
from app.accounts import factor_models, key_models, signals
from app.core import errands, outbox
from app.core.db import Base, make_engine
from app.settings import get_settings

TABLES = (  # imported for their tables
    app.accounts.models,
    factor_models,
    key_models,
    signals,
    app.billing.models,
    app.provenance.models,
    app.privacy.models,
    errands,
    outbox,
)


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
