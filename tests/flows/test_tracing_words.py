"""Texts that were spoken here, found by the words that were heard; and the tags that a worker keeps in memory."""

from __future__ import annotations

from sqlalchemy import update

from app.jobs.models import JobKind
from app.provenance.words import MOST_TEXTS, spoken_with
from app.speech.models import Clip, Generation
from tests.world import World
from workers.trace.tags import TagCache

SAID = "The lighthouse keeper counted seventeen herring gulls before breakfast."
HEARD = ["lighthouse", "keeper", "counted", "herring", "gulls"]


def speak(world: World, words: str) -> Generation:
    """A clip whose generation is in the ledger."""
    account = world.account()
    world.speak(account, world.voice(account), words)
    return world.commit(world.take(JobKind.SPEAK))


def found(world: World, words: list[str]) -> list[object]:
    with world.databases.reading() as session:
        return [each.generation_id for each in spoken_with(session, words)]


def test_clips_are_found_by_their_rarer_words_until_they_are_erased(world: World) -> None:
    other, said = speak(world, "Nobody counted the gulls."), speak(world, SAID)
    assert found(world, HEARD) == [said.id, other.id]
    with world.databases.writing() as session:
        session.execute(update(Clip).where(Clip.id == said.clip_id).values(text=""))
    assert found(world, HEARD) == [other.id]


def test_what_was_heard_is_words_and_no_query(world: World) -> None:
    said = speak(world, SAID)
    assert found(world, ['gulls" OR text : "the', "clip_id:*", "NEAR(", "'; --", "%", ""]) == [said.id]
    assert found(world, [said.clip_id.hex, str(said.clip_id)]) == []
    assert found(world, ["& | ! ( )", '"']) == []
    assert len(found(world, HEARD * 1_000)) <= MOST_TEXTS


def test_a_worker_knows_tags_that_were_issued_after_it_began(world: World) -> None:
    cache = TagCache(world.databases)
    assert cache.current() == {}
    first = speak(world, "One.")
    before = cache.current()[1]
    second = speak(world, "Two.")
    after = cache.current()[1]
    assert [*before.ids] == [first.id]
    assert [*after.ids] == [first.id, second.id]
    assert [row.tobytes() for row in after.rows] == [first.tag, second.tag]
    assert [*TagCache(world.databases).current()[1].ids] == [first.id, second.id]
