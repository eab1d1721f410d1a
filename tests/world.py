"""People, voices and clips for tests, made the way the product makes them: through the services, on a real database.

What a worker would find in audio is given as numbers; everything around it is real.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pyotp
from sqlalchemy import func, select, text

from app.accounts import passwords, second_factor, totp
from app.accounts.models import Account, Role, Standing
from app.accounts.registration import NewAccount, create_account
from app.billing import ledger
from app.billing.models import Subscription, SubscriptionStatus
from app.billing.subscriptions import set_plan
from app.core import crypto
from app.core.audit import Actor
from app.core.db import Databases, now
from app.core.states import move
from app.core.uploads import Upload
from app.jobs import service as jobs
from app.jobs.models import Job, JobKind, JobState
from app.jobs.service import Claim
from app.provenance.service import Stamped, write_stamp
from app.settings import Settings
from app.speech.models import Clip, Generation
from app.speech.service import ask_for_speech, charge_for, commit_generation
from app.voices import consents, results, service
from app.voices.models import Consent, Sample, Voice, VoiceState
from app.voices.results import ConsentFindings, SampleFindings
from app.voices.rules import Reading

OPERATOR = Actor("operator", "test")
LEASE = timedelta(seconds=30)
KEY = b"k" * 32
GOOD_SAMPLE = SampleFindings([], [], {"f0_median": 120.0}, 60.0, [0.5], "samples/clean.flac")


def upload(name: str = "sample.wav") -> Upload:
    """A stored file, as far as the services can tell."""
    digest = uuid.uuid4().hex
    return Upload(name, 1_000, digest * 2, f"uploads/{digest}")


def actor_of(account: Account) -> Actor:
    """The account as the audit writes it."""
    return Actor("account", str(account.id))


@dataclass
class World:
    """One database and the verbs that fill it. Every method is one committed transaction, or several."""

    settings: Settings
    databases: Databases
    _numbers: Any = field(default_factory=count)

    # people

    def newcomer(self, *, role: Role = Role.CUSTOMER, plan: str = "creator", verified: bool = True) -> NewAccount:
        """An account with its password and API key; staff has an authenticator app, whose codes `code` gives."""
        password = passwords.temporary()
        with self.databases.writing() as session:
            made = create_account(
                session,
                email=f"person{next(self._numbers)}@example.org",
                name="A Person",
                role=role,
                plan=plan,
                verified=verified,
                password=password,
                actor=OPERATOR,
            )
            if second_factor.required(made.account, self.settings):
                second_factor.enrol_at_desk(session, made.account, self.settings, OPERATOR)
        return made

    def code(self, account: Account) -> str:
        """What the account's authenticator app shows, as if none of its codes had been used lately."""
        with self.databases.writing() as session:
            factor = totp.factor_of(session, account.id)
            assert factor is not None
            factor.last_step = 0
            return pyotp.TOTP(totp.secret_of(factor, crypto.web_secret(self.settings))).now()

    def account(
        self,
        *,
        role: Role = Role.CUSTOMER,
        plan: str = "creator",
        verified: bool = True,
        standing: Standing = Standing.ACTIVE,
        until: timedelta = timedelta(days=7),
    ) -> Account:
        """An account in a standing; a suspension ends `until` from now."""
        account = self.newcomer(role=role, plan=plan, verified=verified).account
        return self.set_standing(account, standing, until) if standing is not Standing.ACTIVE else account

    def set_standing(self, account: Account, standing: Standing, until: timedelta = timedelta(days=7)) -> Account:
        """Move an account, as a decision would."""
        with self.databases.writing() as session:
            row = session.get_one(Account, account.id)
            row.suspended_until = now() + until if standing is Standing.SUSPENDED else None
            move(session, row, standing, OPERATOR, reason="test")
        return row

    def change(self, account: Account, **columns: Any) -> Account:
        """Change plan or verification, as billing or an identity check would."""
        with self.databases.writing() as session:
            row = session.get_one(Account, account.id)
            for name, value in columns.items():
                setattr(row, name, value)
        return row

    def subscribe(
        self,
        account: Account,
        plan: str,
        start: datetime,
        end: datetime,
        *,
        status: SubscriptionStatus = SubscriptionStatus.ACTIVE,
        overage_cap: int = 0,
        ends: bool = False,
    ) -> Account:
        """The subscription of an account as a read from the provider leaves it, and the plan that follows from it."""
        with self.databases.writing() as session:
            row = session.scalar(select(Subscription).where(Subscription.account_id == account.id))
            if row is None:
                row = Subscription(account_id=account.id, external_id=f"sub_{account.id}")
                session.add(row)
            row.plan, row.status, row.overage_cap = plan, status, overage_cap
            row.period_start, row.period_end, row.cancel_at_period_end = start, end, ends
            row.read_at = now()
            fresh = session.get_one(Account, account.id)
            set_plan(session, fresh, plan, OPERATOR, "test")
        return fresh

    # voices

    def start_voice(self, account: Account, name: str | None = None) -> Voice:
        """A draft whose sample waits for intake."""
        with self.databases.writing() as session:
            return service.start_voice(
                session,
                session.get_one(Account, account.id),
                name=name or f"Voice {next(self._numbers)}",
                language="en-us",
                uploads=[upload()],
                actor=actor_of(account),
            )

    def voice(self, account: Account, state: VoiceState = VoiceState.READY) -> Voice:
        """A voice of the account in a state, by the shortest way there."""
        voice = self.start_voice(account)
        self.judge_sample(self.take(JobKind.INTAKE))
        if state not in (VoiceState.DRAFT, VoiceState.DELETED):
            self.give_consent(voice)
        if state is VoiceState.FAILED:
            self.fail(self.take(JobKind.CLONE), retry=False)
        if state in (VoiceState.READY, VoiceState.DISABLED):
            self.make_voice(self.take(JobKind.CLONE))
        if state is VoiceState.DISABLED:
            self.revoke(voice)
        if state is VoiceState.DELETED:
            self.delete(voice)
        fresh = self.get(Voice, voice.id)
        assert fresh.state is state
        return fresh

    def stock_voice(self) -> Voice:
        """A voice of the engine, for everybody."""
        with self.databases.writing() as session:
            voice = Voice(
                stock_id="fake-low", name="Low", language="en-us", state=VoiceState.READY, artefact_key="stock/fake-low"
            )
            session.add(voice)
        return voice

    def judge_sample(self, claim: Claim, findings: SampleFindings = GOOD_SAMPLE) -> None:
        """What the intake worker does after it has listened."""
        with self.databases.writing() as session:
            jobs.finish(session, claim)
            sample = session.get_one(Sample, claim.subject_id)
            results.sample_checking(session, sample)
            results.sample_judged(session, sample, findings)

    def ask(self, voice: Voice, name: str = "Ada Lovelace") -> Consent:
        """A sentence for the speaker to read."""
        with self.databases.writing() as session:
            row = session.get_one(Voice, voice.id)
            return consents.ask(session, row, speaker_name=name, language="en", settings=self.settings, actor=OPERATOR)

    def submit(self, voice: Voice) -> Consent:
        """A recording of the pending sentence."""
        with self.databases.writing() as session:
            return consents.submit(session, session.get_one(Voice, voice.id), upload("read.wav"), OPERATOR)

    def hear(self, claim: Claim, *, transcript: str | None = None, speaker: str = "accept") -> Consent:
        """What the consent worker does after it has listened; by default it heard the right words and voice."""
        with self.databases.writing() as session:
            jobs.finish(session, claim)
            consent = session.get_one(Consent, claim.subject_id)
            reading = Reading(consent.statement if transcript is None else transcript, 0.9, speaker)  # type: ignore[arg-type]
            findings = ConsentFindings(reading, {}, [], None)
            results.consent_heard(session, consent, findings, speech_queue=self.settings.jobs.speech_queue)
        return consent

    def give_consent(self, voice: Voice) -> Consent:
        """The speaker reads the sentence well."""
        self.ask(voice)
        self.submit(voice)
        return self.hear(self.take(JobKind.CONSENT))

    def consent_in_review(self, voice: Voice) -> Consent:
        """A consent that the machine could not settle."""
        self.ask(voice)
        self.submit(voice)
        return self.hear(self.take(JobKind.CONSENT), speaker="review")

    def decide(self, consent: Consent, *, approve: bool, reason: str = "I listened.") -> Account:
        """A moderator settles a consent."""
        moderator = self.account(role=Role.MODERATOR)
        with self.databases.writing() as session:
            consents.decide(
                session,
                session.get_one(Consent, consent.id),
                session.get_one(Account, moderator.id),
                approve=approve,
                reason=reason,
                speech_queue=self.settings.jobs.speech_queue,
            )
        return moderator

    def make_voice(self, claim: Claim) -> None:
        """What the cloning worker does at its end."""
        with self.databases.writing() as session:
            jobs.finish(session, claim)
            voice = session.get_one(Voice, claim.subject_id)
            results.voice_made(session, voice, engine="fake/1", artefact_key=f"voices/{voice.id}/{claim.fence}.npz")

    def revoke(self, voice: Voice) -> None:
        """The speaker takes the consent back."""
        with self.databases.writing() as session:
            consent = session.get_one(Consent, session.get_one(Voice, voice.id).consent_id)
            consents.revoke(session, consent, OPERATOR, "asked by the speaker")

    def delete(self, voice: Voice) -> None:
        """The owner takes the voice away."""
        with self.databases.writing() as session:
            service.delete_voice(session, session.get_one(Voice, voice.id), OPERATOR)

    # speech

    def speak(self, account: Account, voice: Voice, words: str = "Hello there.") -> Clip:
        """A clip that waits for a worker."""
        with self.databases.writing() as session:
            return ask_for_speech(
                session,
                session.get_one(Account, account.id),
                voice_id=voice.public_id,
                text=words,
                output_format="wav_24000",
                settings=self.settings,
            )

    def commit(self, claim: Claim) -> Generation:
        """The ledger row, as the speaking worker writes it first."""
        with self.databases.writing() as session:
            jobs.report(session, claim, 0.05, "speaking")
            clip = session.scalars(select(Clip).where(Clip.job_id == claim.job_id)).one()
            return commit_generation(session, clip, key=KEY, key_epoch=1, engine="fake/1")

    def deliver(self, claim: Claim, *, fingerprint: bytes | None = None) -> None:
        """What the speaking worker does at its end: result, stamp and charge in one transaction."""
        generation = self.commit(claim)
        stamped = Stamped(
            "wav_24000",
            f"generations/{generation.id}/{claim.fence}.wav",
            9,
            "0" * 64,
            1.0,
            [],
            9.0,
            -30.0,
            True,
            True,
            fingerprint,
        )
        with self.databases.writing() as session:
            jobs.finish(session, claim)
            write_stamp(session, generation.id, stamped)
            charge_for(session, session.scalars(select(Clip).where(Clip.job_id == claim.job_id)).one())

    def spend(self, account: Account, characters: int) -> Job:
        """Use up characters, as a finished clip does; gives its job."""
        with self.databases.writing() as session:
            job = Job(
                kind=JobKind.SPEAK, queue="done", state=JobState.DONE, subject_id=uuid.uuid4(), account_id=account.id
            )
            session.add(job)
            session.flush()
            ledger.reserve(session, session.get_one(Account, account.id), job_id=job.id, characters=characters)
            ledger.settle(session, job.id)
        return job

    # jobs

    def claim(self, queue: str, *, worker: str = "worker:1", lease: timedelta = LEASE, limit: int = 1) -> list[Claim]:
        """What a worker does when the doorbell rings."""
        with self.databases.writing() as session:
            return jobs.claim(session, queue=queue, worker=worker, lease=lease, limit=limit)

    def take(self, kind: JobKind, *, worker: str = "worker:1", lease: timedelta = LEASE) -> Claim:
        """Claim the next job, which must be of a kind."""
        queue = self.settings.jobs.speech_queue if kind in (JobKind.CLONE, JobKind.SPEAK) else "cpu"
        (claim,) = self.claim(queue, worker=worker, lease=lease)
        assert claim.kind is kind
        return claim

    def fail(self, claim: Claim, *, retry: bool, code: str = "test", message: str = "It broke.") -> None:
        """A worker gives up on a job."""
        with self.databases.writing() as session:
            jobs.fail(session, claim, code, message, retry=retry, max_attempts=self.settings.jobs.max_attempts)

    def sweep(self, ring_again_after: timedelta = timedelta(hours=1)) -> None:
        """One round of the sweeper."""
        with self.databases.writing() as session:
            jobs.sweep(session, max_attempts=self.settings.jobs.max_attempts, ring_again_after=ring_again_after)

    def expire(self, claim: Claim) -> None:
        """Time passes: the lease of a job runs out."""
        with self.databases.writing() as session:
            session.get_one(Job, claim.job_id).lease_until = now() - timedelta(seconds=1)

    # looking

    def get(self, table: type[Any], key: object) -> Any:
        """A row as it is now."""
        with self.databases.reading() as session:
            return session.get_one(table, key)

    def rows(self, query: Any) -> list[Any]:
        """What a select of one entity or column gives."""
        with self.databases.reading() as session:
            return list(session.scalars(query))

    def count(self, table: type[Any], *where: Any) -> int:
        """How many rows there are."""
        with self.databases.reading() as session:
            return session.scalar(select(func.count()).select_from(table).where(*where)) or 0

    def execute(self, statement: str, **values: Any) -> None:
        """A statement past all services, as somebody with the database's password would send it."""
        with self.databases.writing() as session:
            session.execute(text(statement), values)
