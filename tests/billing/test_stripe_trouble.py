"""The gateway to Stripe when things go wrong: proofs of identity, disputes, a Stripe that is down, wrong keys."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from app.billing import stripe_gateway
from app.billing.gateway import Gateway, GatewayDown, VerificationStart
from app.billing.models import VerificationState
from app.billing.stripe_gateway import StripeGateway
from app.core.db import now
from app.core.errors import Unavailable
from app.settings import Settings
from tests.stripe_fake import StripeWorld, billing

PATIENCE = 30.0  # far more than three tries of 0.05 seconds, far less than the 80 seconds that the library waits
CALLS: dict[str, Callable[[Gateway], object]] = {
    "create_customer": lambda g: g.create_customer(reference="acc_1", email="a@example.org", key="1"),
    "delete_customer": lambda g: g.delete_customer("cus_1", key="2"),
    "checkout": lambda g: g.checkout(
        customer="cus_1", plan="creator", reference="acc_1", success_url="https://v", cancel_url="https://v", key="3"
    ),
    "portal": lambda g: g.portal(customer="cus_1", return_url="https://v"),
    "subscription": lambda g: g.subscription("sub_1"),
    "subscriptions_of": lambda g: g.subscriptions_of("cus_1"),
    "change_plan": lambda g: g.change_plan("sub_1", "studio", key="4"),
    "cancel_subscription": lambda g: g.cancel_subscription("sub_1", key="5"),
    "invoices": lambda g: g.invoices("cus_1"),
    "card_of": lambda g: g.card_of("cus_1"),
    "record_usage": lambda g: g.record_usage(customer="cus_1", identifier="gen_1", characters=1, at=now()),
    "start_verification": lambda g: g.start_verification(reference="acc_1", return_url="https://v", key="6"),
    "verification": lambda g: g.verification("vs_1"),
    "redact_verification": lambda g: g.redact_verification("vs_1", key="7"),
    "charge": lambda g: g.charge("ch_1"),
    "dispute": lambda g: g.dispute("du_1"),
    "fraud_warning": lambda g: g.fraud_warning("issfr_1"),
}


def test_the_table_has_every_call_of_the_protocol() -> None:
    public = {name for name in vars(Gateway) if not name.startswith("_")}
    assert set(CALLS) == public - {"name", "read_event"}


@pytest.mark.parametrize("name", CALLS)
def test_every_call_says_when_stripe_is_down_after_three_tries(
    gateway: StripeGateway, stripe_world: StripeWorld, name: str
) -> None:
    stripe_world.go_down()
    with pytest.raises(GatewayDown, match="does not answer") as down:
        CALLS[name](gateway)
    assert isinstance(down.value, Unavailable)
    assert down.value.code == "payment.unavailable"
    assert len(stripe_world.requests) == 3


def test_what_failed_while_stripe_was_down_works_afterwards(gateway: StripeGateway, stripe_world: StripeWorld) -> None:
    stripe_world.go_down()
    with pytest.raises(GatewayDown):
        CALLS["create_customer"](gateway)
    stripe_world.come_back()
    CALLS["create_customer"](gateway)
    assert len(stripe_world.all("customer")) == 1


def test_an_answer_that_was_lost_does_nothing_twice(gateway: StripeGateway, stripe_world: StripeWorld) -> None:
    stripe_world.lose_answers(1)
    CALLS["create_customer"](gateway)
    stripe_world.lose_answers(3)
    with pytest.raises(GatewayDown):
        CALLS["start_verification"](gateway)
    CALLS["start_verification"](gateway)
    assert len(stripe_world.all("customer")) == 1
    assert len(stripe_world.all("identity.verification_session")) == 1


def test_nobody_at_the_address_is_a_stripe_that_is_down(stripe_world: StripeWorld, tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{taken.getsockname()[1]}"
        gateway = StripeGateway(Settings(data_dir=tmp_path, billing=billing(stripe_world) | {"stripe_api_base": base}))
        with pytest.raises(GatewayDown):
            gateway.charge("ch_1")


def test_a_stripe_that_never_answers_is_not_waited_for(
    stripe_world: StripeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stripe_gateway.CONNECT_SECONDS <= stripe_gateway.ANSWER_SECONDS <= 10
    monkeypatch.setattr(stripe_gateway, "ANSWER_SECONDS", 0.05)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        base = f"http://127.0.0.1:{silent.getsockname()[1]}"
        gateway = StripeGateway(Settings(data_dir=tmp_path, billing=billing(stripe_world) | {"stripe_api_base": base}))
        raised: queue.Queue[BaseException] = queue.Queue()
        threading.Thread(target=lambda: raised.put(_error_of(gateway)), daemon=True).start()
        assert isinstance(raised.get(timeout=PATIENCE), GatewayDown)


def _error_of(gateway: Gateway) -> BaseException:
    with pytest.raises(Exception) as error:  # noqa: PT011 - what it is, the test looks at
        gateway.charge("ch_1")
    return error.value


def test_a_key_that_stripe_does_not_know_is_the_operators_to_mend_and_is_not_shown(
    stripe_world: StripeWorld, tmp_path: Path
) -> None:
    wrong = billing(stripe_world) | {"stripe_secret_key": "sk_test_very_wrong"}
    with pytest.raises(GatewayDown, match="does not accept this server's key") as down:
        CALLS["create_customer"](StripeGateway(Settings(data_dir=tmp_path, billing=wrong)))
    assert down.value.code == "payment.key"
    assert "very_wrong" not in repr(down.value) + str(down.value.facts)


def begun(gateway: StripeGateway, key: str = "verify:1") -> VerificationStart:
    return gateway.start_verification(reference="acc_1", return_url="https://vouch.test/account/verify", key=key)


def test_a_proof_of_identity_asks_for_a_document_and_a_selfie_once(
    gateway: StripeGateway, stripe_world: StripeWorld
) -> None:
    first, second = begun(gateway), begun(gateway)
    assert first == second
    assert first.url.startswith("https://verify.stripe.com/")
    assert first.url not in repr(first), "whoever has the address can take the place of the person"
    asked = stripe_world.objects[first.id]["options"]["document"]
    assert asked == {"require_matching_selfie": True, "require_live_capture": True}


def test_a_proof_of_identity_is_read_as_it_stands(gateway: StripeGateway, stripe_world: StripeWorld) -> None:
    started = begun(gateway)
    seen = []
    for change in (
        lambda: None,
        lambda: stripe_world.process_identity(started.id),
        lambda: stripe_world.refuse_identity(started.id, "selfie_face_mismatch"),
        lambda: stripe_world.verify_identity(started.id, "Zoë", "Müller"),
    ):
        change()
        facts = gateway.verification(started.id)
        assert facts is not None
        assert (facts.id, facts.reference) == (started.id, "acc_1")
        seen.append((facts.state, facts.problem, facts.name))
        assert "Zoë" not in repr(facts)
    assert seen == [
        (VerificationState.REQUIRES_INPUT, None, None),
        (VerificationState.PROCESSING, None, None),
        (VerificationState.REQUIRES_INPUT, "selfie_face_mismatch", None),
        (VerificationState.VERIFIED, None, "Zoë Müller"),
    ]


def test_a_redacted_proof_has_no_name_and_may_be_redacted_again(
    gateway: StripeGateway, stripe_world: StripeWorld
) -> None:
    started = begun(gateway)
    stripe_world.verify_identity(started.id, "Zoë", "Müller")
    gateway.redact_verification(started.id, key="redact:1")
    gateway.redact_verification(started.id, key="redact:2")
    gateway.redact_verification("vs_unknown", key="redact:3")
    facts = gateway.verification(started.id)
    assert facts is not None
    assert (facts.state, facts.name) == (VerificationState.VERIFIED, None)


def test_a_proof_that_is_still_being_checked_is_redacted_later(
    gateway: StripeGateway, stripe_world: StripeWorld
) -> None:
    started = begun(gateway)
    stripe_world.process_identity(started.id)
    with pytest.raises(GatewayDown, match="still going on"):
        gateway.redact_verification(started.id, key="redact:1")
    stripe_world.cancel_identity(started.id)
    gateway.redact_verification(started.id, key="redact:1")
    assert stripe_world.objects[started.id]["redaction"] == {"status": "processing"}


def test_disputes_warnings_and_refunds_lead_to_the_customer(gateway: StripeGateway, stripe_world: StripeWorld) -> None:
    customer = gateway.create_customer(reference="acc_1", email="a@example.org", key="1")
    address = gateway.checkout(
        customer=customer, plan="creator", reference="acc_1", success_url="https://v", cancel_url="https://v", key="2"
    )
    stripe_world.pay_checkout(address)
    (charge,) = stripe_world.charges_of(customer)
    warning = gateway.fraud_warning(stripe_world.warn_of_fraud(charge))
    assert warning is not None
    assert (warning.charge, warning.customer, warning.actionable) == (charge, customer, True)
    disputed = stripe_world.open_dispute(charge)
    dispute = gateway.dispute(disputed)
    assert dispute is not None
    assert (dispute.charge, dispute.customer) == (charge, customer)
    assert (dispute.status, dispute.reason) == ("needs_response", "fraudulent")
    stripe_world.close_dispute(disputed, "lost")
    closed = gateway.dispute(disputed)
    assert closed is not None
    assert closed.status == "lost"
    stripe_world.refund(charge, 1_000)
    partly = gateway.charge(charge)
    assert partly is not None
    assert (partly.customer, partly.disputed) == (customer, True)
    assert (partly.amount_refunded, partly.refunded) == (1_000, False)
    stripe_world.refund(charge)
    whole = gateway.charge(charge)
    assert whole is not None
    assert (whole.amount_refunded, whole.refunded) == (2_200, True)
