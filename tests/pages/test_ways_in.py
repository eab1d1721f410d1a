"""Ways in that must not be easier than the others: a new password by mail, fields that no form has, floods."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from app.accounts import totp
from app.accounts.models import Account, OneTimeToken, TokenPurpose
from app.accounts.registration import NewAccount
from app.core import crypto
from app.core.errands import Errand
from app.site.paces import LIMITS
from tests.conftest import make_settings
from tests.harness import Service, running
from tests.pages.browsing import SECOND_STEP, Visitor, log_in, visitor
from tests.world import OPERATOR

NEW = "quiet otters mend the bridge"


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Service]:
    """A service of the test's own, at a name for which browsers allow passkeys: its paces count from nothing."""
    settings = make_settings(tmp_path, web={"public_url": "http://localhost:8800"})
    with running(settings, worker=False) as service:
        yield service


def with_app(service: Service) -> NewAccount:
    """Somebody with an authenticator app."""
    made = service.world.newcomer()
    key = crypto.web_secret(service.settings)
    with service.world.databases.writing() as session:
        account = session.get_one(Account, made.account.id)
        totp.store(session, account, totp.begin(account.id, key).secret, key, OPERATOR)
    return made


def link_for(service: Service, made: NewAccount) -> str:
    """The token of the newest mail with a link to a new password."""
    query = select(Errand.payload).where(Errand.owner_id == made.account.id).order_by(Errand.id)
    texts = [mail["text"] for mail in service.world.rows(query)]
    return [token for text in texts for token in re.findall(r"/password/new\?token=([\w-]+)", text)][-1]


def test_a_new_password_by_mail_does_not_replace_the_second_step(service: Service) -> None:
    made = with_app(service)
    with visitor(service) as thief:  # of the mailbox
        assert thief.post("/password/forgotten", data={"email": made.account.email}).status_code == 200
        done = thief.post("/password/new", data={"token": link_for(service, made), "password": NEW})
        assert done.status_code == 200
        assert thief.get("/account").status_code == 303
        assert log_in(thief, made.account.email, NEW).headers["location"] == SECOND_STEP
        assert thief.get("/account").status_code == 303


def test_who_has_a_new_password_is_told_that_keys_go_on_working(service: Service) -> None:
    made = service.world.newcomer()
    with visitor(service) as client:
        client.post("/password/forgotten", data={"email": made.account.email})
        client.post("/password/new", data={"token": link_for(service, made), "password": NEW})
    with service.client(made.api_key) as api:
        assert api.get("/v1/user").status_code == 200
    mails = service.world.rows(select(Errand.payload).where(Errand.owner_id == made.account.id))
    assert any("API keys go on working" in " ".join(mail["text"].split()) for mail in mails)


def test_fields_that_a_form_does_not_have_change_nothing(service: Service, customer: Visitor) -> None:
    extra = {
        "role": "operator",
        "plan": "studio",
        "state": "active",
        "verified_at": "2026-01-01",
        "email": "x@example.org",
        "password_hash": "x",
    }
    before = service.world.get(Account, customer.account.id)
    assert customer.post("/account/profile/name", name=before.name, **extra).status_code == 303
    after = service.world.get(Account, customer.account.id)
    for column in ("role", "plan", "state", "verified_at", "email", "password_hash"):
        assert getattr(after, column) == getattr(before, column), column


def test_mails_with_links_come_at_a_pace_for_each_network(fresh: Service) -> None:
    most, _ = LIMITS["forgotten"]
    with visitor(fresh) as client:
        for number in range(most):
            asked = client.post("/password/forgotten", data={"email": f"p{number}@example.org"})
            assert asked.status_code == 200
        made = fresh.world.newcomer()
        assert client.post("/password/forgotten", data={"email": made.account.email}).status_code == 429
        assert fresh.world.count(Errand, Errand.kind == "mail") == 0


def test_challenges_for_anybody_come_at_a_pace_for_each_network(fresh: Service) -> None:
    most, _ = LIMITS["passkey"]
    with visitor(fresh) as client:
        for _ in range(most):
            assert client.post("/login/passkey/options").status_code == 200
        assert client.post("/login/passkey/options").status_code == 429
        assert fresh.world.count(OneTimeToken, OneTimeToken.purpose == TokenPurpose.PASSKEY) == most
        made = fresh.world.newcomer()
        assert log_in(client, made.account.email, made.password).status_code == 303  # other ways in are not held up


def test_an_api_key_opens_no_page(service: Service) -> None:
    made = service.world.newcomer()
    for headers in ({"xi-api-key": made.api_key}, {"Authorization": f"Bearer {made.api_key}"}):
        with visitor(service) as client:
            assert client.get("/account", headers=headers).headers["location"] == "/login?next=/account"
            client.cookies.set("vouch_session", made.api_key)
            assert client.get("/account").status_code == 303
