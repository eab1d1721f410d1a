"""The usage ledger against a small model: whatever order holds, ends, refunds, plans and periods come in."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from app.accounts.models import Account
from app.billing import ledger, periods, plans
from app.billing.models import Book, EntryKind, LedgerEntry
from app.jobs.models import Job, JobKind
from tests.world import World

WORLD: list[World] = []
SMALL = {"free": 20, "starter": 40, "creator": 60, "studio": 90}
CAPS = [0, 15, 60]
DAYS = 30
K = EntryKind


@dataclass
class Hold:
    """What the model knows of a job."""

    owner: int
    period: datetime
    characters: int
    overage: int
    end: EntryKind | None = None
    refunded: bool = False


@dataclass
class Books:
    """What the model knows of a period."""

    granted: int = 0
    carried: int = 0
    reserved: int = 0
    used: int = 0
    overage: int = 0
    refunded: int = 0

    @property
    def left(self) -> int:
        return self.granted + self.carried + self.overage + self.refunded - self.reserved - self.used


@dataclass
class Person:
    """What the model knows of an account. Its subscription pays for its plan; the period follows from it alone."""

    row: Account
    plan: str
    start: datetime
    told: datetime | None = None
    """The start that was last read from the provider."""
    cap: int = 0
    books: dict[datetime, Books] = field(default_factory=dict)

    @property
    def end(self) -> datetime:
        return self.start + timedelta(days=DAYS)

    def now(self) -> Books:
        return self.books.setdefault(self.start, Books())

    def left(self) -> int:
        """Of the allowance, with what will be granted when it is first spent of."""
        books = self.now()
        return books.left + max(SMALL[self.plan] - books.granted, 0)

    def spendable(self) -> int:
        books, sold = self.now(), self.plan != "free"
        return self.left() + (max(self.cap - books.overage, 0) if sold else 0)


class LedgerLife(RuleBasedStateMachine):
    """Every rule is one transaction."""

    @initialize(plan=st.sampled_from(sorted(SMALL)), cap=st.sampled_from(CAPS))
    def two_accounts(self, plan: str, cap: int) -> None:
        self.world = WORLD[0]
        small = {name: replace(plans.PLANS[name], characters_a_month=most) for name, most in SMALL.items()}
        self.clock = datetime(2026, 1, 31, 12, tzinfo=UTC)
        self.patches = [mock.patch.dict(plans.PLANS, small), mock.patch.object(periods, "now", self.moment)]
        for patch in self.patches:
            patch.start()
        self.people = [Person(self.world.account(), plan, self.clock, cap=cap) for _ in range(2)]
        self.jobs: dict[uuid.UUID, Hold] = {}
        for person in self.people:
            self.tell(person)

    def moment(self) -> datetime:
        return self.clock

    def teardown(self) -> None:
        for patch in getattr(self, "patches", []):
            patch.stop()

    def tell(self, person: Person) -> None:
        """A read from the provider arrives."""
        person.told = person.start
        person.row = self.world.subscribe(person.row, person.plan, person.start, person.end, overage_cap=person.cap)

    @rule(number=st.integers(0, 9), verbs=st.lists(st.sampled_from(["settle", "release", "refund"]), max_size=4))
    def end(self, number: int, verbs: list[str]) -> None:
        """End one of the newest jobs in one way after the other; what has ended stays as it is."""
        for verb in verbs if self.jobs else []:
            getattr(self, verb)(list(self.jobs)[-1 - number % len(self.jobs)])

    @rule(who=st.integers(0, 1), share=st.sampled_from([0.1, 0.4, 0.9, 1.0, 1.1]))
    def reserve(self, who: int, share: float) -> None:
        """A share of what can be spent; 1.1 is too much."""
        person = self.people[who]
        characters = max(round(person.spendable() * share), 1)
        fits = characters <= person.spendable()
        try:
            with self.world.databases.writing() as session:
                job = Job(kind=JobKind.SPEAK, queue="model", subject_id=uuid.uuid4(), account_id=person.row.id)
                session.add(job)
                session.flush()
                ledger.reserve(session, session.get_one(Account, person.row.id), job_id=job.id, characters=characters)
        except ValueError:
            assert not fits
            return
        assert fits
        books = person.now()
        books.granted = max(books.granted, SMALL[person.plan])
        overage = max(characters - books.left, 0)
        books.overage += overage
        books.reserved += characters
        self.jobs[job.id] = Hold(who, person.start, characters, overage)

    def settle(self, key: uuid.UUID) -> None:
        job = self.jobs[key]
        try:
            with self.world.databases.writing() as session:
                assert ledger.settle(session, key) == job.overage
        except ValueError:
            assert job.end is not None
            return
        assert job.end is None
        job.end = K.SETTLE
        books = self.people[job.owner].books[job.period]
        books.reserved -= job.characters
        books.used += job.characters

    def release(self, key: uuid.UUID) -> None:
        with self.world.databases.writing() as session:
            ledger.release(session, key)
        job = self.jobs[key]
        if job.end is None:
            job.end = K.RELEASE
            books = self.people[job.owner].books[job.period]
            books.reserved -= job.characters
            books.overage -= job.overage

    def refund(self, key: uuid.UUID) -> None:
        job = self.jobs[key]
        person, charged = self.people[job.owner], job.end is K.SETTLE
        try:
            with self.world.databases.writing() as session:
                given = ledger.refund(session, session.get_one(Account, person.row.id), key)
        except ValueError:
            assert not charged
            return
        assert charged
        assert given == (0 if job.refunded else job.characters)
        person.now().refunded += given
        job.refunded = True

    @rule(who=st.integers(0, 1), plan=st.sampled_from(sorted(SMALL)))
    def change_plan(self, who: int, plan: str) -> None:
        self.people[who].plan = plan
        self.tell(self.people[who])

    @rule(who=st.integers(0, 1), cap=st.sampled_from(CAPS))
    def change_cap(self, who: int, cap: int) -> None:
        self.people[who].cap = cap
        self.tell(self.people[who])

    @rule(who=st.integers(0, 1), plan=st.sampled_from(sorted(SMALL)), times=st.integers(1, 2))
    def a_period_ends_early(self, who: int, plan: str, times: int) -> None:
        """A larger plan begins a new period; what was left of the old one comes along, however often that is said."""
        person = self.people[who]
        left, self.clock = person.left(), self.clock + timedelta(minutes=1)
        for _ in range(times):
            with self.world.databases.writing() as session:
                account = session.get_one(Account, person.row.id)
                ledger.carry_over(session, account, periods.period_of(session, account), to=self.clock)
        person.start, person.plan = self.clock, plan
        person.now().carried += left
        self.tell(person)

    @rule(late=st.booleans())
    def a_period_ends(self, late: bool) -> None:
        """Both accounts go on to their next period; when the news is late, the rows still have the one before."""
        self.clock = max(person.end for person in self.people) + timedelta(hours=1)
        for person in self.people:
            known = person.told == person.start
            person.start = person.end
            if not (late and known):
                self.tell(person)

    @invariant()
    def the_ledger_is_as_the_model_says(self) -> None:
        if not hasattr(self, "people"):
            return
        mine = select(LedgerEntry).where(LedgerEntry.account_id.in_([person.row.id for person in self.people]))
        with self.world.databases.reading() as session:
            entries = list(session.scalars(mine))
            for person in self.people:
                balance = ledger.balance_of(session, session.get_one(Account, person.row.id))
                assert balance.period.start == person.start
                assert balance.spendable == person.spendable() >= 0
        for person in self.people:
            check_books(person, [entry for entry in entries if entry.account_id == person.row.id])
        ends = sorted((entry.job_id, entry.kind) for entry in entries if entry.kind in (K.SETTLE, K.RELEASE))
        assert ends == sorted((key, job.end) for key, job in self.jobs.items() if job.end is not None)


def check_books(person: Person, entries: list[LedgerEntry]) -> None:
    """The books of each period add up to nothing, none that a person can empty is overdrawn, all are as expected."""
    assert {entry.period for entry in entries} <= set(person.books)
    for period, model in person.books.items():
        books: Counter[Book] = Counter()
        for entry in (entry for entry in entries if entry.period == period):
            books[entry.debit] -= entry.characters
            books[entry.credit] += entry.characters
        assert sum(books.values()) == 0
        assert all(books[book] == number for book, number in as_books(model).items())
        assert min(books[Book.ALLOWANCE], books[Book.RESERVED], books[Book.USED]) >= 0


def as_books(model: Books) -> dict[Book, int]:
    return {
        Book.GRANTED: -model.granted - model.carried,
        Book.OVERAGE: -model.overage,
        Book.REFUNDED: -model.refunded,
        Book.ALLOWANCE: model.left,
        Book.RESERVED: model.reserved,
        Book.USED: model.used,
    }


def test_the_ledger_agrees_with_a_model(world: World) -> None:
    WORLD[:] = [world]
    chosen: Any = settings(
        max_examples=15,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        phases=[Phase.explicit, Phase.reuse, Phase.generate],  # making a failure smaller takes minutes here
    )
    run_state_machine_as_test(LedgerLife, settings=chosen)
