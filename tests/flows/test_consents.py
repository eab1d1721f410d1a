"""Asking for consent and settling it: one sentence, one reading, one decision."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import select

from app.accounts.models import Account, Role, Standing
from app.core.audit import AuditEntry
from app.core.db import now
from app.core.errors import DomainError, Forbidden, Invalid, Refused
from app.jobs.models import Job, JobKind
from app.voices import consents
from app.voices.models import Consent, ConsentState, Voice, VoiceState
from app.voices.results import SampleFindings
from tests.conftest import make_settings
from tests.world import World

NOISY = SampleFindings([], [{"code": "sample.noise", "message": "Too much noise."}], {}, 40.0, [], None)


@pytest.fixture
def voice(world: World) -> Voice:
    """A draft whose sample was accepted."""
    return world.voice(world.account(), VoiceState.DRAFT)


def settle(world: World, consent: Consent, moderator: Account, *, approve: bool = True, reason: str = "Clear.") -> None:
    with world.databases.writing() as session:
        consents.decide(
            session,
            session.get_one(Consent, consent.id),
            session.get_one(Account, moderator.id),
            approve=approve,
            reason=reason,
            speech_queue="gpu",
        )


def test_a_good_reading_is_consent_and_clones_the_voice(world: World, voice: Voice) -> None:
    consent = world.give_consent(voice)
    assert (consent.state, consent.in_force) == (ConsentState.VERIFIED, True)
    assert consent.scores["challenge_found"] == 6
    assert world.get(Voice, voice.id).state is VoiceState.CLONING


@pytest.mark.parametrize(
    ("transcript", "speaker", "state", "code"),
    [
        ("Something else altogether, at length, to fill the time.", "accept", ConsentState.FAILED, "consent.words"),
        (None, "refuse", ConsentState.FAILED, "consent.speaker"),
        (None, "review", ConsentState.IN_REVIEW, "consent.speaker_unclear"),
    ],
)
def test_a_bad_reading_is_kept_with_scores_and_reasons(
    world: World, voice: Voice, transcript: str | None, speaker: str, state: ConsentState, code: str
) -> None:
    world.ask(voice)
    world.submit(voice)
    consent = world.hear(world.take(JobKind.CONSENT), transcript=transcript, speaker=speaker)
    assert (consent.state, consent.in_force) == (state, False)
    assert [reason["code"] for reason in consent.reasons] == [code]
    assert consent.scores["speaker"] == speaker
    assert world.get(Voice, voice.id).state is VoiceState.DRAFT
    assert world.claim("gpu") == []


def test_every_sentence_names_the_speaker_and_the_service_and_is_unlike_all_others(world: World, voice: Voice) -> None:
    asked = [world.ask(voice) for _ in range(5)]
    assert len({consent.statement for consent in asked}) == 5
    for consent in asked:
        assert "Ada Lovelace" in consent.statement
        assert world.settings.voices.service_name in consent.statement
        assert all(word in consent.statement for word in consent.challenge)


def test_only_so_many_sentences_a_day(world: World, voice: Voice) -> None:
    for _ in range(world.settings.voices.consent_attempts):
        world.ask(voice)
    with pytest.raises(Refused) as refused:
        world.ask(voice)
    assert refused.value.rule == "consent.attempts"
    with world.databases.writing() as session:
        session.get_one(Consent, world.rows(select(Consent.id))[0]).created_at = now() - timedelta(days=1, seconds=1)
    world.ask(voice)


def test_many_sentences_asked_for_at_once_keep_to_the_limit(world: World, voice: Voice) -> None:
    ready = Barrier(12)

    def one(_: int) -> str:
        ready.wait()
        try:
            world.ask(voice)
        except DomainError as error:
            return error.code
        return ""

    with ThreadPoolExecutor(12) as pool:
        outcomes = list(pool.map(one, range(12)))
    assert sorted(outcomes) == [""] * 5 + ["consent.attempts"] * 7
    assert world.count(Consent, Consent.state == ConsentState.PENDING) == 1


def test_a_newer_sentence_replaces_the_one_before(world: World, voice: Voice) -> None:
    first, second = world.ask(voice), world.ask(voice)
    assert world.get(Consent, first.id).reasons[0]["code"] == "consent.replaced"
    assert world.submit(voice).id == second.id


def test_an_expired_sentence_is_not_taken(world: World, voice: Voice) -> None:
    consent = world.ask(voice)
    with world.databases.writing() as session:
        session.get_one(Consent, consent.id).expires_at = now()
    with pytest.raises(Invalid, match="expired"):
        world.submit(voice)
    assert world.count(Job, Job.kind == JobKind.CONSENT) == 0


def test_a_sentence_is_read_once(world: World, voice: Voice) -> None:
    with pytest.raises(Invalid, match="Ask for one"):
        world.submit(voice)
    world.ask(voice)
    world.submit(voice)
    with pytest.raises(Invalid, match="Ask for one"):
        world.submit(voice)


def test_many_readings_sent_at_once_are_one(world: World, voice: Voice) -> None:
    """An attacker sends a hundred tries at once: one is heard."""
    world.ask(voice)
    ready = Barrier(10)

    def one(_: int) -> bool:
        ready.wait()
        try:
            world.submit(voice)
        except Invalid:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(one, range(10))) == 1
    assert world.count(Job, Job.kind == JobKind.CONSENT) == 1


@pytest.mark.parametrize("name", ["", "   ", "123", "!?"])
def test_a_sentence_needs_a_name(world: World, voice: Voice, name: str) -> None:
    with pytest.raises(Invalid, match="name"):
        world.ask(voice, name)


@pytest.mark.parametrize("state", [VoiceState.CLONING, VoiceState.READY])
def test_a_voice_that_has_consent_is_asked_for_no_other(world: World, state: VoiceState) -> None:
    voice = world.voice(world.account(), state)
    with pytest.raises(Invalid, match="does not wait"):
        world.ask(voice)


def test_a_voice_of_which_the_clone_failed_can_be_consented_to_again(world: World) -> None:
    voice = world.voice(world.account(), VoiceState.FAILED)
    world.give_consent(voice)
    world.make_voice(world.take(JobKind.CLONE))
    assert world.get(Voice, voice.id).state is VoiceState.READY


def test_a_reading_before_the_sample_is_judged_waits_for_it(world: World) -> None:
    voice = world.start_voice(world.account())
    world.ask(voice)
    world.submit(voice)
    assert world.count(Job, Job.kind == JobKind.CONSENT) == 0
    world.judge_sample(world.take(JobKind.INTAKE))
    assert world.hear(world.take(JobKind.CONSENT)).state is ConsentState.VERIFIED


def test_a_reading_falls_with_a_rejected_sample(world: World) -> None:
    voice = world.start_voice(world.account())
    world.ask(voice)
    consent = world.submit(voice)
    world.judge_sample(world.take(JobKind.INTAKE), NOISY)
    consent = world.get(Consent, consent.id)
    assert (consent.state, consent.reasons[0]["code"]) == (ConsentState.FAILED, "consent.sample_rejected")
    assert world.claim("cpu") == []


def test_a_check_that_broke_settles_the_consent(world: World, voice: Voice) -> None:
    world.ask(voice)
    consent = world.submit(voice)
    world.fail(world.take(JobKind.CONSENT), retry=False, code="internal", message="Our fault.")
    consent = world.get(Consent, consent.id)
    assert (consent.state, consent.reasons[0]["code"]) == (ConsentState.FAILED, "internal")
    world.give_consent(voice)


def test_a_moderator_approves_and_the_voice_is_cloned(world: World, voice: Voice) -> None:
    consent = world.consent_in_review(voice)
    moderator = world.decide(consent, approve=True, reason=" I listened to both. ")
    consent = world.get(Consent, consent.id)
    assert (consent.state, consent.decided_by, consent.in_force) == (ConsentState.VERIFIED, moderator.id, True)
    assert consent.decision_reason == "I listened to both."
    (entry,) = world.rows(select(AuditEntry).where(AuditEntry.action == "consent.verified"))
    assert (entry.actor_id, entry.reason) == (str(moderator.id), "I listened to both.")
    world.make_voice(world.take(JobKind.CLONE))


def test_a_moderator_refuses_and_nothing_is_cloned(world: World, voice: Voice) -> None:
    consent = world.consent_in_review(voice)
    world.decide(consent, approve=False, reason="Another person.")
    assert world.get(Consent, consent.id).state is ConsentState.REFUSED
    assert world.get(Voice, voice.id).state is VoiceState.DRAFT
    assert world.claim("gpu") == []


@pytest.mark.parametrize("reason", ["", " \n"])
def test_a_decision_needs_a_reason(world: World, voice: Voice, reason: str) -> None:
    consent = world.consent_in_review(voice)
    with pytest.raises(Invalid, match="reason"):
        world.decide(consent, approve=True, reason=reason)
    assert world.get(Consent, consent.id).state is ConsentState.IN_REVIEW


def test_nobody_decides_about_a_voice_of_his_own_account(world: World) -> None:
    operator = world.account(role=Role.OPERATOR)
    consent = world.consent_in_review(world.voice(operator, VoiceState.DRAFT))
    with pytest.raises(Forbidden, match="Somebody else"):
        settle(world, consent, operator)


@pytest.mark.parametrize(
    "who",
    [
        {"role": Role.CUSTOMER},
        {"role": Role.MODERATOR, "standing": Standing.RESTRICTED},
        {"role": Role.MODERATOR, "standing": Standing.SUSPENDED},
        {"role": Role.SENIOR, "standing": Standing.BANNED},
    ],
)
def test_only_moderators_in_good_standing_decide(world: World, voice: Voice, who: dict[str, object]) -> None:
    consent = world.consent_in_review(voice)
    with pytest.raises(Forbidden):
        settle(world, consent, world.account(**who))  # type: ignore[arg-type]


@pytest.mark.parametrize("first", [True, False])
def test_a_decision_is_made_once(world: World, voice: Voice, first: bool) -> None:
    consent = world.consent_in_review(voice)
    world.decide(consent, approve=first)
    with pytest.raises(Invalid, match="nothing is left to decide"):
        world.decide(consent, approve=not first)


def test_moderators_deciding_at_once_make_one_decision(world: World, voice: Voice) -> None:
    consent = world.consent_in_review(voice)
    moderators = [world.account(role=Role.MODERATOR) for _ in range(4)]
    ready = Barrier(4)

    def one(number: int) -> bool:
        ready.wait()
        try:
            settle(world, consent, moderators[number], approve=number % 2 == 0)
        except Invalid:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(one, range(4))) == 1
    decided = world.get(Consent, consent.id)
    assert decided.in_force is (decided.state is ConsentState.VERIFIED)
    assert world.count(Job, Job.kind == JobKind.CLONE) == int(decided.in_force)


def test_a_fixed_sentence_is_for_tests_only(world: World, voice: Voice) -> None:
    fixed = World(
        make_settings(
            world.settings.data_dir, database={"url": world.settings.database_url}, test_consent_statement="Say this."
        ),
        world.databases,
    )
    consent = fixed.ask(voice)
    assert (consent.statement, consent.challenge) == ("Say this.", [])
