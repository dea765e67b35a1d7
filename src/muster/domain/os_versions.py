"""Versions and builds of operating systems, as they are compared (Apple, "MachineInfo": OS_VERSION and VERSION)."""

import re

_VERSION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,9}")
_BUILD = re.compile(r"([0-9]{1,9})([A-Z]{1,3})([0-9]{1,9})([a-z]?)")


def version_key(version: str | None) -> tuple[int, ...] | None:
    """Return what versions are compared by: 17.10 is later than 17.9, and 17.0 is 17. None for what is no version."""
    if version is None or not _VERSION.fullmatch(version):
        return None
    numbers = [int(number) for number in version.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def sortable(version: str | None) -> str | None:
    """Return a text that sorts as the version does, byte by byte, for databases. None for what is no version.

    It begins with that of a shorter version which it continues: 000000015.000000004 sorts after 000000015.
    """
    key = version_key(version)
    return None if key is None else ".".join(f"{number:09}" for number in key)


def build_key(build: str | None) -> tuple[int, str, int, str] | None:
    """Return what builds of one version are compared by: 21E236 is later than 21E219. None for what is no build."""
    found = None if build is None else _BUILD.fullmatch(build)
    return None if found is None else (int(found[1]), found[2], int(found[3]), found[4])
