"""A real web server without a worker, people with browsers, and an account in which every state can be seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import httpx2
import pytest

from app.accounts.models import Role
from app.accounts.registration import NewAccount
from app.core import crypto
from tests.conftest import make_settings
from tests.harness import Service, running
from tests.pages.browsing import Visitor, visitor
from tests.pages.gallery import Gallery, furnish
from tests.pages.gallery_accounts import tools_of
from tests.pages.paying import Payer
from workers.tools import Tools


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One server for all pages."""
    with running(make_settings(tmp_path_factory.mktemp("pages")), worker=False) as service:
        yield service


@pytest.fixture
def stranger(service: Service) -> Iterator[httpx2.Client]:
    """A browser in which nobody is signed in."""
    with visitor(service) as client:
        yield client


@pytest.fixture
def visit() -> Iterator[Callable[[Service, NewAccount], Visitor]]:
    """Signs an account in to a service; the browser is closed at the end of the test."""
    with ExitStack() as stack:

        def open_browser(service: Service, made: NewAccount) -> Visitor:
            person = Visitor.of(service, made)
            stack.callback(person.client.close)
            return person

        yield open_browser


@pytest.fixture
def customer(service: Service, visit: Callable[[Service, NewAccount], Visitor]) -> Visitor:
    """A signed-in customer."""
    return visit(service, service.world.newcomer())


@pytest.fixture
def moderator(service: Service, visit: Callable[[Service, NewAccount], Visitor]) -> Visitor:
    """A signed-in moderator."""
    return visit(service, service.world.newcomer(role=Role.MODERATOR))


@pytest.fixture(scope="session")
def tools(service: Service) -> Iterator[Tools]:
    """What errands are done with."""
    with tools_of(service) as made:
        yield made


@pytest.fixture
def payer(service: Service, tools: Tools) -> Iterator[Payer]:
    """Somebody new who may pay and prove themselves at the sandbox."""
    person = Payer(service, tools)
    yield person
    person.visitor.client.close()


@pytest.fixture(scope="session")
def without_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose operator gives plans and verifies people."""
    settings = make_settings(tmp_path_factory.mktemp("operator")).model_copy(update={"environment": "production"})
    crypto.make_web_secret(settings)
    with running(settings, worker=False) as service:
        yield service


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    """A service of its own in which everything stands in every state; nobody changes it."""
    with running(make_settings(tmp_path_factory.mktemp("gallery")), worker=False) as service:
        shown = furnish(service)
        with closing(shown):
            yield shown
