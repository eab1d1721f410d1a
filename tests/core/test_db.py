"""The database's engine."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.core.db import Databases


def test_an_error_of_the_database_does_not_show_the_parameters(databases: Databases) -> None:
    statement = text("SELECT :password FROM nowhere")
    with pytest.raises(DBAPIError, match="nowhere") as caught, databases.writing() as session:
        session.execute(statement, {"password": "correct horse"})
    assert "correct horse" not in str(caught.value)
