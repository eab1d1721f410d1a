"""The arithmetic between soft bits and an issued tag."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from workers.marks.detect import Reading
from workers.marks.matching import (
    ACCEPT_BOUND,
    accept_z,
    false_match_bound,
    nearest,
    nearest_account,
    nearest_each,
)
from workers.marks.pattern import signs
from workers.marks.search import hypotheses


def reading(bits: NDArray[np.float32]) -> Reading:
    return Reading(bits, 5.0, 100.0, 1.0, 1.0, 0.0, 0.0, 5.0)


def test_the_nearest_tag_wins_and_its_rival_is_named(tags: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(0)
    soft = signs(tags[500]) + rng.normal(0, 1, 128).astype(np.float32)
    match = nearest([reading(rng.normal(0, 1, 128).astype(np.float32)), reading(soft)], tags)
    assert match is not None
    exact = signs(tags) @ soft / np.linalg.norm(soft)
    assert match.index == int(np.argmax(exact)) == 500
    assert match.z == pytest.approx(exact[500], abs=1e-3)
    assert match.errors == int(np.sum((soft > 0) != (signs(tags[500]) > 0)))
    assert match.runner_up_z < match.z
    assert match.hypotheses == 2
    assert match.bound == pytest.approx(false_match_bound(match.z, len(tags), 2))


def test_the_bound_is_hoeffdings_and_the_threshold_its_inverse() -> None:
    assert false_match_bound(7.2, 10_000_000, 8) == pytest.approx(8e7 * math.exp(-25.92))
    assert false_match_bound(-3.0, 10, 1) == 10
    assert false_match_bound(accept_z(1000, 8), 1000, 8) == pytest.approx(ACCEPT_BOUND)


def test_each_search_that_may_be_made_has_its_chance_of_a_wrong_match(tags: NDArray[np.uint8]) -> None:
    one, two = (nearest([reading(signs(tags[7]))], tags, searches) for searches in (1, 2))
    assert one is not None
    assert two is not None
    assert two.bound == 2 * one.bound


def test_random_bits_stay_below_the_bound(tags: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(2)
    matches = [nearest([reading(rng.normal(0, 1, 128).astype(np.float32))], tags) for _ in range(100)]
    assert not any(match.accepted for match in matches if match)
    assert sum(match.z > 4.0 for match in matches if match) > 50  # the search does look at all of them


def test_every_reading_has_its_own_best_tag_and_the_nearest_is_the_best_of_them() -> None:
    rng = np.random.default_rng(6)
    many = rng.integers(0, 256, (100_000, 16), dtype=np.uint8)  # several blocks of the scan
    wanted = [99_999, 0, 40_000]
    soft = [reading(signs(many[row]) + rng.normal(0, 0.9, 128).astype(np.float32)) for row in wanted]
    each = nearest_each(soft, many)
    assert [match.index for match in each] == wanted
    exact = [signs(many) @ one.bits / np.linalg.norm(one.bits) for one in soft]
    assert [match.runner_up for match in each] == [int(np.argsort(scores)[-2]) for scores in exact]
    best = nearest(soft, many)
    assert best is not None
    assert best.index == each[int(np.argmax([match.z for match in each]))].index
    assert best.bound == min(match.bound for match in each)
    assert nearest_each([], many) == []


def test_several_clips_that_are_each_too_damaged_lead_to_their_account_together() -> None:
    rng = np.random.default_rng(7)
    halves = rng.integers(0, 256, (100_000, 8), dtype=np.uint8)
    queries = []
    for _ in range(6):
        tag = np.concatenate([rng.integers(0, 256, 8, dtype=np.uint8), halves[123]])
        soft = 0.7 * signs(tag) + rng.normal(0, 1, 128).astype(np.float32)
        queries.append([replace(reading(soft), pilot=3.5)])
    alone = [nearest_account([query], halves) for query in queries]
    assert not any(match.accepted for match in alone if match)
    match = nearest_account(queries, halves)
    assert match is not None
    assert (match.index, match.accepted, match.queries) == (123, True, 6)
    assert match.z - match.runner_up_z > 1.5


def test_clips_of_different_accounts_accuse_none() -> None:
    rng = np.random.default_rng(8)
    halves = rng.integers(0, 256, (1000, 8), dtype=np.uint8)
    found = []
    for _ in range(50):
        soft = [rng.normal(0, 1, 128).astype(np.float32) for _ in range(5)]
        match = nearest_account([[reading(bits)] for bits in soft], halves)
        assert match is not None
        found.append(match.z)
        assert not match.accepted
    assert 2.5 < float(np.mean(found)) < 3.8  # the largest of a thousand standard normals has 3.2
    assert nearest_account([], halves) is None
    assert nearest_account([[reading(np.ones(128, np.float32))]], halves[:0]) is None


def test_the_same_tag_twice_is_no_rival() -> None:
    tag = np.arange(16, dtype=np.uint8)
    match = nearest([reading(signs(tag))], np.stack([tag, tag]))
    assert match is not None
    assert match.runner_up is None


def test_nothing_to_compare_is_no_match(tags: NDArray[np.uint8]) -> None:
    assert nearest([], tags) is None
    assert nearest([reading(np.ones(128, np.float32))], tags[:0]) is None
    with pytest.raises(ValueError, match="uint8"):
        nearest([], np.zeros((3, 128), np.float32))  # type: ignore[arg-type]


def test_the_search_lines_cover_what_they_promise() -> None:
    assert hypotheses("plain") == [(1.0, 1.0)]
    full = hypotheses("full")
    assert len(full) == len(set(full)) == 113
    assert min(p for p, _ in full) == pytest.approx(0.88)
    assert max(p for p, _ in full) == pytest.approx(2 ** (8 / 48))
