"""Somebody who has left every kind of data behind, recognisable by words that appear nowhere else."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import select, text, update

from app.accounts import history, keys, second_factor, sessions
from app.accounts.factor_models import Passkey
from app.accounts.key_models import Scope
from app.accounts.models import Account, KnownBrowser, LoginOutcome, OneTimeToken, TokenPurpose
from app.accounts.registration import NewAccount
from app.billing.customers import ensure_customer
from app.billing.models import CardSeen, Verification, VerificationMethod, VerificationState
from app.core import crypto, mail
from app.core.db import Base, now
from app.core.errands import Errand
from app.jobs.models import JobKind
from app.privacy.models import DataExport, ExportState
from app.provenance.models import TraceQuery
from app.speech.models import Clip
from app.voices.models import Sample, SampleFile, Voice
from app.voices.results import SampleFindings
from tests.world import GOOD_SAMPLE, World, actor_of
from workers.errands import run_due
from workers.tools import Tools

NAME, SPEAKER = "Zenobia Quillfeather", "Thaddeus Brambleworth"
WORDS, VOICE, FILE = "The heron flies at noon.", "Grandfather at the lake", "lakeside-recording.wav"
ADDRESS, BROWSER, KEY_NAME = "203.0.113.77", "PeculiarBrowser/9", "kitchen radio"
CARD = "fp_peculiar_card"
NO_SOUND = b"\x01" + bytes(8)  # the fingerprint of nothing


@dataclass(frozen=True)
class Person:
    """An account with its things."""

    world: World
    tools: Tools
    made: NewAccount
    voice: Voice
    clip: Clip

    @property
    def account(self) -> Account:
        """As it is now."""
        row: Account = self.world.get(Account, self.made.account.id)
        return row

    @property
    def secrets(self) -> list[str]:
        """What must be found nowhere after an erasure."""
        return [self.made.account.email, NAME, SPEAKER, "heron", VOICE, FILE, ADDRESS, BROWSER, KEY_NAME, CARD]

    @classmethod
    def of(cls, world: World, tools: Tools) -> Person:
        """Have everything happen to a new account."""
        made = world.newcomer(plan="studio")
        account = world.change(made.account, name=NAME)
        voice = _voice(world, account)
        with world.databases.writing() as session:
            row = session.get_one(Voice, voice.id)
            row.name, row.description, row.labels = VOICE, f"{VOICE} again", {"who": VOICE}
        clip = world.speak(account, voice, WORDS)
        world.deliver(world.take(JobKind.SPEAK), fingerprint=NO_SOUND)
        _sign_ins(world, account)
        _billing(world, tools, account)
        person = cls(world, tools, made, voice, clip)
        for key in person.named_keys():
            tools.storage.put(key, f"audio of {SPEAKER}".encode())
        return person

    def named_keys(self) -> list[str]:
        """Every key that a row of anybody names, and of what no row names."""
        found = [key for key in all_keys(self.world) if not key.startswith("stock/")]
        accepted = self.world.rows(select(Sample.id).where(Sample.audio_key.is_not(None)))
        return found + [f"samples/{id_}/voiceprint.npz" for id_ in accepted]

    def stored(self) -> list[str]:
        """The keys of everything in the storage but the ledger's checkpoints, which are of nobody."""
        return [key for key in self.tools.storage.list("") if not key.startswith("ledger/")]

    def change(self, **columns: Any) -> Account:
        """Change columns of the account."""
        return self.world.change(self.made.account, **columns)

    def work(self) -> None:
        """Everything that is due is done; what rests is due, too."""
        self.hurry()
        run_due(self.tools)

    def hurry(self) -> None:
        """Time passes until every errand that rests is due, but none that is for later."""
        with self.world.databases.writing() as session:
            rested = update(Errand).where(Errand.attempts > 0, Errand.done_at.is_(None))
            session.execute(rested.values(due_at=now()))

    def grace_ends(self) -> None:
        """Time passes until the deletion is due."""
        moment = now() - timedelta(seconds=1)
        self.change(closing_at=moment)
        with self.world.databases.writing() as session:
            session.execute(update(Errand).where(Errand.kind == "erase").values(due_at=moment))


