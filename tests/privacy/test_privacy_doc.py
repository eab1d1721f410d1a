"""docs/privacy.md says what the code does."""

from __future__ import annotations

from datetime import timedelta

from app.privacy.kept import classes, table
from app.settings import Retention, Settings
from tests.privacy.write_privacy_doc import DOC, written


def test_the_table_in_the_document_is_the_codes() -> None:
    text = DOC.read_text()
    assert written(text) == text, "run: python -m tests.privacy.write_privacy_doc"


def test_every_timer_has_a_line_that_follows_it() -> None:
    assert {each.setting for each in classes(Settings())} - {None} == set(Retention.model_fields)
    changed = Settings(retention={name: timedelta(days=977) for name in Retention.model_fields})
    lines = [each for each in classes(changed) if each.setting is not None]
    assert [each.name for each in lines if "977 days" not in each.how_long] == []
    assert table(changed) != table(Settings())
