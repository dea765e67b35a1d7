"""One device's entry, proved by itself: the statement, its signature, the entry, and how it leads to the root."""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from muster.domain.control_report.canonical import Json, read, written
from muster.domain.control_report.merkle import MAX_PATH, leaf_hash, path_of, root_by_path
from muster.domain.control_report.statement import (
    MAX_LINE_OCTETS,
    MAX_SIGNATURE_OCTETS,
    MAX_STATEMENT_OCTETS,
    ReportUnsound,
    VerifiedStatement,
    stated_entries,
    verify_statement,
)

TYPE: Final = "muster control proof"
VERSION: Final = 1
MAX_PROOF_OCTETS: Final = 2 * (MAX_STATEMENT_OCTETS + MAX_SIGNATURE_OCTETS + MAX_LINE_OCTETS)
"""Base64 adds a third."""


@dataclass(frozen=True, slots=True)
class Proved:
    """An entry that a statement has, and the statement."""

    entry: Mapping[str, Json]
    statement: VerifiedStatement


def find_entries(lines: Iterable[bytes], ids: Sequence[str]) -> tuple[list[bytes], dict[int, bytes]]:
    """Return the hash of every line, and by their numbers those lines that are of *ids*: channels, serial numbers.

    A serial number stands for the device's own channel. *lines* are as `verify_entries` accepted them.
    """
    leaves, found, wanted = [], {}, set(ids)
    for index, line in enumerate(lines):
        leaves.append(leaf_hash(line[:-1]))
        entry = read(line[:-1])
        is_device = entry.get("channel") == entry.get("device")
        if entry.get("channel") in wanted or (is_device and entry.get("serial_number") in wanted):
            found[index] = line[:-1]
    return leaves, found


def proof(statement: bytes, signature: bytes, leaves: Sequence[bytes], index: int, line: bytes) -> bytes:
    """Write the proof that entry number *index*, *line*, is among those whose hashes are *leaves*."""
    return written(
        {
            "type": TYPE,
            "version": VERSION,
            "statement": base64.b64encode(statement).decode(),
            "signature": base64.b64encode(signature).decode(),
            "entry": base64.b64encode(line).decode(),
            "index": index,
            "path": [one.hex() for one in path_of(leaves, index)],
        }
    )


def is_proof(octets: bytes) -> bool:
    """Tell whether a file says that it is a proof and no statement."""
    return f'"type":"{TYPE}"'.encode() in octets[-200:]


def verify_proof(octets: bytes, roots_der: Sequence[bytes]) -> Proved:
    """Verify the statement of a proof, and that it has the entry. Raises ReportUnsound."""
    if len(octets) > MAX_PROOF_OCTETS:
        raise ReportUnsound("it is larger than any proof is")
    try:
        data = read(octets)
    except ValueError as error:
        raise ReportUnsound(f"the proof can't be read: {error}") from error
    if set(data) != _NAMES or (data["type"], str(data["version"])) != (TYPE, str(VERSION)):  # True is 1
        raise ReportUnsound("it is no proof, or of a later version than this program knows")
    statement = verify_statement(_octets(data["statement"]), _octets(data["signature"]), roots_der)
    line, index = _octets(data["entry"]), data["index"]
    stated = stated_entries(statement.data)
    size = stated.get("count")
    if type(index) is not int or type(size) is not int:
        raise ReportUnsound("the proof has no place among the entries")
    root = root_by_path(line, index, size, _path(data["path"]))
    if root is None or root.hex() != stated.get("merkle_root"):
        raise ReportUnsound("the entry is none of the statement")
    try:
        return Proved(read(line), statement)
    except ValueError as error:
        raise ReportUnsound(f"the entry can't be read: {error}") from error


_NAMES: Final = {"type", "version", "statement", "signature", "entry", "index", "path"}


def _octets(value: Json) -> bytes:
    try:
        octets = base64.b64decode(str(value), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ReportUnsound("the proof holds what is no base64") from error
    if base64.b64encode(octets).decode() != value:
        raise ReportUnsound("the proof holds base64 that is not written in the one way")
    return octets


def _path(value: Json) -> list[bytes]:
    if not isinstance(value, list) or len(value) > MAX_PATH:
        raise ReportUnsound("the proof has no path to the root")
    try:
        path = [bytes.fromhex(str(one)) for one in value]
    except ValueError as error:
        raise ReportUnsound("the path to the root holds what is no hash") from error
    if [one.hex() for one in path] != value:
        raise ReportUnsound("the path to the root is not written in the one way")
    return path
