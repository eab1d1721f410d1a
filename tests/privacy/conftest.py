"""A person with one of everything, in a real database and a real storage."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.settings import Settings
from tests.privacy.person import Person
from tests.world import World
from workers.tools import Tools


@pytest.fixture
def tools(settings: Settings) -> Iterator[Tools]:
    """What the process for errands works with."""
    made = Tools(settings)
    yield made
    made.databases.close()


@pytest.fixture
def person(world: World, tools: Tools) -> Person:
    """Somebody who has used everything."""
    return Person.of(world, tools)
