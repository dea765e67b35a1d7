"""The directory that is built in: a file of names, realms and digests of passwords, as Apache's htdigest writes it."""

import asyncio
import os
from pathlib import Path

from muster.protocol.user_digest import digest_key
from muster.storage.errors import Unavailable

MAXIMUM_FILE_BYTES = 16 * 1024 * 1024
"""Some two hundred thousand users; beyond that a real directory is at hand."""

MAXIMUM_NAME_CHARACTERS = 255
"""Of a short name on a Mac."""

_PRIVATE = 0o600


class PasswordFileError(Exception):
    """The file can't be read or written, or a line of it is none."""


class PasswordFile:
    """The users of *realm* in the file *path*; lines of other realms are left as they are.

    A file that is not there has no users. It is read anew whenever it changed.
    """

    def __init__(self, path: Path, realm: str) -> None:
        self._path = path
        self._realm = realm
        self._read_of: tuple[int, int] | None = None
        self._keys: dict[str, str] = {}

    async def find_key(self, user_name: str) -> str | None:
        """Return the digest of a user's password; None: no such user. Raises Unavailable when the file is unfit."""
        try:
            return await asyncio.to_thread(self._find, user_name)
        except PasswordFileError as error:
            raise Unavailable(str(error)) from error

    def users(self) -> list[str]:
        """Name the users, sorted. Raises PasswordFileError."""
        return sorted(name for name, realm, _ in self._lines() if realm == self._realm)

    def set_password(self, user_name: str, password: str) -> None:
        """Give a user, new or not, a password. Raises PasswordFileError, also for a name that no line can hold."""
        fault = fault_of_name(user_name)
        if fault is not None:
            raise PasswordFileError(fault)
        others = [line for line in self._lines() if line[:2] != (user_name, self._realm)]
        self._write([*others, (user_name, self._realm, digest_key(user_name, self._realm, password))])

    def remove(self, user_name: str) -> bool:
        """Take a user out; False when there is none of that name. Raises PasswordFileError."""
        lines = self._lines()
        others = [line for line in lines if line[:2] != (user_name, self._realm)]
        if len(others) == len(lines):
            return False
        self._write(others)
        return True

    def _find(self, user_name: str) -> str | None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._read_of = None
            return None
        except OSError as error:
            raise PasswordFileError(f"{self._path} can't be read: {error.strerror}") from error
        now = (status.st_mtime_ns, status.st_size)
        if self._read_of != now:
            self._keys = {name: key for name, realm, key in self._lines() if realm == self._realm}
            self._read_of = now
        return self._keys.get(user_name)

    def _lines(self) -> list[tuple[str, str, str]]:
        try:
            with self._path.open("rb") as file:
                content = file.read(MAXIMUM_FILE_BYTES + 1)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise PasswordFileError(f"{self._path} can't be read: {error.strerror}") from error
        if len(content) > MAXIMUM_FILE_BYTES:
            raise PasswordFileError(f"{self._path} is larger than {MAXIMUM_FILE_BYTES} bytes")
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            raise PasswordFileError(f"{self._path} is not UTF-8") from error
        return [self._line(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]

    def _line(self, number: int, line: str) -> tuple[str, str, str]:
        parts = line.rstrip("\r").split(":")
        if len(parts) != 3 or not parts[0] or len(parts[2]) != 32:
            raise PasswordFileError(f"{self._path}: line {number} is not NAME:REALM:DIGEST")
        return parts[0], parts[1], parts[2].lower()

    def _write(self, lines: list[tuple[str, str, str]]) -> None:
        """Put another file in the place of this one, readable for its owner alone, in one step."""
        beside = self._path.with_name(f"{self._path.name}.new")
        content = "".join(f"{':'.join(line)}\n" for line in sorted(lines)).encode()
        try:
            beside.unlink(missing_ok=True)
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            raise PasswordFileError(f"{self._path} can't be written: {error.strerror}") from error


def fault_of_name(user_name: str) -> str | None:
    """Tell why no user can be called *user_name*, or None."""
    if not user_name or len(user_name) > MAXIMUM_NAME_CHARACTERS:
        return f"a user name has 1 to {MAXIMUM_NAME_CHARACTERS} characters"
    if ":" in user_name or not user_name.isprintable():
        return "a user name has neither colons nor control characters"
    return None