def all_keys(world: World) -> list[str]:
    """What is in all columns that name storage keys."""
    found = []
    for table in Base.metadata.tables.values():
        for column in table.columns:
            if column.name in ("storage_key", "audio_key", "recording_key", "artefact_key"):
                found += [key for key in world.rows(select(column)) if key]
    return found


def dump(world: World) -> str:
    """All of the database as text."""
    with world.databases.reading() as session:
        rows = [
            [table.name, [str(value) for value in row]]
            for table in Base.metadata.sorted_tables
            for row in session.execute(text(f"SELECT * FROM {table.name}"))
        ]
    return json.dumps(rows, ensure_ascii=False)


def _voice(world: World, account: Account) -> Voice:
    voice = world.start_voice(account)
    with world.databases.writing() as session:
        session.execute(update(SampleFile).values(name=FILE))
    said: list[dict[str, str]] = [{"code": "x", "message": f"{FILE}: it is good"}]
    claim = world.take(JobKind.INTAKE)
    key = f"samples/{claim.subject_id}/clean.flac"
    world.judge_sample(claim, replace(GOOD_SAMPLE, audio_key=key, checks=said))
    world.ask(voice, SPEAKER)
    world.submit(voice)
    world.hear(world.take(JobKind.CONSENT))
    world.make_voice(world.take(JobKind.CLONE))
    rejected = world.start_voice(account, f"{VOICE} 2")
    message = [{"code": "x", "message": f"{FILE}: too short"}]
    world.judge_sample(world.take(JobKind.INTAKE), SampleFindings([], message, {}, 1.0, [0.5], None))
    del rejected
    fresh: Voice = world.get(Voice, voice.id)
    return fresh


def _sign_ins(world: World, account: Account) -> None:
    with world.databases.writing() as session:
        row = session.get_one(Account, account.id)
        for _ in range(2):  # the second from a new browser: a mail goes out
            sessions.start_session(session, row.id, address=ADDRESS, user_agent=BROWSER, settings=world.settings)
        wrong = LoginOutcome.WRONG_PASSWORD
        history.note(session, row.id, wrong, means="password", address=ADDRESS, user_agent=BROWSER)
        second_factor.enrol_at_desk(session, row, world.settings, actor_of(row))
        keys.create_key(
            session, row, KEY_NAME, actor_of(row), keys.Terms(frozenset({Scope.READ}), None, (f"{ADDRESS}/32",))
        )
        session.add(KnownBrowser(account_id=row.id, token_digest=crypto.digest(f"browser {row.id}")))
        session.add(Passkey(account_id=row.id, name=KEY_NAME, credential_id=row.id.bytes, public_key=b"k"))
        facts = {"email": f"new.{row.email}"}
        expires = now() + timedelta(days=1)
        purpose = TokenPurpose.CHANGE_EMAIL
        token = OneTimeToken(
            account_id=row.id,
            purpose=purpose,
            token_digest=crypto.digest(f"link {row.id}"),
            facts=facts,
            expires_at=expires,
        )
        session.add(token)
        mail.post(session, to=row.email, subject=NAME, text=WORDS, key=f"mail:{row.id}", owner_id=row.id)
        trace = TraceQuery(
            asked_by=str(row.id),
            reason="A listener asked.",
            file_name=FILE,
            file_digest="0" * 64,
            storage_key=f"uploads/{row.id}",
            audio_key=f"traces/{row.id}/clean.flac",
        )
        session.add(trace)


def _billing(world: World, tools: Tools, account: Account) -> None:
    assert tools.gateway is not None
    ensure_customer(world.databases, tools.gateway, account.id)
    begun = tools.gateway.start_verification(reference="r", return_url="http://127.0.0.1/", key=f"v{account.id}")
    with world.databases.writing() as session:
        session.add(CardSeen(account_id=account.id, fingerprint=CARD))
        proof = Verification(
            account_id=account.id,
            method=VerificationMethod.SANDBOX,
            state=VerificationState.VERIFIED,
            external_id=begun.id,
            name_digest="d" * 64,
            reason=f"I met {NAME}.",
            finished_at=now(),
        )
        session.add(proof)
        export = DataExport(account_id=account.id, state=ExportState.READY, storage_key=f"exports/{account.id}.zip")
        export.expires_at = now() + timedelta(days=7)
        session.add(export)
    world.subscribe(account, "studio", now(), now() + timedelta(days=30))
