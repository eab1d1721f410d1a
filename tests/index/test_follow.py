"""The index follows the database: it misses nothing, and forgets who was erased."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from app.core.db import now
from app.jobs.models import JobKind
from app.provenance import fingerprints
from app.provenance.ledger.models import LeafKind, MerkleLeaf
from app.provenance.models import Fingerprint
from app.speech.models import Generation
from tests.conftest import Vouch
from tests.index.test_store import PRINTS, finds
from tests.world import World
from workers.index import Index
from workers.index.follow import catch_up, opened, rebuild
from workers.index.store import TIER


@pytest.fixture
def index(world: World) -> Index:
    return Index(world.settings.index_directory)


def deliver(world: World, *numbers: int) -> None:
    """Clips with these fingerprints, finished one after the other."""
    account = world.account()
    voice = world.voice(account)
    for number in numbers:
        world.speak(account, voice)
        world.deliver(world.take(JobKind.SPEAK), fingerprint=PRINTS[number])


def positions(world: World) -> list[int]:
    """Where the stamps stand in the log."""
    return [leaf.position for leaf in world.rows(select(MerkleLeaf).where(MerkleLeaf.kind == LeafKind.STAMP))]


def test_every_new_clip_is_found_by_the_position_of_its_stamp(world: World, index: Index) -> None:
    deliver(world, 0, 1)
    assert catch_up(world.databases, index) == 2
    deliver(world, 2)
    assert catch_up(world.databases, Index(index.directory)) == 1
    assert catch_up(world.databases, index) == 0
    assert [finds(index, number)[0] for number in range(3)] == sorted(positions(world))


def test_an_erased_fingerprint_is_no_candidate_and_goes_with_the_next_rebuilding(world: World, index: Index) -> None:
    deliver(world, 0, 1)
    catch_up(world.databases, index)
    gone, stays = sorted(positions(world))
    generations = [each.id for each in world.rows(select(Generation).order_by(Generation.id))]
    with world.databases.writing() as session:
        assert fingerprints.forget(session, generations[:1]) == 1
    with world.databases.reading() as session:
        assert list(fingerprints.numbered(session, [gone, stays])) == [stays]
        assert list(fingerprints.data_of(session, generations)) == generations[1:]
    assert rebuild(world.databases, index) == 1
    assert (finds(index, 0), finds(index, 1)[0]) == ([], stays)


def test_searches_find_everything_while_the_index_is_rebuilt(
    world: World, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(world, 0)
    catch_up(world.databases, index)
    searcher, before, meanwhile = Index(index.directory), finds(index, 0), []
    rows_after = fingerprints.after

    def watched(*arguments: object) -> object:
        meanwhile.append(finds(searcher, 0))
        return rows_after(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(fingerprints, "after", watched)
    rebuild(world.databases, index)
    assert (meanwhile[0], meanwhile[-1], finds(searcher, 0)) == (before, before, before)
    assert [path.name for path in index.directory.iterdir() if path.is_dir()] == [f"{now():%Y-%m}"]


def test_the_operator_rebuilds_a_lost_index(world: World, index: Index, vouch: Vouch) -> None:
    deliver(world, 0)
    assert world.count(Fingerprint) == 1
    said = vouch("rebuild-index")
    assert said.startswith("1 fingerprints added")
    assert finds(index, 0) == positions(world)


def test_a_damaged_index_is_built_anew_when_it_is_opened_and_when_files_are_merged(world: World, index: Index) -> None:
    for number in range(TIER):
        deliver(world, number % 3)
        catch_up(world.databases, index)
    assert len(index.segments) == 1, "they were merged"
    spoil(index)
    again = opened(world.databases, index.directory)
    assert [finds(again, number)[0] in positions(world) for number in range(3)] == [True] * 3
    for number in range(TIER - 1):  # as many files as are merged, with the one that is spoilt
        deliver(world, number % 3)
        catch_up(world.databases, again)
    spoil(again)
    deliver(world, 1)
    catch_up(world.databases, again)
    again.check()
    assert finds(again, 1)[0] in positions(world)


def spoil(index: Index) -> None:
    """Overwrite some bytes in the middle of the newest file."""
    path = sorted(index.directory.glob("*/*.seg"))[-1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 80] = bytes(range(80))
    path.write_bytes(data)
