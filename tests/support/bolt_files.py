"""Bolt's database files, written page by page: leaves, branches, and small buckets in place of a page of their own."""

import struct
from collections.abc import Mapping, Sequence

PAGE = 4096
Entries = Sequence[tuple[bytes, bytes]]


def fnv1a(data: bytes) -> int:
    """Hash as the meta pages are."""
    value = 0xCBF29CE484222325
    for octet in data:
        value = (value ^ octet) * 0x100000001B3 % 2**64
    return value


def meta_page(number: int, root: int, transaction: int, *, is_sound: bool = True) -> bytes:
    """One of the two first pages."""
    body = struct.pack("<IIIIQQQQQ", 0xED0CDAED, 2, PAGE, 0, root, 0, 2, 99, transaction)
    checksum = fnv1a(body) if is_sound else 1
    return (struct.pack("<QHHI", number, 0x04, 0, 0) + body + struct.pack("<Q", checksum)).ljust(PAGE, b"\0")


def leaf(entries: Sequence[tuple[int, bytes, bytes]]) -> bytes:
    """A leaf without its page's id: flags, key and value of each entry."""
    heads, contents = b"", b""
    behind = len(entries) * 16
    for number, (flags, key, value) in enumerate(entries):
        heads += struct.pack("<IIII", flags, behind - number * 16 + len(contents), len(key), len(value))
        contents += key + value
    return heads + contents


def branch(children: Sequence[tuple[bytes, int]]) -> bytes:
    """A branch without its page's head: the first key and the page of each child."""
    heads, contents = b"", b""
    behind = len(children) * 16
    for number, (key, page) in enumerate(children):
        heads += struct.pack("<IIQ", behind - number * 16 + len(contents), len(key), page)
        contents += key
    return heads + contents


class BoltWriter:
    """Puts pages together; *per_leaf* entries stand in one leaf."""

    def __init__(self, per_leaf: int = 3) -> None:
        self._pages: list[bytes] = []
        self._next = 3
        self._per_leaf = per_leaf

    def file(self, buckets: Mapping[str, Entries], *, inline: frozenset[str] = frozenset()) -> bytes:
        """The whole file; those of *inline* stand in place, without a page of their own."""
        entries = []
        for name, contents in sorted(buckets.items()):
            plain = [(0, key, value) for key, value in sorted(contents)]
            if name in inline:
                page = struct.pack("<QHHI", 0, 0x02, len(plain), 0) + leaf(plain)
                entries.append((1, name.encode(), struct.pack("<QQ", 0, 0) + page))
            else:
                entries.append((1, name.encode(), struct.pack("<QQ", self._tree(plain), 0)))
        root = self._page(0x02, len(entries), leaf(entries))
        freelist = struct.pack("<QHHI", 2, 0x10, 0, 0).ljust(PAGE, b"\0")
        # the newer meta is the first one; the second knows an earlier root, the third page of nothing
        return meta_page(0, root, 8) + meta_page(1, 2, 7) + freelist + b"".join(self._pages)

    def _tree(self, entries: Sequence[tuple[int, bytes, bytes]]) -> int:
        parts = [entries[at : at + self._per_leaf] for at in range(0, len(entries), self._per_leaf)] or [[]]
        leaves = [(part[0][1] if part else b"", self._page(0x02, len(part), leaf(part))) for part in parts]
        return leaves[0][1] if len(leaves) == 1 else self._page(0x01, len(leaves), branch(leaves))

    def _page(self, flags: int, count: int, body: bytes) -> int:
        number = self._next
        whole = 16 + len(body)
        overflow = (whole - 1) // PAGE
        page = struct.pack("<QHHI", number, flags, count, overflow) + body
        self._pages.append(page.ljust((overflow + 1) * PAGE, b"\0"))
        self._next += overflow + 1
        return number


def message(fields: Mapping[int, int | bytes | str]) -> bytes:
    """A message of Protocol Buffers."""
    written = b""
    for number, value in fields.items():
        if isinstance(value, int):
            written += _number(number << 3) + _number(value)
        else:
            octets = value.encode() if isinstance(value, str) else value
            written += _number(number << 3 | 2) + _number(len(octets)) + octets
    return written


def _number(value: int) -> bytes:
    written = b""
    while value >= 0x80:
        written += bytes([value & 0x7F | 0x80])
        value >>= 7
    return written + bytes([value])


def micromdm_file(
    devices: Sequence[Mapping[int, int | bytes | str]],
    pushes: Mapping[str, Mapping[int, int | bytes | str]],
    hashes: Mapping[str, bytes],
    push_certificate: tuple[bytes, bytes] | None = None,
) -> bytes:
    """MicroMDM's database: devices, push tokens and hashes of identities by UDID, and its push certificate."""
    buckets: dict[str, Entries] = {
        "mdm.Devices": [(f"uuid-{number:03}".encode(), message(one)) for number, one in enumerate(devices)],
        "mdm.PushInfo": [(udid.encode(), message(one)) for udid, one in pushes.items()],
        "mdm.UDIDCertAuth": [(udid.encode(), value) for udid, value in hashes.items()],
        "mdm.ServerConfig": [],
    }
    if push_certificate is not None:
        buckets["mdm.ServerConfig"] = [(b"config", message({1: push_certificate[0], 2: push_certificate[1]}))]
    return BoltWriter().file(buckets, inline=frozenset({"mdm.UDIDCertAuth"}))
