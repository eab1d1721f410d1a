"""Promise: no cloned voice speaks without consent in force. The schema refuses it; the services never try."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from app.core.errors import Invalid, NotFound, Refused
from app.jobs.models import Job, JobKind, JobState
from app.jobs.service import JobCancelled
from app.speech.models import Clip, Generation
from app.voices import consents, service
from app.voices.models import Consent, ConsentState, Sample, SampleState, Voice, VoiceState
from tests.world import World, upload

DISABLE = "UPDATE voice SET state = 'disabled', consent_in_force = NULL WHERE id = :id"


def raw(world: World, key: object) -> object:
    """An id as the database keeps it."""
    return str(key) if world.databases.engine.dialect.name == "postgresql" else str(key).replace("-", "")


def test_the_schema_refuses_a_voice_that_is_ready_without_consent(world: World) -> None:
    voice = world.voice(world.account(), VoiceState.DRAFT)
    ready = "UPDATE voice SET state = 'ready', artefact_key = 'x' WHERE id = :id"
    with pytest.raises(DBAPIError, match="speaks_only_with_consent"):
        world.execute(ready, id=raw(world, voice.id))


def test_the_schema_refuses_a_claimed_consent_that_is_not_in_force(world: World) -> None:
    voice = world.voice(world.account(), VoiceState.DRAFT)
    consent = world.ask(voice)
    with pytest.raises(DBAPIError, match=r"(?i)foreign key"):
        world.execute(
            "UPDATE voice SET state = 'ready', artefact_key = 'x', consent_in_force = true, consent_id = :consent"
            " WHERE id = :id",
            id=raw(world, voice.id),
            consent=raw(world, consent.id),
        )


def test_the_schema_refuses_to_revoke_a_consent_while_its_voice_is_ready(world: World) -> None:
    voice = world.voice(world.account())
    with pytest.raises(DBAPIError, match=r"(?i)foreign key"):
        world.execute(
            "UPDATE consent SET state = 'revoked', in_force = false WHERE id = :id", id=raw(world, voice.consent_id)
        )


def test_the_schema_refuses_a_consent_in_force_that_was_compared_with_no_sample(world: World) -> None:
    voice = world.voice(world.account(), VoiceState.DRAFT)
    consent = world.ask(voice)
    with pytest.raises(DBAPIError, match="in_force_for_a_sample"):
        world.execute(
            "UPDATE consent SET state = 'verified', in_force = true WHERE id = :id", id=raw(world, consent.id)
        )


@pytest.mark.parametrize("how", ["voice disabled", "another voice's consent", "no consent"])
def test_the_schema_refuses_a_ledger_row_of_a_voice_that_may_not_speak(world: World, how: str) -> None:
    account = world.account()
    voice = world.voice(account)
    other = world.voice(account)
    world.speak(account, voice)
    claim = world.take(JobKind.SPEAK)
    if how == "voice disabled":
        world.execute(DISABLE, id=raw(world, voice.id))
    else:
        consent = raw(world, other.consent_id) if how == "another voice's consent" else None
        world.execute(
            "UPDATE voice SET state = 'disabled', consent_in_force = NULL, consent_id = :consent WHERE id = :id",
            id=raw(world, voice.id),
            consent=consent,
        )
        if consent is not None:
            world.execute(
                "UPDATE voice SET state = 'ready', consent_in_force = true WHERE id = :id", id=raw(world, voice.id)
            )
    with pytest.raises(DBAPIError, match="may not speak"):
        world.commit(claim)
    assert world.count(Generation) == 0


def test_a_ledger_row_is_written_while_consent_is_in_force(world: World) -> None:
    account = world.account()
    voice = world.voice(account)
    world.speak(account, voice)
    generation = world.commit(world.take(JobKind.SPEAK))
    assert generation.consent_id == voice.consent_id


@pytest.mark.parametrize("end", ["revoke", "delete"])
def test_taking_consent_or_voice_away_stops_the_voice_and_all_its_work(world: World, end: str) -> None:
    account = world.account()
    voice = world.voice(account)
    running, waiting = world.speak(account, voice), world.speak(account, voice)
    claim = world.take(JobKind.SPEAK)
    generation = world.commit(claim)
    getattr(world, end)(voice)

    assert world.get(Voice, voice.id).state is (VoiceState.DISABLED if end == "revoke" else VoiceState.DELETED)
    assert world.get(Job, waiting.job_id).state is JobState.CANCELLED
    with pytest.raises(JobCancelled):
        world.deliver(claim)
    world.fail(claim, retry=True)
    assert world.get(Job, running.job_id).state is JobState.CANCELLED
    assert world.count(Generation) == 1
    assert generation.clip_id == running.id
    with pytest.raises(Refused if end == "revoke" else NotFound):
        world.speak(account, voice)
    assert world.claim("gpu") == []


def test_a_revoked_consent_is_not_in_force(world: World) -> None:
    voice = world.voice(world.account(), VoiceState.DISABLED)
    consent = world.get(Consent, voice.consent_id)
    assert (consent.state, consent.in_force) == (ConsentState.REVOKED, False)
    assert consent.revoked_at is not None
    with pytest.raises(Invalid, match="no consent in force"):
        world.revoke(voice)


def test_a_voice_of_which_the_consent_was_revoked_may_be_consented_to_again(world: World) -> None:
    account = world.account()
    voice = world.voice(account, VoiceState.DISABLED)
    world.give_consent(voice)
    world.make_voice(world.take(JobKind.CLONE))
    clip = world.speak(account, voice)
    assert world.get(Job, clip.job_id).is_open


def test_revoking_while_the_voice_is_cloned_throws_the_clone_away(world: World) -> None:
    voice = world.voice(world.account(), VoiceState.CLONING)
    claim = world.take(JobKind.CLONE)
    world.revoke(voice)
    with pytest.raises(JobCancelled):
        world.make_voice(claim)
    assert world.get(Voice, voice.id).state is VoiceState.DISABLED


@pytest.mark.parametrize("stage", ["sample waits", "reading waits", "reading is checked", "in review", "cloning"])
def test_deleting_an_unfinished_voice_settles_everything_about_it(world: World, stage: str) -> None:
    account = world.account()
    voice = world.start_voice(account)
    held = None
    if stage != "sample waits":
        world.judge_sample(world.take(JobKind.INTAKE))
    if stage.startswith("reading"):
        world.ask(voice)
        world.submit(voice)
        held = world.take(JobKind.CONSENT) if stage == "reading is checked" else None
    if stage == "in review":
        world.consent_in_review(voice)
    if stage == "cloning":
        world.give_consent(voice)
    world.delete(voice)
    if held is not None:
        with pytest.raises(JobCancelled):
            world.hear(held)
        world.fail(held, retry=True)
    assert world.claim("cpu") == []
    assert world.claim("gpu") == []
    settled = {ConsentState.FAILED, ConsentState.REFUSED, ConsentState.VERIFIED}
    assert {consent.state for consent in world.rows(select(Consent))} <= settled
    assert world.count(Job, Job.state.in_([JobState.QUEUED, JobState.RUNNING])) == 0
    assert world.get(Voice, voice.id).state is VoiceState.DELETED


def test_a_consent_is_for_the_sample_that_it_was_compared_with(world: World) -> None:
    """Attack: read the sentence over your own sample, then slip in somebody else's before the voice is cloned."""
    voice = world.voice(world.account(), VoiceState.DRAFT)
    (own,) = world.rows(select(Sample.id).where(Sample.voice_id == voice.id))
    consent = world.consent_in_review(voice)
    with pytest.raises(Invalid, match="already has its sample"), world.databases.writing() as session:
        service.add_sample(session, session.get_one(Voice, voice.id), [upload("somebody-else.wav")])

    with world.databases.writing() as session:  # even if one got in
        session.add(Sample(voice_id=voice.id, digest="0" * 64, state=SampleState.ACCEPTED))
    world.decide(consent, approve=True)
    with world.databases.reading() as session:
        cloned_from = consents.consented_sample(session, session.get_one(Voice, voice.id))
    assert cloned_from is not None
    assert cloned_from.id == own


def test_two_good_readings_of_two_sentences_clone_the_voice_once(world: World) -> None:
    voice = world.voice(world.account(), VoiceState.DRAFT)
    for _ in range(2):
        world.ask(voice)
        world.submit(voice)
    first, second = world.take(JobKind.CONSENT), world.take(JobKind.CONSENT, worker="worker:2")
    world.hear(first)
    assert world.hear(second).state is ConsentState.VERIFIED
    assert world.count(Job, Job.kind == JobKind.CLONE) == 1


def test_a_clip_of_a_voice_taken_away_before_its_turn_is_never_in_the_ledger(world: World) -> None:
    account = world.account()
    voice = world.voice(account)
    clip = world.speak(account, voice)
    world.revoke(voice)
    with world.databases.reading() as session:
        assert session.scalar(select(Generation).where(Generation.clip_id == clip.id)) is None
    assert world.count(Clip) == 1
