"""The page of one's data: a copy for its owner alone, and the end of the account, which can be undone."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from app.accounts import holds
from app.accounts.models import Account, LoginSession
from app.billing.models import Subscription
from app.core.db import now
from app.core.errands import Errand
from app.jobs.models import Job, JobKind, JobState
from app.privacy.models import DataExport
from app.voices.models import Sample, SampleFile
from tests.harness import Service
from tests.pages.browsing import Page, Visitor, log_in, visitor
from tests.world import OPERATOR
from workers.errands import run_due
from workers.tools import Tools

PATH = "/account/data"
Visiting = Callable[..., Visitor]


@pytest.fixture
def tools(service: Service) -> Iterator[Tools]:
    """What the process for errands works with."""
    made = Tools(service.settings)
    yield made
    made.databases.close()


def mails(service: Service, person: Visitor, words: str) -> int:
    """Mails to a person that wait and contain some words."""
    query = select(Errand.payload).where(Errand.kind == "mail", Errand.owner_id == person.account.id)
    return sum(words in payload.get("text", "") for payload in service.world.rows(query))


def test_a_copy_is_made_announced_and_fetched_by_its_owner_alone(
    service: Service, customer: Visitor, visit: Visiting, tools: Tools
) -> None:
    assert "Make a copy" in customer.get(PATH).text
    assert customer.post(f"{PATH}/export").status_code == 303
    assert "Being made since" in customer.get(PATH).text
    assert customer.post(f"{PATH}/export").status_code == 409
    run_due(tools)
    shown = customer.get(PATH).text
    (href,) = re.findall(rf'href="({PATH}/export/[^"]+)"', shown)
    fetched = customer.get(href)
    assert fetched.headers["content-type"] == "application/zip"
    assert fetched.headers["content-disposition"].startswith("attachment")
    with zipfile.ZipFile(io.BytesIO(fetched.content)) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert json.loads(archive.read("account.json"))["email"] == customer.account.email
    assert manifest["account"] == customer.account.public_id
    stranger = visit(service, service.world.newcomer())
    assert stranger.get(href).status_code == 404
    with visitor(service) as nobody:
        assert nobody.get(href).headers["location"].startswith("/login")
    with service.world.databases.writing() as session:
        of_mine = LoginSession.account_id == customer.account.id
        session.execute(update(LoginSession).where(of_mine).values(confirmed_at=now() - timedelta(hours=1)))
    assert customer.get(href).headers["location"].startswith("/account/confirm")


def test_two_copies_a_day_and_none_after_its_time(service: Service, customer: Visitor, tools: Tools) -> None:
    for _ in range(2):
        assert customer.post(f"{PATH}/export").status_code == 303
        run_due(tools)
    third = customer.post(f"{PATH}/export")
    assert (third.status_code, "Please try again tomorrow." in third.text) == (429, True)
    (href,) = re.findall(rf'href="({PATH}/export/[^"]+)"', customer.get(PATH).text)
    with service.world.databases.writing() as session:
        of_mine = DataExport.account_id == customer.account.id
        session.execute(update(DataExport).where(of_mine).values(expires_at=now()))
    assert customer.get(href).status_code == 404
    assert "The last copy is not here any more." in customer.get(PATH).text


def test_asking_for_the_end_closes_everything_and_can_be_undone(service: Service, customer: Visitor) -> None:
    world, account = service.world, customer.account
    voice = world.voice(account)
    clip = world.speak(account, voice)
    world.subscribe(account, "creator", now(), now() + timedelta(days=30))
    wrong = customer.post(f"{PATH}/delete", email="else@example.org")
    assert (wrong.status_code, "That is not the address of this account." in wrong.text) == (422, True)
    assert world.get(Account, account.id).closing_at is None
    with visitor(service) as other:
        log_in(other, account.email, customer.password)
        assert customer.post(f"{PATH}/delete", email=account.email.upper()).status_code == 303
        assert other.get("/account").status_code == 303
    closing = world.get(Account, account.id).closing_at
    assert now() + timedelta(days=6) < closing < now() + timedelta(days=8)
    with service.client(customer.api_key) as program:
        assert program.get("/v1/user").status_code == 401
    assert world.get(Job, clip.job_id).state is JobState.CANCELLED
    external = world.rows(select(Subscription.external_id).where(Subscription.account_id == account.id))[0]
    assert world.count(Errand, Errand.key == f"cancel:{external}") == 1
    assert mails(service, customer, "will be deleted on") == 1
    assert "This account will be deleted on" in Page.read(customer.get(PATH).text).text
    assert customer.post(f"{PATH}/delete", email=account.email).status_code == 409
    assert customer.post("/speak", voice_id=voice.public_id, text="Hello").status_code == 403
    with visitor(service) as again:  # whoever changes his mind signs in
        assert log_in(again, account.email, customer.password).status_code == 303
        assert again.post(f"{PATH}/keep").status_code == 303
    assert world.get(Account, account.id).closing_at is None
    assert mails(service, customer, "The deletion of your account was undone") == 1
    with service.client(customer.api_key) as program:
        assert program.get("/v1/user").status_code == 401, "keys stay off"
    assert customer.post(f"{PATH}/keep").status_code == 409
    world.speak(account, voice)
    world.take(JobKind.SPEAK)


def test_a_hold_is_shown_without_a_reason(service: Service, customer: Visitor) -> None:
    with service.world.databases.writing() as session:
        holds.place(session, session.get_one(Account, customer.account.id), "Case 4711", OPERATOR)
    shown = customer.get(PATH).text
    assert "A part of your data must be kept at present" in shown
    assert "4711" not in shown


def test_a_name_of_a_file_that_would_lead_elsewhere_is_made_harmless(
    service: Service, customer: Visitor, tools: Tools
) -> None:
    world = service.world
    voice = world.start_voice(customer.account)
    world.take(JobKind.INTAKE)
    with world.databases.reading() as session:
        (key,) = session.scalars(
            select(SampleFile.storage_key)
            .join(Sample, Sample.id == SampleFile.sample_id)
            .where(Sample.voice_id == voice.id)
        )
    with world.databases.writing() as session:
        session.execute(update(SampleFile).where(SampleFile.storage_key == key).values(name="../../etc/pass wd"))
    service.storage.put(key, b"a recording")
    customer.post(f"{PATH}/export")
    run_due(tools)
    (href,) = re.findall(rf'href="({PATH}/export/[^"]+)"', customer.get(PATH).text)
    with zipfile.ZipFile(io.BytesIO(customer.get(href).content)) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        for listed in manifest["files"]:
            assert hashlib.sha256(archive.read(listed["name"])).hexdigest() == listed["sha256"]
        assert sorted(archive.namelist()) == sorted([*(each["name"] for each in manifest["files"]), "manifest.json"])
    assert f"voices/{voice.public_id}/sample-1/0-etc_pass_wd" in [each["name"] for each in manifest["files"]]
