"""The main job, natively, on PostgreSQL with Redis and with RabbitMQ; and what happens when parts of it die."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from app.accounts.models import Role
from app.billing.models import EntryKind, LedgerEntry
from app.core import mail
from app.core.errands import Errand
from app.core.outbox import OutboxMessage
from app.jobs.models import Job, JobState
from app.provenance.models import Stamp
from app.speech.models import Clip, Generation
from app.voices.models import Voice
from tests.harness import stock_voice, until
from tests.services.conftest import Production

SPEECH = Path(__file__).parents[1] / "data" / "speech"
STATEMENT = json.loads((SPEECH / "transcripts.json").read_text())["reader_26"]["consent.flac"]
TEXT = "A sentence of this length is enough for the mark to hold, even where the line is bad and the hour is late."

pytestmark = [pytest.mark.services, pytest.mark.slow]


def test_from_a_minute_of_speech_to_a_traced_clip(production: Production) -> None:
    world, service = production.service.world, production.service
    customer, moderator = world.newcomer(), world.newcomer(role=Role.MODERATOR)
    with service.client(customer.api_key) as api:
        with (SPEECH / "reader_26" / "sample.flac").open("rb") as sample:
            answer = api.post("/v1/voices/add", data={"name": "Reader"}, files={"files": ("sample.flac", sample)})
        voice_id = said(answer)["voice_id"]
        captcha = f"/v1/voices/pvc/{voice_id}/captcha"
        assert said(api.get(captcha))["statement"] == STATEMENT
        with (SPEECH / "reader_26" / "consent.flac").open("rb") as reading:
            said(api.post(captcha, files={"recording": ("consent.flac", reading)}))
        voice = until(lambda: settled(said(api.get(f"/v1/voices/{voice_id}"))), "the voice")
        assert voice["vouch"]["state"] == "ready", voice
        clip = api.post(f"/v1/text-to-speech/{voice_id}", json={"text": TEXT})
        assert clip.headers["content-type"] == "audio/mpeg", clip.text[:500]

    with service.client(moderator.api_key) as console:
        answer = console.post("/v1/trace", data={"reason": "Is this ours?"}, files={"file": ("clip.mp3", clip.content)})
    trace = said(answer)
    assert (trace["verdict"], trace["account"]["email"]) == ("confirmed", customer.account.email)
    assert trace["voice"]["voice_id"] == voice_id


def said(answer: httpx2.Response) -> dict[str, Any]:
    """The body of an answer that must be a success."""
    assert answer.is_success, answer.text
    body: dict[str, Any] = answer.json()
    return body


def settled(voice: dict[str, Any]) -> dict[str, Any] | None:
    """The voice, once it is made or can't be."""
    attempts = voice["voice_verification"]["verification_attempts"] or []
    refused = voice["vouch"]["sample"]["state"] == "rejected" or any(
        attempt["state"] in ("failed", "in_review") for attempt in attempts
    )
    return voice if refused or voice["vouch"]["state"] in ("ready", "failed", "disabled") else None


def ask(production: Production, text: str) -> Clip:
    """A clip of a stock voice that a worker can speak."""
    world = production.service.world
    voices = world.rows(select(Voice).where(Voice.stock_id.is_not(None)))
    return world.speak(world.account(), voices[0] if voices else stock_voice(production.service), text)


def job_in(production: Production, clip: Clip, wanted: Callable[[Job], bool], what: str) -> Job:
    def look() -> Job | None:
        job: Job = production.service.world.get(Job, clip.job_id)
        return job if wanted(job) else None

    return until(look, what)


def results(production: Production, clip: Clip) -> tuple[int, int, int]:
    """How many ledger rows, stamps and charges a clip has."""
    world = production.service.world
    generations = world.rows(select(Generation.id).where(Generation.clip_id == clip.id))
    stamps = world.count(Stamp, Stamp.generation_id.in_(generations))
    charges = world.count(LedgerEntry, LedgerEntry.job_id == clip.job_id, LedgerEntry.kind == EntryKind.SETTLE)
    return len(generations), stamps, charges


def test_a_worker_killed_in_the_middle_of_a_clip_loses_nothing(production: Production) -> None:
    clip = ask(production, f"[[slow]] {TEXT}")
    job_in(production, clip, lambda job: job.state is JobState.RUNNING and job.progress > 0.1, "the middle of the clip")
    production.kill("gpu")
    production.start("gpu")
    job = job_in(production, clip, lambda job: not job.is_open, "the clip")
    assert (job.state, job.attempt) == (JobState.DONE, 2)
    assert results(production, clip) == (1, 1, 1)


def test_a_broker_that_forgets_its_messages_loses_no_job(production: Production) -> None:
    world = production.service.world
    production.kill("gpu")
    clip = ask(production, TEXT)
    until(lambda: world.count(OutboxMessage, OutboxMessage.sent_at.is_(None)) == 0 or None, "the relay")
    production.forget_messages()
    production.start("gpu")
    job = job_in(production, clip, lambda job: not job.is_open, "the clip")
    assert job.state is JobState.DONE
    assert results(production, clip) == (1, 1, 1)


def test_mail_posted_while_nobody_does_errands_is_sent_once_somebody_does(production: Production) -> None:
    """The doorbell is lost with the broker's messages; the sweeper rings again."""
    world = production.service.world
    production.kill("errands")
    with world.databases.writing() as session:
        mail.post(session, to="ada@example.org", subject="Your link", text="It is here.", key="links:1")
    until(lambda: world.count(OutboxMessage, OutboxMessage.sent_at.is_(None)) == 0 or None, "the relay")
    production.forget_messages()
    production.start("errands")
    folder = production.service.settings.mail_directory
    until(lambda: list(folder.glob("*.eml")) or None, "the mail")
    until(lambda: world.count(Errand, Errand.done_at.is_(None)) == 0 or None, "the note that it was sent")
    assert len(list(folder.glob("*.eml"))) == 1


def test_a_relay_and_a_beat_that_die_are_missed_only_until_they_are_back(production: Production) -> None:
    for part in ("relay", "beat"):
        production.kill(part)
    clip = ask(production, TEXT)
    for part in ("relay", "beat"):
        production.start(part)
    job = job_in(production, clip, lambda job: not job.is_open, "the clip")
    assert job.state is JobState.DONE
    assert results(production, clip) == (1, 1, 1)
