"""The folder of an index: nothing half-written counts, readers go on while it changes, what is erased goes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from workers.index import Index, segment
from workers.index.segment import Damaged, Segment
from workers.marks import fingerprint
from workers.marks.fingerprint import Query

RATE = 8000


def sound(seed: int, seconds: float = 3.0) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Tones that come and go: something with landmarks."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    tones = [
        np.sin(2 * np.pi * rng.uniform(300, 3000) * time) * np.exp(-((time - rng.uniform(0, seconds)) ** 2) * 100)
        for _ in range(60)
    ]
    return (np.sum(tones, axis=0) * 0.1).astype(np.float32)


PRINTS = {number: fingerprint.make(sound(number), RATE) for number in range(12)}


def finds(index: Index, number: int) -> list[int]:
    """Numbers found for a sound, best first."""
    return [each.number for each in index.search(Query(sound(number), RATE))]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    made = Index(tmp_path / "index")
    made.add_months({"2026-10": [(0, PRINTS[0]), (1, PRINTS[1])], "2026-11": [(2, PRINTS[2])]}, read_to=9)
    return made


def test_each_sound_is_found_also_by_a_process_that_opens_the_folder_later(index: Index) -> None:
    for opened in (index, Index(index.directory)):
        assert [finds(opened, number)[0] for number in range(3)] == [0, 1, 2]
        assert (opened.read_to, len(opened), opened.problem) == (9, 3, None)
    assert sorted(path.name for path in index.directory.glob("*-*")) == ["2026-10", "2026-11"]


def test_a_reader_sees_what_another_process_adds_and_goes_on_through_a_merge(index: Index) -> None:
    reader = Index(index.directory)
    before = reader.segments
    for number in range(3, 12):
        index.add([(number, PRINTS[number])], month="2026-11")
    assert finds(reader, 7)[0] == 7
    assert index.merge() > 0
    assert [each.find(np.arange(10)) is not None for each in before] == [True, True]  # files that are deleted by now
    assert [finds(reader, number)[0] for number in range(12)] == list(range(12))
    assert len(list(index.directory.glob("*/*"))) == len(index.segments) < 6


def test_what_is_no_more_is_dropped_by_a_merge(index: Index) -> None:
    index.merge(lambda numbers: numbers != 1, all_segments=True)
    assert (finds(index, 0)[0], finds(index, 1), finds(index, 2)[0]) == (0, [], 2)
    index.check()


@pytest.mark.parametrize("harm", ["cut", "foreign", "missing", "list"])
def test_a_damaged_folder_says_so_and_is_filled_anew(index: Index, harm: str) -> None:
    victim = index.segments[0].path
    if harm == "cut":
        victim.write_bytes(victim.read_bytes()[:-8])
    elif harm == "foreign":
        victim.write_bytes(b"something else" * 1000)
    elif harm == "missing":
        victim.unlink()
    else:
        path = index.directory / "index.json"
        path.write_bytes(path.read_bytes().replace(b'"read_to": 9', b'"read_to": 8'))
    opened = Index(index.directory)
    assert opened.problem is not None
    assert (opened.read_to, len(opened)) == (0, 0)  # so that catching up starts from the beginning
    opened.add_months({"2026-11": PRINTS.items()}, since=0, read_to=20)
    assert (Index(index.directory).problem, finds(index, 0)[0]) == (None, 0)


@pytest.mark.parametrize("change", [lambda data: data[:-8], lambda data: data[:40], lambda data: data + b"12345678"])
def test_a_segment_of_another_length_is_damaged(index: Index, change: Callable[[bytes], bytes]) -> None:
    path = index.segments[0].path
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(Damaged, match=r"wrong length|cut short"):
        Segment(path)


def test_so_many_postings_are_read_and_no_more(index: Index) -> None:
    one = index.segments[0]
    codes = np.unique(one.postings >> np.uint64(40)).astype(np.int64)
    assert len(one.find(codes)[0]) == len(one.postings) > 10
    assert 0 < len(one.find(codes, 10)[0]) <= 10


def test_a_changed_byte_inside_is_found_by_check(index: Index) -> None:
    path = index.segments[0].path
    changed = bytearray(path.read_bytes())
    changed[-3] ^= 1
    path.write_bytes(changed)
    with pytest.raises(Damaged):
        Index(index.directory).check()


def test_a_crash_between_segment_and_list_leaves_the_index_as_it_was(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise OSError("the machine stops here")

    with monkeypatch.context() as patch:
        patch.setattr(Index, "_publish", crash)
        with pytest.raises(OSError, match="stops"):
            index.add([(5, PRINTS[5])])
    opened = Index(index.directory)
    assert (opened.problem, opened.read_to, len(opened), finds(opened, 5)) == (None, 9, 3, [])
    opened.add([(6, PRINTS[6])])
    assert len(list(index.directory.glob("*/*"))) == len(opened.segments)  # what the crash left is gone


def test_two_that_read_the_same_rows_add_them_once(index: Index) -> None:
    other = Index(index.directory)
    rows = {"2026-11": [(3, PRINTS[3])]}
    assert index.add_months(rows, since=9, read_to=12) == 1
    assert other.add_months(rows, since=9, read_to=12) == 0
    assert len(other) == 4


def test_what_is_no_fingerprint_is_left_out(index: Index) -> None:
    assert index.add([(7, b"no fingerprint"), (8, PRINTS[8])]) == 1


def test_a_segment_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "one.seg"
    path.write_bytes(b"before")

    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="space"):
        segment.write_whole(path, [b"after"])
    assert (path.read_bytes(), [each.name for each in tmp_path.iterdir()]) == (b"before", ["one.seg"])
