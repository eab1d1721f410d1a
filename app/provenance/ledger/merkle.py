"""Hashes, roots and proofs of a Merkle tree, as RFC 6962 (section 2.1) and RFC 9162 define them. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

EMPTY_ROOT = hashlib.sha256(b"").digest()

NodeHash = Callable[[int, int], bytes]
"""(level, position) -> hash of the complete subtree of `2**level` leaves from leaf `position * 2**level` on."""
Range = tuple[int, int]
"""Leaves from the first number to the second (excluded)."""


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


def fold(hashes: Sequence[bytes]) -> bytes:
    """Root over the complete subtrees of a range, leftmost first."""
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def range_hash(begin: int, end: int, hash_of: NodeHash) -> bytes:
    """Root of the leaves from `begin` to `end` (excluded)."""
    return fold([hash_of(level, position) for level, position in complete_subtrees(begin, end)])


def inclusion_ranges(position: int, size: int) -> list[Range]:
    """The ranges whose roots prove that leaf `position` is in the tree of `size` leaves, nearest first.

    PATH(m, D[n]) of RFC 6962. Raises ValueError when the tree has no such leaf.
    """
    if not 0 <= position < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {position}")
    begin, end, ranges = 0, size, []
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if position < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin = middle
    return ranges[::-1]


def consistency_ranges(first: int, second: int) -> list[Range]:
    """The ranges whose roots prove that the tree of `second` leaves begins with that of `first`.

    PROOF(m, D[n]) of RFC 6962. Raises ValueError unless 0 < first <= second.
    """
    if not 0 < first <= second:
        raise ValueError(f"there is no consistency proof from {first} to {second} leaves")
    begin, end, ranges = 0, second, []
    while first < end:
        middle = begin + _split(end - begin)
        if first <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin = middle
    if begin > 0:  # else the verifier has it: it is the root of the first tree
        ranges.append((begin, end))
    return ranges[::-1]


def verify_inclusion(leaf: bytes, position: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` shows that the leaf of this hash is number `position` of the tree (RFC 9162, 2.1.3.2)."""
    if not 0 <= position < size:
        return False
    number, last, found = position, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if number & 1 or number == last:
            found = node_hash(step, found)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            found = node_hash(found, step)
        number, last = number >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(first: int, second: int, proof: Sequence[bytes], first_root: bytes, second_root: bytes) -> bool:
    """Whether `proof` shows that the second tree begins with all leaves of the first (RFC 9162, 2.1.4.2).

    Every tree begins with the empty one; equal sizes need equal roots and an empty proof.
    """
    if first == 0 or first == second:
        known = first_root == EMPTY_ROOT if first == 0 else first_root == second_root
        return known and not proof and 0 <= first <= second
    if not 0 < first < second or not proof:
        return False
    path = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    number, last = first - 1, second - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    old = new = path[0]
    for step in path[1:]:
        if last == 0:
            return False
        if number & 1 or number == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            new = node_hash(new, step)
        number, last = number >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


def _split(size: int) -> int:
    """The largest power of two below `size`, which is at least 2."""
    return 1 << ((size - 1).bit_length() - 1)
