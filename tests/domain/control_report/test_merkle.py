"""The tree as RFC 9162 has it, and its proofs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.domain.control_report.merkle import EMPTY, Tree, leaf_hash, path_of, root_by_path

# from the test vectors of Certificate Transparency (RFC 6962): the eight lines, and roots over the first of them
LINES = [bytes.fromhex(one) for one in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")] + [
    bytes.fromhex("606162636465666768696a6b6c6d6e6f")
]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def root_of(lines: list[bytes]) -> bytes:
    tree = Tree()
    for line in lines:
        tree.add(line)
    return tree.root()


@pytest.mark.parametrize(("count", "root"), ROOTS.items())
def test_roots_are_those_of_the_known_vectors(count: int, root: str) -> None:
    assert root_of(LINES[:count]).hex() == root
    assert EMPTY.hex() == ROOTS[0]


@pytest.mark.parametrize("size", range(1, 18))
def test_every_line_is_proved_at_its_place_alone(size: int) -> None:
    lines = [bytes([number]) for number in range(size)]
    leaves, root = [leaf_hash(line) for line in lines], root_of(lines)

    for index, line in enumerate(lines):
        path = path_of(leaves, index)
        assert root_by_path(line, index, size, path) == root
        assert root_by_path(b"another", index, size, path) != root
        assert all(root_by_path(line, other, size, path) != root for other in range(size) if other != index)
        assert root_by_path(line, index, size, (*path, b"\0" * 32)) is None


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=8), st.integers(-3, 40), st.integers(-3, 40), st.lists(st.binary(max_size=33), max_size=8))
def test_any_path_gives_a_root_or_none(line: bytes, index: int, size: int, path: list[bytes]) -> None:
    root = root_by_path(line, index, size, path)

    assert root is None or len(root) == 32
