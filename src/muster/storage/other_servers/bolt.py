"""Bolt's database files, read only: a tree of pages, whose buckets hold keys, values and other buckets.

Source: the file format of boltdb and bbolt (page.go, bucket.go, db.go); it is little-endian where Go runs, and has not
changed since version 2. What is read was written whole: of the two meta pages the newer one that is sound counts, as
after a crash. The file must not be in use.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from muster.storage.other_servers.errors import Unreadable

MAXIMUM_DEPTH: Final = 32
"""Of a tree of pages: it has a handful of levels; more is a circle."""
_MAGIC: Final = 0xED0CDAED
_VERSION: Final = 2
_PAGE_SIZES: Final = (4096, 8192, 16384, 32768, 65536, 1024, 2048)
"""That of the machine which made the file; the first page says which, the second is found by it."""
_BRANCH, _LEAF, _META = 0x01, 0x02, 0x04
_BUCKET: Final = 0x01
_PAGE_HEAD: Final = struct.Struct("<QHHI")  # id, flags, count, overflow
_META_BODY: Final = struct.Struct("<IIII QQ QQQQ")
_LEAF_ELEMENT: Final = struct.Struct("<IIII")  # flags, pos, ksize, vsize
_BRANCH_ELEMENT: Final = struct.Struct("<IIQ")  # pos, ksize, page
_BUCKET_HEAD: Final = struct.Struct("<QQ")  # root, sequence
_FNV_BASIS, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


@dataclass(frozen=True, slots=True)
class _Meta:
    page_size: int
    root: int
    transaction: int


class BoltFile:
    """The contents of a file. Raises Unreadable when it is none of Bolt's, and wherever it is damaged."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        metas = [meta for size in _PAGE_SIZES for at in (0, size) if (meta := _read_meta(data, at)) is not None]
        if not metas:
            raise Unreadable("this is no database file of Bolt's")
        newest = max(metas, key=lambda meta: meta.transaction)
        self._page_size = newest.page_size
        self._root = newest.root

    def bucket(self, name: str) -> Iterator[tuple[bytes, bytes]]:
        """Read the keys and values of a bucket of the file, in the order of the keys; buckets in it are left out.

        Empty where there is no such bucket.
        """
        try:
            for key, value, is_bucket in self._walk(self._root, 0):
                if is_bucket and key == name.encode():
                    yield from ((one, found) for one, found, is_inner in self._inside(value) if not is_inner)
        except struct.error as error:
            raise Unreadable("the database file is cut off, or damaged") from error

    def _inside(self, value: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
        root, _ = _BUCKET_HEAD.unpack_from(value)
        if root:
            return self._walk(root, 0)
        return self._elements(value[_BUCKET_HEAD.size :], 0)  # so small that its page stands in its place

    def _walk(self, page_id: int, depth: int) -> Iterator[tuple[bytes, bytes, bool]]:
        if depth > MAXIMUM_DEPTH:
            raise Unreadable("the pages of the database file go in a circle")
        start = page_id * self._page_size
        if page_id < 2 or start + _PAGE_HEAD.size > len(self._data):
            raise Unreadable(f"the database file has no page {page_id}")
        found, _, _, overflow = _PAGE_HEAD.unpack_from(self._data, start)
        if found != page_id:
            raise Unreadable(f"page {page_id} of the database file is damaged")
        return self._elements(self._data[start : start + (overflow + 1) * self._page_size], depth)

    def _elements(self, page: bytes, depth: int) -> Iterator[tuple[bytes, bytes, bool]]:
        _, flags, count, _ = _PAGE_HEAD.unpack_from(page)
        for number in range(count):
            if flags & _BRANCH:
                _, _, child = _BRANCH_ELEMENT.unpack_from(page, _PAGE_HEAD.size + number * _BRANCH_ELEMENT.size)
                yield from self._walk(child, depth + 1)
            elif flags & _LEAF:
                at = _PAGE_HEAD.size + number * _LEAF_ELEMENT.size
                kind, position, key_size, value_size = _LEAF_ELEMENT.unpack_from(page, at)
                key_at = at + position
                value_at = key_at + key_size
                if value_at + value_size > len(page):
                    raise Unreadable("an entry of the database file is cut off")
                yield page[key_at:value_at], page[value_at : value_at + value_size], bool(kind & _BUCKET)
            else:
                raise Unreadable("a page of the database file is of no known kind")


def _read_meta(data: bytes, at: int) -> _Meta | None:
    """Read the meta page at *at*; None when there is none, or it is not sound."""
    if at + _PAGE_HEAD.size + _META_BODY.size > len(data):
        return None
    _, flags, _, _ = _PAGE_HEAD.unpack_from(data, at)
    start = at + _PAGE_HEAD.size
    magic, version, page_size, _, root, _, _, _, transaction, checksum = _META_BODY.unpack_from(data, start)
    if not flags & _META or magic != _MAGIC or version != _VERSION or page_size not in _PAGE_SIZES:
        return None
    if checksum != _fnv1a(data[start : start + _META_BODY.size - 8]):
        return None
    return _Meta(page_size, root, transaction)


def _fnv1a(data: bytes) -> int:
    """Hash by FNV-1a with 64 bits."""
    value = _FNV_BASIS
    for octet in data:
        value = (value ^ octet) * _FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return value
