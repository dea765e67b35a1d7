"""NanoMDM's file storage: a directory for each enrollment, with a file for each thing that is known.

Source: NanoMDM, storage/file. Its queues are not read: they are links between directories.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from muster.domain.adoption import AdoptionOrder, PushCertificateElsewhere, Unfit, UserElsewhere
from muster.storage.other_servers.errors import Unreadable
from muster.storage.other_servers.nanomdm_sql import known_identity

MAXIMUM_FILE_BYTES: Final = 16 * 1024 * 1024
"""None of them has more than some kilobytes."""


class NanomdmDirectory:
    """One directory of NanoMDM's, read only. Raises Unreadable wherever it can't be read."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        if not any(directory.glob("*/Authenticate.plist")):
            raise Unreadable(f"{directory} is not NanoMDM's file storage, or nobody is enrolled there")

    def close(self) -> None:
        """Nothing is held."""

    def push_certificates(self) -> list[PushCertificateElsewhere]:
        """Read the push certificates, by topic."""
        found = []
        for path in sorted(self._directory.glob("com.apple.mgmt.*.pem")):
            certificate, key = _read(path), _read(path.with_suffix(".key"))
            if certificate is not None and key is not None:
                found.append(PushCertificateElsewhere(path.stem, certificate, key))
        return found

    def devices(self, *, with_queue: bool = True) -> Iterator[AdoptionOrder | Unfit]:  # noqa: ARG002 - as the database has it
        """Read device after device, in the order of their ids."""
        for path in sorted(self._directory.glob("*/Authenticate.plist")):
            yield self._device(path.parent)

    def _device(self, directory: Path) -> AdoptionOrder | Unfit:
        authenticate, token_update = _read(directory / "Authenticate.plist"), _read(directory / "TokenUpdate.plist")
        if authenticate is None or token_update is None:
            return Unfit(directory.name, "its enrollment was never complete")
        if (directory / "Disabled").exists():
            return Unfit(directory.name, "it is not enrolled there any more")
        associated = _read(directory / "CertAuth.sha256.txt") or b""
        hashes = [found] if len(found := _hex(associated)) == 32 else []
        certificate_der, awaited = known_identity(_read(directory / "Identity.pem"), hashes)
        return AdoptionOrder(
            kept_as=directory.name,
            authenticate=authenticate,
            token_update=token_update,
            authenticated_at=_changed_at(directory / "Authenticate.plist"),
            updated_at=_changed_at(directory / "TokenUpdate.plist"),
            certificate_der=certificate_der,
            awaited=awaited,
            unlock_token=_read(directory / "UnlockToken.dat"),
            bootstrap_token=_read(directory / "BootstrapToken.dat"),
            users=tuple(self._users(directory)),
        )

    def _users(self, device: Path) -> Iterator[UserElsewhere]:
        for entry in sorted((device / "SubEnrollments").glob("*")):
            directory = self._directory / entry.name
            token_update = None if (directory / "Disabled").exists() else _read(directory / "TokenUpdate.plist")
            if token_update is not None:
                yield UserElsewhere(token_update, _changed_at(directory / "TokenUpdate.plist"))


def _read(path: Path) -> bytes | None:
    """Read a file; None when there is none, or nothing in it."""
    try:
        if path.stat().st_size > MAXIMUM_FILE_BYTES:
            raise Unreadable(f"{path} has more than {MAXIMUM_FILE_BYTES} bytes")
        return path.read_bytes() or None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unreadable(f"{path} can't be read: {error.strerror}") from error


def _changed_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _hex(text: bytes) -> bytes:
    try:
        return bytes.fromhex(text.decode("ascii").strip())
    except (UnicodeDecodeError, ValueError):
        return b""
