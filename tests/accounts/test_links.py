"""One-time links: they work once, for one purpose, for a while."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import select

from app.accounts import links
from app.accounts.models import OneTimeToken, TokenPurpose
from app.core.db import now
from app.core.errors import Invalid
from tests.accounts.conftest import Accounts
from tests.world import World

RESET = TokenPurpose.RESET_PASSWORD


def issue(world: World, purpose: TokenPurpose = RESET, lifetime: timedelta = timedelta(hours=1)) -> str:
    with world.databases.writing() as session:
        return links.issue(session, None, purpose, lifetime, {"next": "/"})


def use(world: World, token: str, purpose: TokenPurpose = RESET) -> OneTimeToken:
    with world.databases.writing() as session:
        return links.use(session, token, purpose)


def test_a_link_works_once_and_only_its_button_uses_it_up(world: World) -> None:
    token = issue(world)
    for _ in range(3):  # a program that reads mail opens the page as often as it likes
        with world.databases.reading() as session:
            assert links.look(session, token, RESET).facts == {"next": "/"}
    assert use(world, token).facts == {"next": "/"}
    with pytest.raises(Invalid, match="used already") as said:
        use(world, token)
    assert (said.value.code, said.value.fix) == ("link.used", "Ask for a new one.")


def test_for_another_purpose_it_is_unknown(world: World) -> None:
    token = issue(world)
    for wrong in (TokenPurpose.VERIFY_EMAIL, TokenPurpose.SECOND_STEP):
        with pytest.raises(Invalid, match="does not work"):
            use(world, token, wrong)
    use(world, token)


@pytest.mark.parametrize("token", ["", "x", "x" * 100_000, "\x00", "' OR 1=1 --"])
def test_made_up_tokens(world: World, token: str) -> None:
    issue(world)
    with pytest.raises(Invalid, match="does not work"):
        use(world, token)


def test_a_link_that_is_too_old(world: World) -> None:
    with pytest.raises(Invalid, match="too old"):
        use(world, issue(world, lifetime=timedelta(0)))


def test_of_many_at_once_one_succeeds(world: World) -> None:
    token, start = issue(world), Barrier(8)

    def attempt(_: int) -> str:
        start.wait()
        try:
            use(world, token)
        except Invalid as error:
            return error.code
        return "done"

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(attempt, range(8)))
    assert sorted(said) == ["done", *["link.used"] * 7]


def test_a_transaction_that_fails_gives_the_link_back(world: World) -> None:
    token = issue(world)
    with world.databases.writing() as session:
        links.use(session, token, RESET)
        session.rollback()
    assert use(world, token).used_at is not None, "and here it is used for good"


def test_the_token_itself_is_not_stored(world: World) -> None:
    token = issue(world)
    with world.databases.reading() as session:
        assert token not in repr(session.connection().exec_driver_sql("SELECT * FROM one_time_token").all())


def test_links_begin_with_the_public_address(door: Accounts) -> None:
    web = door.settings.web.model_copy(update={"public_url": "https://voices.example.org/"})
    settings = door.settings.model_copy(update={"web": web})
    settings.__dict__.pop("public_url", None)
    for purpose, page in links.PAGES.items():
        assert links.address(settings, purpose, "abc") == f"https://voices.example.org{page}?token=abc"


def test_old_ones_are_forgotten_after_a_day(world: World) -> None:
    young, old, long_lived = issue(world), issue(world), issue(world, lifetime=timedelta(days=9))
    with world.databases.writing() as session:
        for row in session.scalars(select(OneTimeToken)):
            if row.token_digest != links.crypto.digest(young):
                row.created_at -= timedelta(days=2)
            if row.token_digest == links.crypto.digest(old):
                row.expires_at = now() - timedelta(days=1, minutes=1)
    with world.databases.writing() as session:
        links.forget_old(session)
    use(world, young)
    use(world, long_lived)
    with pytest.raises(Invalid, match="does not work"):
        use(world, old)
