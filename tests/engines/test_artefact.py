"""Artefacts: bounded and safe to read, whatever the bytes are."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.engines.artefact import LARGEST_BYTES, pack, unpack
from workers.engines.base import ArtefactIncompatible

GOOD = pack("e", "1", {"a": 1}, {"x": np.arange(6, dtype=np.float32).reshape(2, 3)})


def test_what_is_packed_comes_back() -> None:
    facts, arrays = unpack(GOOD, "e", "1")
    assert facts == {"a": 1}
    assert np.array_equal(arrays["x"], [[0, 1, 2], [3, 4, 5]])


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_damaged_byte_is_noticed_or_harmless(position: int, change: int) -> None:
    bad = bytearray(GOOD)
    bad[position] ^= change
    try:
        facts, arrays = unpack(bytes(bad), "e", "1")
    except ArtefactIncompatible:
        return
    assert facts == {"a": 1}
    assert all(np.array_equal(a, [[0, 1, 2], [3, 4, 5]]) for a in arrays.values())


def test_pickles_bombs_and_impossible_numbers_are_refused() -> None:
    pickled = io.BytesIO()
    np.savez(pickled, header=np.array([{"engine": "e"}], object))
    bomb = pack("e", "1", {}, {"x": np.zeros(LARGEST_BYTES // 4 + 1, np.float32)})
    assert len(bomb) < 100_000
    infinite = pack("e", "1", {}, {"x": np.array([np.inf], np.float32)})
    for bad in (pickled.getvalue(), bomb, infinite):
        with pytest.raises(ArtefactIncompatible, match="damaged"):
            unpack(bad, "e", "1")
