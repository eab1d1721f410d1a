"""People who pay and prove themselves on the sandbox's pages. All that follows from it is done at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.accounts.models import Account
from app.billing import checkout, sandbox_world, verification
from app.billing.gateway import Gateway, GatewayDown
from app.billing.models import VerificationState
from app.billing.sandbox_world import Kind
from tests.harness import Service
from tests.pages.browsing import Visitor
from workers.errands import run_due
from workers.tools import Tools


class Down:
    """A provider of which every question ends in nothing."""

    name = "sandbox"

    def __getattr__(self, verb: str) -> Callable[..., None]:
        def nothing(*_: object, **__: object) -> None:
            raise GatewayDown("payment.down", "The payment provider does not answer. Please try again in a minute.")

        return nothing


@contextmanager
def provider_down(service: Service) -> Iterator[None]:
    """While it does not answer."""
    state = service.app.state
    before = getattr(state, "gateway", None)
    state.gateway = Down()
    try:
        yield
    finally:
        del state.gateway
        if before is not None:
            state.gateway = before


class Payer:
    """Somebody new, signed in, on the free plan and not verified."""

    def __init__(self, service: Service, tools: Tools) -> None:
        self.service, self.tools = service, tools
        self.visitor = Visitor.of(service, service.world.newcomer(plan="free", verified=False))
        self.id = self.visitor.account.id

    @property
    def gateway(self) -> Gateway:
        """The sandbox."""
        assert self.tools.gateway is not None
        return self.tools.gateway

    @property
    def account(self) -> Account:
        """The account as it is now."""
        found: Account = self.service.world.get(Account, self.id)
        return found

    def checkout_page(self, plan: str = "starter") -> str:
        """Where to pay."""
        return checkout.begin(self.tools.databases, self.gateway, self.tools.settings, self.id, plan)

    def portal_page(self) -> str:
        """Where things are made to happen."""
        return checkout.portal(self.tools.databases, self.gateway, self.tools.settings, self.id)

    def check_page(self) -> str:
        """Where to show the pretended document."""
        back = "/account/identity?back=1"
        return verification.start(self.tools.databases, self.gateway, self.tools.settings, self.id, back)

    def subscribe(self, plan: str = "creator") -> Payer:
        """Pay."""
        return self._send(self.checkout_page(plan), card="good")

    def press(self, action: str, choice: str = "") -> Payer:
        """Press a button of the portal."""
        return self._send(self.portal_page(), action=action, choice=choice)

    def prove(self) -> Payer:
        """Show a good document."""
        return self._send(self.check_page(), outcome="verified", name="A Person")

    def show_bad_document(self) -> Payer:
        """Show one that has run out."""
        return self._send(self.check_page(), outcome="refused", problem="document_expired")

    def have_it_looked_at(self) -> Payer:
        """Show a document at which the provider is still looking."""
        external_id = self.check_page().rpartition("/")[2]
        with self.tools.databases.writing() as session:
            held = sandbox_world.find(session, Kind.VERIFICATION, external_id)
            sandbox_world.change(held, state=VerificationState.PROCESSING.value)
        verification.refresh(self.tools.databases, self.gateway, self.tools.settings, external_id)
        return self

    def _send(self, path: str, **fields: str) -> Payer:
        answer = self.visitor.post(path, **fields)
        assert answer.status_code == 303, answer.text
        run_due(self.tools)
        return self
