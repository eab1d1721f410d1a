"""Hashes, roots and proofs of a Merkle tree, as RFC 6962 (section 2.1) and RFC 9162 define them. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

EMPTY_ROOT = hashlib.sha256(b"").digest()

NodeHash = Callable[[int, int], bytes]
"""(level, position) -> hash of the complete subtree of `2**level` leaves from leaf `position * 2**level` on."""


def leaf_hash(content: bytes) -> bytes:
    """Hash of a leaf; never that of a node, whatever the content is."""
    return hashlib.sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def completed_by(position: int) -> Iterator[tuple[int, int]]:
    """(level, position) of the subtrees of level 1 and up that leaf number `position` completes, lowest first."""
    level = 1
    while (position + 1) % (1 << level) == 0:
        yield level, position >> level
        level += 1


def complete_subtrees(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """The complete subtrees, leftmost first, that leaves `begin` to `end` (excluded) consist of.

    `begin` must be a multiple of the largest power of two that fits, as the ranges of RFC 6962 always are.
    """
    while begin < end:
        level = (end - begin).bit_length() - 1
        yield level, begin >> level
        begin += 1 << level


def range_hash(begin: int, end: int, hash_of: NodeHash) -> bytes:
    """Root of the leaves from `begin` to `end` (excluded)."""
    if begin == end:
        return EMPTY_ROOT
    hashes = [hash_of(level, position) for level, position in complete_subtrees(begin, end)]
    root = hashes.pop()
    while hashes:
        root = node_hash(hashes.pop(), root)
    return root
