"""Erasing: nothing of the person is left, what proves where audio came from is, and a failing storage loses nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from app.accounts import holds
from app.accounts.models import Account, Standing
from app.accounts.signals import Signal, SignalKind, close_signal, raise_signal
from app.billing.cards import note_card
from app.billing.gateway import CardFacts
from app.billing.models import BillingCustomer, LedgerEntry, SandboxObject
from app.core.audit import Actor
from app.core.db import now
from app.core.errands import Errand
from app.core.errors import Unavailable
from app.privacy import deletion
from app.privacy.erasure import BUNDLES
from app.privacy.models import Erasure
from app.provenance.evidence.models import EvidenceBundle
from app.provenance.ledger import checking, checkpoints, proofs
from app.provenance.models import Fingerprint, Stamp, TraceQuery, Verdict
from app.speech.models import Clip, Generation
from app.voices.models import Consent
from tests.privacy.person import CARD, SPEAKER, WORDS, Person, dump
from tests.world import OPERATOR, actor_of
from workers.checkpoints import sign_now


def ask(person: Person) -> None:
    """The holder asks for the deletion."""
    with person.world.databases.writing() as session:
        account = session.get_one(Account, person.account.id)
        actor, settings = actor_of(account), person.world.settings
        deletion.ask(session, account, account.email, actor, settings=settings, keep=None)


def erase(person: Person) -> None:
    """Ask, wait, and have everything done."""
    ask(person)
    person.work()
    person.grace_ends()
    person.work()


def test_nothing_of_the_person_is_left_anywhere(person: Person) -> None:
    before = dump(person.world)
    assert [secret for secret in person.secrets if secret not in before] == []
    assert len(person.stored()) >= 10
    ledger = person.world.count(LedgerEntry)
    assert person.world.count(Fingerprint) == 1
    erase(person)
    assert person.world.count(Fingerprint) == 0
    after = dump(person.world)
    assert [secret for secret in person.secrets if secret in after] == []
    assert person.stored() == []
    account = person.account
    assert (account.name, account.email, account.plan) == ("Erased account", f"erased:{account.id}", "free")
    assert account.erased_at is not None
    undone = [(one.kind, one.key) for one in person.world.rows(select(Errand).where(Errand.done_at.is_(None)))]
    assert undone == []
    assert person.world.count(BillingCustomer) == 0
    assert person.world.count(SandboxObject, SandboxObject.kind == "customer") == 0
    assert person.world.count(LedgerEntry) == ledger


def test_what_proves_the_origin_of_audio_stays(person: Person) -> None:
    (generation,) = person.world.rows(select(Generation))
    (stamp,) = person.world.rows(select(Stamp))
    erase(person)
    (after,) = person.world.rows(select(Generation))
    assert (after.tag, after.text_digest, after.consent_id) == (
        generation.tag,
        generation.text_digest,
        generation.consent_id,
    )
    assert person.world.rows(select(Stamp.sha256)) == [stamp.sha256]
    consent = person.world.get(Consent, generation.consent_id)
    assert (consent.in_force, consent.speaker_name, consent.recording_key) == (True, "", None)
    (record,) = person.world.rows(select(Erasure))
    assert record.done_at is not None
    assert (record.removed["voices"], record.removed["clips"], record.removed["login_session"]) == (2, 1, 2)
    assert len(record.kept) == 4


def test_the_holder_is_told_of_evidence_that_stays(person: Person) -> None:
    (generation,) = person.world.rows(select(Generation))
    with person.world.databases.writing() as session:
        query = TraceQuery(
            asked_by="operator",
            reason="A case.",
            file_name="found.wav",
            file_digest="ab" * 32,
            storage_key="",
            verdict=Verdict.CONFIRMED,
            generation_id=generation.id,
        )
        session.add(query)
        session.flush()
        session.add(EvidenceBundle(trace_query_id=query.id, asked_by="operator", reason="A case."))
    erase(person)
    (record,) = person.world.rows(select(Erasure))
    assert [what for what in record.kept if "evidence bundles" in what] == [BUNDLES]
    assert person.world.count(EvidenceBundle) == 1


def test_a_strangers_data_stay(person: Person) -> None:
    mine = set(person.stored())
    other = Person.of(person.world, person.tools)
    theirs = set(person.stored()) - mine
    erase(person)
    assert set(person.stored()) == theirs
    assert other.account.email == other.made.account.email
    assert person.world.get(Clip, other.clip.id).text == WORDS
    assert dump(person.world).count(SPEAKER) > 1


def test_a_storage_that_fails_in_the_middle_is_asked_again(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    real = person.tools.storage.delete

    def breaks(key: str) -> None:
        if key.startswith("generations/"):
            raise Unavailable("storage.unavailable", "It is down.")
        real(key)

    monkeypatch.setattr(person.tools.storage, "delete", breaks)
    erase(person)
    assert person.account.erased_at is not None
    assert person.stored() != []
    monkeypatch.undo()
    person.work()
    assert person.stored() == []


def test_a_banned_persons_next_account_is_still_known_by_its_card(person: Person) -> None:
    world = person.world
    world.set_standing(person.account, Standing.BANNED)
    with world.databases.writing() as session:
        deletion.order(session, session.get_one(Account, person.account.id), "They asked by letter.", OPERATOR)
    person.work()
    after = dump(world)
    assert [secret for secret in person.secrets if secret in after] == [CARD]
    following = world.account()
    with world.databases.writing() as session:
        account = session.get_one(Account, following.id)
        customer = BillingCustomer(account_id=account.id, external_id="cus_next")
        session.add(customer)
        session.flush()
        note_card(session, account, customer, CardFacts(CARD, "visa", "4242", "credit"), world.settings)
    assert world.count(Signal, Signal.kind == SignalKind.LINKED_CARD, Signal.account_id == following.id) == 1


def test_a_hold_stops_an_erasure_until_it_is_released(person: Person) -> None:
    world = person.world
    with world.databases.writing() as session:
        holds.place(session, session.get_one(Account, person.account.id), "A court asked.", OPERATOR)
    kept = person.stored()
    erase(person)
    assert person.account.erased_at is None
    assert person.stored() == kept
    with world.databases.writing() as session:
        assert deletion.remind(session) == 0
        holds.lift(session, session.get_one(Account, person.account.id), "The court is done.", OPERATOR)
        assert deletion.remind(session) == 1
    person.work()
    assert person.account.erased_at is not None
    assert person.stored() == []


def test_a_clip_that_a_moderator_looks_at_goes_when_that_is_settled(person: Person) -> None:
    world = person.world
    with world.databases.writing() as session:
        raise_signal(session, person.account.id, SignalKind.TEXT_RULE, person.clip.public_id, "Look.", actor=OPERATOR)
    erase(person)
    assert world.get(Clip, person.clip.id).text == WORDS
    assert [key.split("/")[0] for key in person.stored()] == ["generations"]
    (record,) = world.rows(select(Erasure))
    assert record.done_at is None
    with world.databases.writing() as session:
        close_signal(session, session.scalars(select(Signal)).one(), Actor("account", "m"), "Harmless.")
        assert deletion.remind(session) == 1
    person.work()
    assert person.stored() == []
    assert "heron" not in dump(world)
    (record,) = world.rows(select(Erasure))
    assert (record.done_at is not None, record.removed["clips"]) == (True, 1)


def test_a_deletion_that_was_undone_erases_nothing(person: Person) -> None:
    ask(person)
    with person.world.databases.writing() as session:
        account = session.get_one(Account, person.account.id)
        deletion.undo(session, account, actor_of(account), person.world.settings)
    before = person.stored()
    with person.world.databases.writing() as session:
        for errand in session.scalars(select(Errand).where(Errand.kind == "erase")):
            errand.due_at = now() - timedelta(days=1)
    person.work()
    assert person.account.erased_at is None
    assert person.stored() == before


def test_the_ledger_is_whole_after_an_erasure_and_its_proofs_hold(person: Person) -> None:
    tools = person.tools
    sign_now(tools)
    (generation,) = person.world.rows(select(Generation))
    with tools.databases.reading() as session:
        leaf = proofs.leaf_of_ref(session, generation.public_ref)
        assert leaf is not None
        before = proofs.document(session, leaf, checkpoints.newest(session))
    erase(person)
    sign_now(tools)
    assert list(checking.check(tools.databases, tools.settings, tools.storage, lambda _done, _of: None)) == []
    with tools.databases.reading() as session:
        leaf = proofs.leaf_of_ref(session, generation.public_ref)
        assert leaf is not None
        after = proofs.document(session, leaf, checkpoints.newest(session))
    assert after["leaf"] == before["leaf"]
    assert after["checkpoint"]["size"] > before["checkpoint"]["size"]
    assert [proofs.check_document(each) for each in (before, after)] == ["", ""]
