"""Promise: one job, one result, one charge. Leases, fences, retries, cancelling, and many workers at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from app.accounts.models import Account, Standing
from app.billing.models import MOVES, EntryKind, LedgerEntry
from app.core.db import now
from app.core.outbox import OutboxMessage
from app.jobs import service as jobs
from app.jobs.models import Job, JobKind, JobState
from app.jobs.service import Claim, JobCancelled, LostLease
from app.provenance.models import Stamp
from app.speech.models import Clip, Generation
from app.speech.service import cancel_clip
from app.voices.models import Sample, SampleState, Voice, VoiceState
from tests.world import LEASE, OPERATOR, World


def cancel(world: World, clip: Clip) -> None:
    with world.databases.writing() as session:
        cancel_clip(session, session.get_one(Clip, clip.id), OPERATOR)


def clip_of(world: World, number: int = 1) -> tuple[Account, list[Clip]]:
    account, voice = world.account(plan="studio"), world.stock_voice()
    return account, [world.speak(account, voice, f"Clip number {n}.") for n in range(number)]


def outcome(world: World) -> tuple[int, int, int]:
    """Generations, stamps, charges."""
    return world.count(Generation), world.count(Stamp), world.count(LedgerEntry, LedgerEntry.kind == EntryKind.SETTLE)


def test_a_finished_clip_has_one_ledger_row_one_stamp_one_charge(world: World) -> None:
    _, (clip,) = clip_of(world)
    world.deliver(world.take(JobKind.SPEAK))
    assert outcome(world) == (1, 1, 1)
    assert world.get(Job, clip.job_id).state is JobState.DONE
    charged = select(LedgerEntry.characters).where(LedgerEntry.kind == EntryKind.SETTLE)
    assert world.rows(charged) == [len(clip.text)]


def test_the_first_worker_finishes_late_and_its_result_is_thrown_away(world: World) -> None:
    _, (clip,) = clip_of(world)
    first = world.take(JobKind.SPEAK, worker="slow:1")
    early = world.commit(first)
    world.expire(first)
    world.sweep()
    second = world.take(JobKind.SPEAK, worker="quick:2")
    assert second.fence > first.fence

    with pytest.raises(LostLease):
        world.deliver(first)
    world.deliver(second)
    with pytest.raises(LostLease):
        world.deliver(first)

    assert outcome(world) == (1, 1, 1)
    assert world.rows(select(Generation.id)) == [early.id], "a retry speaks under the same ledger row"
    assert world.rows(select(Stamp.storage_key)) == [f"generations/{early.id}/{second.fence}.wav"]
    assert world.get(Job, clip.job_id).worker == "quick:2"


def test_a_worker_that_lost_its_lease_can_do_nothing_at_all(world: World) -> None:
    clip_of(world)
    first = world.take(JobKind.SPEAK)
    world.expire(first)
    world.sweep()
    second = world.take(JobKind.SPEAK)
    with pytest.raises(LostLease), world.databases.writing() as session:
        jobs.report(session, first, 0.9, "nearly there")
    with pytest.raises(LostLease), world.databases.writing() as session:
        jobs.refuse(session, first, "rule", "No.")
    world.fail(first, retry=False)
    with world.databases.writing() as session:
        assert jobs.renew(session, [first, second], LEASE) == {first.job_id}
    job = world.get(Job, second.job_id)
    assert (job.state, job.fence, job.progress) == (JobState.RUNNING, second.fence, 0.0)


def test_a_worker_cannot_finish_between_expiry_and_the_next_claim(world: World) -> None:
    clip_of(world)
    first = world.take(JobKind.SPEAK)
    world.expire(first)
    world.sweep()
    with pytest.raises(LostLease):
        world.deliver(first)
    assert outcome(world) == (0, 0, 0)


@pytest.mark.parametrize("end", [EntryKind.SETTLE, EntryKind.RELEASE])
def test_the_schema_refuses_a_second_charge_and_a_release_of_what_was_charged(world: World, end: EntryKind) -> None:
    account, (clip,) = clip_of(world)
    world.deliver(world.take(JobKind.SPEAK))
    debit, credit = MOVES[end]
    with pytest.raises(DBAPIError, match=r"append-only|unique"), world.databases.writing() as session:
        session.add(
            LedgerEntry(
                account_id=account.id,
                period=now(),
                kind=end,
                debit=debit,
                credit=credit,
                characters=1,
                job_id=clip.job_id,
            )
        )
    assert outcome(world) == (1, 1, 1)


def test_a_renewed_lease_is_not_swept(world: World) -> None:
    clip_of(world)
    claim = world.take(JobKind.SPEAK, lease=timedelta(seconds=-1))
    with world.databases.writing() as session:
        assert jobs.renew(session, [claim], LEASE) == set()
    world.sweep()
    world.deliver(claim)
    assert outcome(world) == (1, 1, 1)


def test_attempts_are_capped_when_workers_die(world: World) -> None:
    _, (clip,) = clip_of(world)
    for _ in range(world.settings.jobs.max_attempts):
        world.expire(world.take(JobKind.SPEAK))
        world.sweep()
    job = world.get(Job, clip.job_id)
    assert (job.state, job.error_code, job.attempt) == (JobState.FAILED, "worker.died", 3)
    assert "3 times" in job.error_message
    assert world.claim("gpu") == []
    assert outcome(world) == (0, 0, 0)


def test_attempts_are_capped_when_the_work_breaks(world: World) -> None:
    _, (clip,) = clip_of(world)
    for _ in range(world.settings.jobs.max_attempts):
        world.fail(world.take(JobKind.SPEAK), retry=True, code="internal")
    assert world.get(Job, clip.job_id).state is JobState.FAILED
    assert world.claim("gpu") == []


def test_work_that_cannot_succeed_is_not_tried_again(world: World) -> None:
    _, (clip,) = clip_of(world)
    world.fail(world.take(JobKind.SPEAK), retry=False, code="speak.engine", message="No.")
    job = world.get(Job, clip.job_id)
    assert (job.state, job.error_code, job.error_message, job.attempt) == (JobState.FAILED, "speak.engine", "No.", 1)


def test_a_job_that_was_tried_before_runs_alone(world: World) -> None:
    """One that kills its worker takes no others with it twice."""
    account, _ = clip_of(world, 3)
    batch = world.claim("gpu", limit=4)
    assert len(batch) == 3
    for claim in batch:
        world.expire(claim)
    world.sweep()
    voice = world.rows(select(Voice).where(Voice.stock_id.is_not(None)))[0]
    for _ in range(2):
        world.speak(account, voice)
    assert [len(world.claim("gpu", limit=4)) for _ in range(5)] == [1, 1, 1, 2, 0]


def test_cancelling_a_waiting_clip_ends_it_at_once(world: World) -> None:
    _, (clip,) = clip_of(world)
    cancel(world, clip)
    job = world.get(Job, clip.job_id)
    assert (job.state, job.finished_at is None) == (JobState.CANCELLED, False)
    assert world.claim("gpu") == []
    assert outcome(world) == (0, 0, 0)


def test_cancelling_a_running_clip_stops_it_at_its_next_step(world: World) -> None:
    _, (clip,) = clip_of(world)
    claim = world.take(JobKind.SPEAK)
    cancel(world, clip)
    cancel(world, clip)
    with world.databases.writing() as session:
        assert jobs.renew(session, [claim], LEASE) == {claim.job_id}
    with pytest.raises(JobCancelled):
        world.deliver(claim)
    world.fail(claim, retry=True)
    assert world.get(Job, clip.job_id).state is JobState.CANCELLED
    assert outcome(world) == (0, 0, 0)


def test_a_cancelled_job_of_a_dead_worker_is_ended_by_the_sweeper(world: World) -> None:
    _, (clip,) = clip_of(world)
    claim = world.take(JobKind.SPEAK)
    cancel(world, clip)
    world.expire(claim)
    world.sweep()
    assert world.get(Job, clip.job_id).state is JobState.CANCELLED


def test_cancelling_a_finished_clip_changes_nothing(world: World) -> None:
    _, (clip,) = clip_of(world)
    world.deliver(world.take(JobKind.SPEAK))
    cancel(world, clip)
    assert world.get(Job, clip.job_id).state is JobState.DONE
    assert outcome(world) == (1, 1, 1)


def test_a_cancel_that_looked_before_the_worker_finished_does_not_undo_the_result(world: World) -> None:
    """The row is loaded while it waits, and a worker takes and finishes it before the cancel writes."""
    if world.databases.engine.dialect.name == "sqlite":
        pytest.skip("one writer at a time: nobody can come in between")
    _, (clip,) = clip_of(world)
    with world.databases.writing() as session:
        stale = session.get_one(Job, clip.job_id)
        assert stale.state is JobState.QUEUED
        world.deliver(world.take(JobKind.SPEAK))
        jobs.cancel(session, stale, OPERATOR)
    assert world.get(Job, clip.job_id).state is JobState.DONE
    assert outcome(world) == (1, 1, 1)


@pytest.mark.parametrize("standing", [Standing.SUSPENDED, Standing.BANNED])
def test_jobs_of_an_account_that_may_not_are_refused_at_the_claim(world: World, standing: Standing) -> None:
    account, clips = clip_of(world, 6)
    other_account = world.account()
    other = world.speak(other_account, world.rows(select(Voice).where(Voice.stock_id.is_not(None)))[0])
    world.set_standing(account, standing)
    taken = world.claim("gpu", limit=1)
    assert [claim.account_id for claim in taken] == [other_account.id], "jobs behind the refused ones are reached"
    assert other.job_id == taken[0].job_id
    for clip in clips:
        job = world.get(Job, clip.job_id)
        assert (job.state, job.error_code) == (JobState.REFUSED, "account.standing")
    assert outcome(world) == (0, 0, 0)


def test_a_refused_intake_settles_its_sample(world: World) -> None:
    account = world.account()
    voice = world.start_voice(account)
    world.set_standing(account, Standing.BANNED)
    assert world.claim("cpu") == []
    (sample,) = world.rows(select(Sample).where(Sample.voice_id == voice.id))
    assert sample.state is SampleState.REJECTED
    assert sample.reasons[0]["code"] == "account.standing"


def test_the_sweeper_rings_again_for_jobs_that_nobody_took(world: World) -> None:
    clip_of(world, 2)
    rung = world.count(OutboxMessage)
    world.sweep(ring_again_after=timedelta(hours=1))
    assert world.count(OutboxMessage) == rung
    world.sweep(ring_again_after=timedelta(seconds=-1))
    assert world.count(OutboxMessage) == rung + 1, "one ring for the whole queue"
    world.sweep(ring_again_after=timedelta(seconds=20))
    assert world.count(OutboxMessage) == rung + 1, "and not again at once"


def test_best_priority_first_then_oldest(world: World) -> None:
    voice = world.stock_voice()
    slow, fast = world.account(plan="free"), world.account(plan="studio")
    clips = [world.speak(who, voice) for who in (slow, slow, fast, fast)]
    order = [world.take(JobKind.SPEAK).job_id for _ in clips]
    assert order == [clips[n].job_id for n in (2, 3, 0, 1)]


def test_a_batch_is_of_one_kind(world: World) -> None:
    account = world.account()
    world.voice(account, VoiceState.CLONING)
    world.speak(account, world.stock_voice())
    assert [[claim.kind for claim in world.claim("gpu", limit=4)] for _ in range(3)] == [
        [JobKind.CLONE],
        [JobKind.SPEAK],
        [],
    ]


@pytest.mark.parametrize("limit", [1, 3])
def test_workers_at_once_never_share_a_job(world: World, limit: int) -> None:
    voice = world.stock_voice()
    for _ in range(4):
        account = world.account(plan="creator")
        for _ in range(3):
            world.speak(account, voice)
    workers = 8
    ready = Barrier(workers)

    def work(number: int) -> list[Claim]:
        taken: list[Claim] = []
        ready.wait()
        while claims := world.claim("gpu", worker=f"worker:{number}", limit=limit):
            taken += claims
        return taken

    with ThreadPoolExecutor(workers) as pool:
        by_worker = list(pool.map(work, range(workers)))
    taken = [claim.job_id for claims in by_worker for claim in claims]
    assert len(taken) == len(set(taken)) == 12
    assert {job.attempt for job in world.rows(select(Job).where(Job.kind == JobKind.SPEAK))} == {1}


def test_two_workers_finishing_the_same_job_at_once_give_one_result(world: World) -> None:
    """The old and the new holder of a job write at the same moment, many times over."""
    clip_of(world, 6)
    pairs = []
    for _ in range(6):
        old = world.take(JobKind.SPEAK)
        world.expire(old)
        world.sweep()
        new = world.take(JobKind.SPEAK)
        pairs.append((old, new))
    ready = Barrier(2)

    def finish(claim: Claim) -> bool:
        ready.wait()
        try:
            world.deliver(claim)
        except LostLease:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        for pair in pairs:
            assert list(pool.map(finish, pair)) == [False, True]
    assert outcome(world) == (6, 6, 6)
