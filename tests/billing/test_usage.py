"""What the usage page shows agrees with the ledger: what was spoken, by day, voice and key, and what was given back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from app.accounts.key_models import ApiKey
from app.accounts.keys import create_key
from app.accounts.models import Account
from app.billing import ledger, periods
from app.billing.models import LedgerEntry
from app.billing.plans import PLANS
from app.core.db import now
from app.core.errands import Errand
from app.core.errors import Refused
from app.jobs.models import JobKind
from app.speech.models import Clip, Generation
from app.speech.service import ask_for_speech
from app.speech.usage import Usage, usage_of
from app.voices.models import Voice
from tests.world import OPERATOR, World

STARTER = PLANS["starter"].characters_a_month


def speak(world: World, account: Account, voice: Voice, text: str, key: ApiKey | None = None) -> Clip:
    with world.databases.writing() as session:
        return ask_for_speech(
            session,
            session.get_one(Account, account.id),
            voice_id=voice.public_id,
            text=text,
            output_format="wav_24000",
            settings=world.settings,
            api_key_id=key.id if key else None,
        )


def spoken(world: World, account: Account, voice: Voice, text: str, key: ApiKey | None = None) -> Clip:
    clip = speak(world, account, voice, text, key)
    world.deliver(world.take(JobKind.SPEAK))
    return clip


def new_key(world: World, account: Account, cap: int | None = None) -> ApiKey:
    with world.databases.writing() as session:
        key, _ = create_key(session, session.get_one(Account, account.id), "a key", OPERATOR)
        key.character_cap = cap
    return key


def usage(world: World, account: Account, days: int = 29) -> Usage:
    with world.databases.reading() as session:
        return usage_of(session, session.get_one(Account, account.id), since=now() - timedelta(days=days))


def move_back(world: World, clip: Clip, moment: datetime) -> None:
    """As if a clip had been finished at another time; the ledger itself lets nobody do this."""
    sqlite = world.databases.engine.dialect.name == "sqlite"
    if sqlite:
        world.execute("DROP TRIGGER ledger_entry_no_update")
    else:
        world.execute("ALTER TABLE ledger_entry DISABLE TRIGGER USER")
    with world.databases.writing() as session:
        for entry in session.scalars(select(LedgerEntry).where(LedgerEntry.job_id == clip.job_id)):
            entry.at, entry.period = moment, periods.month_start(moment)
    if not sqlite:
        world.execute("ALTER TABLE ledger_entry ENABLE TRIGGER USER")


def test_days_are_in_order_without_gaps_and_today_is_the_last(world: World) -> None:
    account, voice = world.account(), world.stock_voice()
    spoken(world, account, voice, "Four and five.")
    chart = usage(world, account).days
    assert len(chart) == 30
    assert [day.day for day in chart] == [chart[0].day + timedelta(days=n) for n in range(30)]
    assert chart[-1].day == datetime.now(UTC).date()
    assert [day.characters for day in chart] == [0] * 29 + [14]


@pytest.mark.parametrize(
    ("hour", "minute", "days_ago"), [(0, 0, 3), (23, 59, 3), (12, 0, 29)], ids=["midnight", "late", "first day"]
)
def test_a_clip_counts_on_its_day_by_utc(world: World, hour: int, minute: int, days_ago: int) -> None:
    account, voice = world.account(), world.stock_voice()
    clip = spoken(world, account, voice, "Some words.")
    moment = (now() - timedelta(days=days_ago)).replace(hour=hour, minute=minute, second=0, microsecond=0)
    move_back(world, clip, moment)
    bars = {day.day: day.characters for day in usage(world, account).days}
    assert bars.pop(moment.date()) == len("Some words.")
    assert set(bars.values()) == {0}


def test_only_what_was_spoken_by_this_account_counts(world: World) -> None:
    account, other, voice = world.account(), world.account(), world.stock_voice()
    spoken(world, account, voice, "Mine.")
    spoken(world, other, voice, "Not mine.")
    speak(world, account, voice, "Waiting.")
    world.fail(world.take(JobKind.SPEAK), retry=False)
    old = spoken(world, other, voice, "x" * 40)
    move_back(world, old, now() - timedelta(days=45))
    speak(world, account, voice, "Still waiting.")
    seen = usage(world, account)
    assert seen.characters == sum(day.characters for day in seen.days) == len("Mine.")
    assert usage(world, other).characters == len("Not mine.")


def test_voices_and_keys_are_named_the_most_first(world: World) -> None:
    account, stock = world.account(), world.stock_voice()
    own, key = world.voice(account), new_key(world, account)
    spoken(world, account, stock, "Short.")
    spoken(world, account, own, "A longer text of the own voice.", key)
    spoken(world, account, own, "More of it.", key)
    world.delete(own)
    seen = usage(world, account)
    assert [(use.voice.id, use.characters) for use in seen.voices] == [(own.id, 42), (stock.id, 6)]
    assert [(use.key.id if use.key else None, use.characters) for use in seen.keys] == [(key.id, 42), (None, 6)]


def test_refunds_and_overage_are_told_clip_by_clip(world: World) -> None:
    start = now() - timedelta(days=1)
    account = world.subscribe(world.account(), "starter", start, periods.next_month(start), overage_cap=100)
    voice = world.stock_voice()
    world.spend(account, STARTER - 10)
    within, beyond = (spoken(world, account, voice, text) for text in ("Ten chars.", "Eleven char"))
    failed = speak(world, account, voice, "Never made.")
    world.fail(world.take(JobKind.SPEAK), retry=False)
    with world.databases.writing() as session:
        ledger.refund(session, session.get_one(Account, account.id), within.job_id)
    seen = usage(world, account)
    assert [(line.characters, line.job_id) for line in seen.overage] == [(11, beyond.job_id)]
    assert [(line.characters, line.job_id) for line in seen.refunds] == [(10, within.job_id)]
    assert failed.job_id not in {line.job_id for line in seen.overage}


def test_what_is_beyond_the_allowance_is_billed_once_under_the_name_of_its_generation(world: World) -> None:
    start = now() - timedelta(days=1)
    account = world.subscribe(world.account(), "starter", start, periods.next_month(start), overage_cap=100)
    voice = world.stock_voice()
    world.spend(account, STARTER - 4)
    spoken(world, account, voice, "Ten chars.")
    speak(world, account, voice, "Ten again.")
    world.fail(world.take(JobKind.SPEAK), retry=False)
    (generation,) = world.rows(select(Generation))
    (bill,) = world.rows(select(Errand).where(Errand.kind == "stripe.call"))
    assert bill.key == f"usage:{generation.id}"
    assert bill.payload["characters"] == 6
    assert bill.payload["account"] == str(account.id)


def test_a_key_speaks_up_to_its_cap_and_others_are_not_held_back(world: World) -> None:
    account, voice = world.account(), world.stock_voice()
    capped, free = new_key(world, account, cap=20), new_key(world, account)
    spoken(world, account, voice, "Twelve chars", capped)
    with pytest.raises(Refused, match="this key has 8 left") as refused:
        speak(world, account, voice, "Nine char", capped)
    assert refused.value.rule == "speak.key_cap"
    speak(world, account, voice, "Eight ch", capped)
    speak(world, account, voice, "Any number of characters", free)
    speak(world, account, voice, "And on the pages")


def test_a_format_of_a_larger_plan_is_refused(world: World) -> None:
    account, voice = world.account(plan="free"), world.stock_voice()
    with pytest.raises(Refused, match="does not have the format wav_48000"), world.databases.writing() as session:
        ask_for_speech(
            session,
            session.get_one(Account, account.id),
            voice_id=voice.public_id,
            text="Hello.",
            output_format="wav_48000",
            settings=world.settings,
        )
