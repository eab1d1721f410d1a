"""Roots and proofs are those of RFC 6962: by the vectors that everybody uses, and by the definition written out."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.provenance.ledger import merkle

CONTENTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAF_0, LEAF_1 = ROOTS[1], "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
LEAF_4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
NODE_2_3 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
NODE_4_5 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
NODE_4_7 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
NODE_6_7 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
INCLUSION = [
    (0, 1, []),
    (0, 8, [LEAF_1, NODE_2_3, NODE_4_7]),
    (5, 8, [LEAF_4, NODE_6_7, ROOTS[4]]),
    (2, 3, [ROOTS[2]]),
    (1, 5, [LEAF_0, NODE_2_3, LEAF_4]),
]
CONSISTENCY = [
    (1, 1, []),
    (1, 8, [LEAF_1, NODE_2_3, NODE_4_7]),
    (6, 8, [NODE_4_5, NODE_6_7, ROOTS[4]]),
    (2, 5, [NODE_2_3, LEAF_4]),
]


class Tree:
    """The tree of section 2.1 of RFC 6962, by its definition."""

    def __init__(self, contents: list[bytes]) -> None:
        self.contents = contents

    def root(self, contents: list[bytes]) -> bytes:
        if not contents:
            return hashlib.sha256().digest()
        if len(contents) == 1:
            return hashlib.sha256(b"\x00" + contents[0]).digest()
        k = largest_power_below(len(contents))
        return hashlib.sha256(b"\x01" + self.root(contents[:k]) + self.root(contents[k:])).digest()

    def path(self, m: int, contents: list[bytes]) -> list[bytes]:
        if len(contents) == 1:
            return []
        k = largest_power_below(len(contents))
        if m < k:
            return [*self.path(m, contents[:k]), self.root(contents[k:])]
        return [*self.path(m - k, contents[k:]), self.root(contents[:k])]

    def subproof(self, m: int, contents: list[bytes], whole: bool) -> list[bytes]:
        if m == len(contents):
            return [] if whole else [self.root(contents)]
        k = largest_power_below(len(contents))
        if m <= k:
            return [*self.subproof(m, contents[:k], whole), self.root(contents[k:])]
        return [*self.subproof(m - k, contents[k:], False), self.root(contents[:k])]

    def hash_of(self, level: int, position: int) -> bytes:
        return self.root(self.contents[position << level : (position + 1) << level])


def largest_power_below(number: int) -> int:
    power = 1
    while power * 2 < number:
        power *= 2
    return power


def proof(tree: Tree, ranges: list[merkle.Range]) -> list[bytes]:
    return [merkle.range_hash(begin, end, tree.hash_of) for begin, end in ranges]


def test_the_roots_are_the_published_ones() -> None:
    tree = Tree(CONTENTS)
    assert [merkle.range_hash(0, size, tree.hash_of).hex() for size in range(9)] == ROOTS


@pytest.mark.parametrize(("position", "size", "published"), INCLUSION)
def test_inclusion_proofs_are_the_published_ones(position: int, size: int, published: list[str]) -> None:
    made = proof(Tree(CONTENTS), merkle.inclusion_ranges(position, size))
    assert [step.hex() for step in made] == published
    leaf = merkle.leaf_hash(CONTENTS[position])
    assert merkle.verify_inclusion(leaf, position, size, made, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("first", "second", "published"), CONSISTENCY)
def test_consistency_proofs_are_the_published_ones(first: int, second: int, published: list[str]) -> None:
    made = proof(Tree(CONTENTS), merkle.consistency_ranges(first, second))
    assert [step.hex() for step in made] == published
    assert merkle.verify_consistency(first, second, made, bytes.fromhex(ROOTS[first]), bytes.fromhex(ROOTS[second]))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))), st.data())
def test_proofs_are_those_of_the_definition_and_nothing_else_passes(case: tuple[int, int], data: st.DataObject) -> None:
    size, position = case
    tree = Tree([number.to_bytes(2, "big") for number in range(size)])
    root, leaf = tree.root(tree.contents), merkle.leaf_hash(tree.contents[position])
    path = proof(tree, merkle.inclusion_ranges(position, size))
    assert path == tree.path(position, tree.contents)
    assert merkle.verify_inclusion(leaf, position, size, path, root)
    first = position + 1
    old, chain = tree.root(tree.contents[:first]), proof(tree, merkle.consistency_ranges(first, size))
    assert chain == tree.subproof(first, tree.contents, True)
    assert merkle.verify_consistency(first, size, chain, old, root)

    bad = bytes(32)
    assert not merkle.verify_inclusion(bad, position, size, path, root)
    assert not merkle.verify_inclusion(leaf, position, size, path, bad)
    assert not merkle.verify_inclusion(leaf, position, size, [*path, bad], root)
    assert not merkle.verify_consistency(first, size, chain, bad, root)
    assert not merkle.verify_consistency(first, size, chain, old, bad)
    assert not merkle.verify_consistency(first, size, [*chain, bad], old, root)
    for steps, check in ((path, "inclusion"), (chain, "consistency")):
        if not steps:
            continue
        at = data.draw(st.integers(0, len(steps) - 1))
        changed = [*steps[:at], bytes([steps[at][0] ^ 1, *steps[at][1:]]), *steps[at + 1 :]]
        for wrong in (changed, steps[:at] + steps[at + 1 :]):
            if check == "inclusion":
                assert not merkle.verify_inclusion(leaf, position, size, wrong, root)
            else:
                assert not merkle.verify_consistency(first, size, wrong, old, root)
    other = data.draw(st.integers(0, size - 1))
    assert merkle.verify_inclusion(leaf, other, size, path, root) == (other == position)


def test_no_proof_is_made_of_what_is_not_there() -> None:
    for position, size in ((0, 0), (3, 3), (-1, 3)):
        with pytest.raises(ValueError, match="no leaf"):
            merkle.inclusion_ranges(position, size)
        assert not merkle.verify_inclusion(b"", position, size, [], b"")
    for first, second in ((0, 3), (4, 3)):
        with pytest.raises(ValueError, match="no consistency proof"):
            merkle.consistency_ranges(first, second)
    assert merkle.verify_consistency(0, 3, [], merkle.EMPTY_ROOT, b"any")
    assert not merkle.verify_consistency(0, 3, [], b"any", b"any")
    assert not merkle.verify_consistency(4, 3, [b""], b"any", b"any")
