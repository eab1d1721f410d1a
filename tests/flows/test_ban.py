"""Promise: a ban works at once. Standing is read by every request, never remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.accounts import keys, sessions
from app.accounts.identity import Caller, acting, looking
from app.accounts.models import Account, LoginSession, Standing
from app.accounts.registration import NewAccount
from app.accounts.sign_in import check_password
from app.core.db import now
from app.core.errors import DomainError, Forbidden, NotFound, Unauthenticated
from app.core.services import Services
from app.jobs.models import Job, JobKind
from app.provenance.delivery import Delivery, deliver, stamp_of
from app.speech.models import Clip
from app.speech.service import ask_for_speech
from app.voices import consents
from app.voices.models import Consent, Voice
from app.voices.service import delete_voice, start_voice
from tests.harness import until
from tests.world import OPERATOR, World, actor_of, upload

IDLE = timedelta(days=3)


@pytest.fixture
def services(world: World) -> Iterator[Services]:
    opened = Services.open(world.settings)
    yield opened
    opened.close()


def log_in(world: World, person: NewAccount, password: str | None = None) -> tuple[LoginSession, str]:
    where = "192.0.2.1"
    with world.databases.reading() as session:
        account = check_password(
            session, email=person.account.email, password=password or person.password, address=where
        )
    with world.databases.writing() as session:
        started = sessions.start_session(session, account.id, address=where, user_agent="test", settings=world.settings)
    return started.login, started.token


def by_session(world: World, token: str) -> Account:
    with world.databases.reading() as session:
        return sessions.account_of_session(session, token, IDLE)[0]


def by_key(world: World, key: str) -> Account:
    with world.databases.reading() as session:
        return keys.account_of_key(session, key, address="")[0]


def test_sessions_and_keys_stop_working_with_the_ban_and_work_again_after_it(world: World) -> None:
    person = world.newcomer()
    _, token = log_in(world, person)
    assert by_session(world, token).id == by_key(world, person.api_key).id == person.account.id
    world.set_standing(person.account, Standing.BANNED)
    for ask in (
        lambda: by_session(world, token),
        lambda: by_key(world, person.api_key),
        lambda: log_in(world, person),
    ):
        with pytest.raises(Forbidden, match="closed"):
            ask()
    world.set_standing(person.account, Standing.ACTIVE)
    assert by_session(world, token).id == person.account.id


@pytest.mark.parametrize("transaction", [acting, looking])
def test_a_caller_recognised_before_the_ban_can_do_nothing_after_it(
    world: World, services: Services, transaction: Callable[..., Any]
) -> None:
    person = world.newcomer()
    caller = Caller(person.account.id)
    with transaction(services, caller) as (_, account):
        assert account.id == person.account.id
    world.set_standing(person.account, Standing.BANNED)
    with pytest.raises(Forbidden, match="closed"), transaction(services, caller):
        pass


def test_a_finished_clip_is_not_delivered_to_a_banned_account(world: World) -> None:
    account = world.account()
    clip = world.speak(account, world.stock_voice())
    world.deliver(world.take(JobKind.SPEAK))

    def fetch(who: Account) -> Delivery:
        with world.databases.reading() as session:
            row = session.get_one(Clip, clip.id)
            return deliver(stamp_of(session, row), session.get_one(Account, who.id), row)

    assert fetch(account).mime == "audio/wav"
    with pytest.raises(NotFound):
        fetch(world.account())
    world.set_standing(account, Standing.BANNED)
    with pytest.raises(Forbidden):
        fetch(account)


def test_a_ban_beside_a_request_counts_for_that_request(world: World) -> None:
    """The account was loaded before the ban; what the request makes is decided by what it is now."""
    if world.databases.engine.dialect.name == "sqlite":
        pytest.skip("one writer at a time: nobody can come in between")

    account = world.account()
    voice = world.stock_voice()
    with world.databases.writing() as session:
        loaded = session.get_one(Account, account.id)
        assert loaded.state is Standing.ACTIVE
        world.set_standing(account, Standing.BANNED)
        with pytest.raises(DomainError, match="may not clone"):
            start_voice(session, loaded, name="x", language="en-us", uploads=[upload()], actor=actor_of(account))
    world.set_standing(account, Standing.ACTIVE)
    with world.databases.writing() as session:
        loaded = session.get_one(Account, account.id)
        world.set_standing(account, Standing.BANNED)
        with pytest.raises(DomainError, match="may not make clips"):
            ask_for_speech(
                session,
                loaded,
                voice_id=voice.public_id,
                text="Hello.",
                output_format="wav_24000",
                settings=world.settings,
            )


@pytest.mark.parametrize("end", ["revoke", "delete"])
def test_a_voice_taken_away_beside_a_request_counts_for_that_request(world: World, end: str) -> None:
    """The request has found the voice ready and waits for its turn while the voice is taken away."""
    if world.databases.engine.dialect.name == "sqlite":
        pytest.skip("one writer at a time: nobody can come in between")
    account = world.account()
    voice = world.voice(account)
    with ThreadPoolExecutor(1) as pool:
        with world.databases.writing() as session:
            row = session.get_one(Voice, voice.id)
            if end == "revoke":
                consents.revoke(session, session.get_one(Consent, voice.consent_id), OPERATOR)
            else:
                delete_voice(session, row, OPERATOR)
            session.flush()
            request = pool.submit(world.speak, account, voice)
            until(lambda: somebody_waits(world) or None, "the request to wait")
        with pytest.raises(DomainError) as refused:
            request.result()
    assert refused.value.code == ("voice_not_verified" if end == "revoke" else "voice_not_ready")
    assert world.count(Clip) == 0


def somebody_waits(world: World) -> bool:
    """Whether a transaction of this database waits for a lock."""
    query = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with world.databases.reading() as session:
        return session.scalar(text(query)) is not None


def test_a_suspension_that_has_run_out_is_over(world: World) -> None:
    account = world.account(standing=Standing.SUSPENDED, until=timedelta(seconds=-1))
    clip = world.speak(account, world.stock_voice())
    assert world.get(Job, clip.job_id).is_open


def test_ended_expired_and_unknown_sessions_are_nobody(world: World) -> None:
    person = world.newcomer()
    login, token = log_in(world, person)
    with world.databases.writing() as session:
        sessions.end_session(session, session.get_one(Account, person.account.id), login.id, OPERATOR)
    _, expired = log_in(world, person)
    with world.databases.writing() as session:
        row = sessions.account_of_session(session, expired, IDLE)[1]
        row.expires_at = now()
    for dead in (token, expired, "", "made up"):
        with pytest.raises(Unauthenticated):
            by_session(world, dead)


def test_a_revoked_or_unknown_key_is_nobody(world: World) -> None:
    person = world.newcomer()
    with world.databases.writing() as session:
        account = session.get_one(Account, person.account.id)
        second, key = keys.create_key(session, account, "second", OPERATOR)
        keys.revoke_key(session, account, second.id, OPERATOR)
    for dead in (key, "", person.api_key[:-1], "vch_"):
        with pytest.raises(Unauthenticated):
            by_key(world, dead)
    assert by_key(world, person.api_key).id == person.account.id


def test_nobody_ends_anothers_session_or_key(world: World) -> None:
    victim, other = world.newcomer(), world.account()
    login, token = log_in(world, victim)
    with world.databases.writing() as session:
        stranger = session.get_one(Account, other.id)
        with pytest.raises(NotFound):
            sessions.end_session(session, stranger, login.id, OPERATOR)
        key = keys.account_of_key(session, victim.api_key, address="")[1]
        with pytest.raises(NotFound):
            keys.revoke_key(session, stranger, key.id, OPERATOR)
    assert by_session(world, token).id == victim.account.id


def test_secrets_are_stored_nowhere(world: World) -> None:
    person = world.newcomer()
    _, token = log_in(world, person)
    with world.databases.reading() as session:
        connection = session.connection()
        for table in ("account", "api_key", "login_session", "audit_entry", "outbox_message"):
            kept = repr(connection.exec_driver_sql(f"SELECT * FROM {table}").all())
            for secret in (person.password, person.api_key, token):
                assert secret not in kept
