"""A Merkle tree over lines (RFC 9162 section 2.1): one hash for all, and a short proof that one is among them."""

import hashlib
from collections.abc import Sequence
from typing import Final

MAX_PATH: Final = 64
"""Hashes of a proof: more lines than 2^64 there are not."""
EMPTY: Final = hashlib.sha256().digest()
"""The root of no lines."""


def leaf_hash(line: bytes) -> bytes:
    """Return the hash of one line; no inner node has one like it."""
    return hashlib.sha256(b"\x00" + line).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """The root of a tree whose lines come one after the other; it keeps a hash for each power of two."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[tuple[int, bytes]] = []

    def add(self, line: bytes) -> None:
        """Add one line at the end."""
        self.size += 1
        height, node = 0, leaf_hash(line)
        while self._peaks and self._peaks[-1][0] == height:
            node = _node_hash(self._peaks.pop()[1], node)
            height += 1
        self._peaks.append((height, node))

    def root(self) -> bytes:
        """Return the root over all lines so far."""
        if not self._peaks:
            return EMPTY
        root = self._peaks[-1][1]
        for _, peak in reversed(self._peaks[:-1]):
            root = _node_hash(peak, root)
        return root


def path_of(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the hashes that lead from leaf *index* (hashes of *leaves*) to the root, the leaf's neighbour first."""
    level, path = list(leaves), []
    while len(level) > 1:
        beside = index ^ 1
        if beside < len(level):
            path.append(level[beside])
        pairs = range(0, len(level) - 1, 2)
        above = [_node_hash(level[at], level[at + 1]) for at in pairs]
        level = above + level[len(level) - len(level) % 2 :]
        index //= 2
    return tuple(path)


def root_by_path(line: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root of a tree of *size* lines in which *line* is number *index*; None where *path* doesn't fit it."""
    if not 0 <= index < size:
        return None
    node, last, given = leaf_hash(line), size - 1, list(reversed(path))
    while last > 0:
        if index % 2 == 1 or index < last:
            if not given:
                return None
            beside = given.pop()
            node = _node_hash(beside, node) if index % 2 == 1 else _node_hash(node, beside)
        index, last = index // 2, last // 2
    return None if given else node
