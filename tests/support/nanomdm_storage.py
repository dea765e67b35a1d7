"""What a NanoMDM keeps, in a database with the columns that its schemas have, or in its file storage."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from tests.support.site import authenticate, token_update

from muster.crypto.certificates import pem_from_der
from muster.crypto.cms.signing import SignerIdentity
from muster.protocol.checkin import encode_checkin
from muster.protocol.command import Command, encode_command
from muster.protocol.identifiers import CommandUUID, Identifiers, resolve_channel

_TABLES = (
    (
        "CREATE TABLE {}devices (id VARCHAR(255) PRIMARY KEY, identity_cert TEXT, serial_number VARCHAR(127), "
        "unlock_token TEXT, unlock_token_at TIMESTAMP, authenticate TEXT NOT NULL, authenticate_at TIMESTAMP NOT NULL, "
        "token_update TEXT, token_update_at TIMESTAMP, bootstrap_token_b64 TEXT, bootstrap_token_at TIMESTAMP)"
    ),
    (
        "CREATE TABLE {}users (id VARCHAR(255) PRIMARY KEY, device_id VARCHAR(255) NOT NULL, token_update TEXT, "
        "token_update_at TIMESTAMP)"
    ),
    (
        "CREATE TABLE {}enrollments (id VARCHAR(255) PRIMARY KEY, device_id VARCHAR(255), user_id VARCHAR(255), "
        "type VARCHAR(31), topic VARCHAR(255), push_magic VARCHAR(127), token_hex VARCHAR(255), enabled BOOLEAN, "
        "token_update_tally INTEGER, last_seen_at TIMESTAMP NOT NULL)"
    ),
    "CREATE TABLE {}commands (command_uuid VARCHAR(127) PRIMARY KEY, request_type VARCHAR(63), command TEXT NOT NULL)",
    "CREATE TABLE {}command_results (id VARCHAR(255), command_uuid VARCHAR(127), status VARCHAR(31), result TEXT)",
    (
        "CREATE TABLE {}enrollment_queue (id VARCHAR(255), command_uuid VARCHAR(127), active BOOLEAN NOT NULL, "
        "priority SMALLINT NOT NULL, created_at TIMESTAMP NOT NULL)"
    ),
    "CREATE TABLE {}push_certs (topic VARCHAR(255) PRIMARY KEY, cert_pem TEXT NOT NULL, key_pem TEXT NOT NULL)",
    "CREATE TABLE {}cert_auth_associations (id VARCHAR(255), sha256 CHAR(64), created_at TIMESTAMP NOT NULL)",
)
ENROLLED_AT = "2026-10-01 08:00:00"
USER_ENROLLED_AT = "2026-10-05 07:00:00"
SEEN_AT = "2026-11-20 09:30:00"


@dataclass(frozen=True, slots=True)
class Kept:
    """One device there. *identity* absent: its certificate is not kept; *hashes* are those of certificates it used."""

    identifiers: Identifiers
    identity: SignerIdentity | None = None
    hashes: tuple[bytes, ...] = ()
    users: tuple[Identifiers, ...] = ()
    commands: tuple[tuple[str, str, str | None], ...] = ()
    """UUID, RequestType, and the status of its result, if it has one."""
    is_enabled: bool = True
    is_complete: bool = True
    bootstrap_token: bytes | None = None
    unlock_token: bytes | None = field(default=None)

    @property
    def id(self) -> str:
        """The id of its device channel."""
        return resolve_channel(self.identifiers).id


class NanomdmStorage:
    """A database at *url*, whose tables' names begin with *prefix*."""

    def __init__(self, url: str, prefix: str = "") -> None:
        self._engine = sa.create_engine(
            url.replace("postgresql://", "postgresql+psycopg://").replace("mysql://", "mysql+pymysql://")
        )
        self._prefix = prefix
        self._has_octets = self._engine.dialect.name == "mysql"
        """Its unlock tokens are octets; PostgreSQL has them in hexadecimal."""
        tables = [one.replace("unlock_token TEXT", "unlock_token MEDIUMBLOB") for one in _TABLES]
        self._run(*((statement, {}) for statement in (tables if self._has_octets else _TABLES)))

    def close(self) -> None:
        """Let go of it."""
        self._engine.dispose()

    def add_push_certificate(self, topic: str, certificate_pem: bytes, key_pem: bytes) -> None:
        """Keep a push certificate."""
        values = {"topic": topic, "certificate": certificate_pem.decode(), "key": key_pem.decode()}
        self._run(("INSERT INTO {}push_certs VALUES (:topic, :certificate, :key)", values))

    def add(self, kept: Kept) -> None:
        """Keep a device with all it has."""
        identity = None if kept.identity is None else pem_from_der([kept.identity.certificate_der]).decode()
        bootstrap = None if kept.bootstrap_token is None else base64.b64encode(kept.bootstrap_token).decode()
        in_hexadecimal = None if kept.unlock_token is None else "\\x" + kept.unlock_token.hex()
        unlock = kept.unlock_token if self._has_octets else in_hexadecimal
        self._run(
            (
                (
                    "INSERT INTO {}devices VALUES (:id, :identity, NULL, :unlock, NULL, :authenticate, :at, :update, "
                    ":at, :bootstrap, NULL)"
                ),
                {
                    "id": kept.id,
                    "identity": identity,
                    "unlock": unlock,
                    "authenticate": encode_checkin(authenticate(kept.identifiers)).decode(),
                    "update": encode_checkin(token_update(kept.identifiers)).decode() if kept.is_complete else None,
                    "at": ENROLLED_AT,
                    "bootstrap": bootstrap,
                },
            ),
            *(
                (
                    "INSERT INTO {}cert_auth_associations VALUES (:id, :hash, :at)",
                    {"id": kept.id, "hash": one.hex().upper(), "at": f"2026-10-01 08:00:0{number}"},
                )
                for number, one in enumerate(kept.hashes)
            ),
        )
        if kept.is_complete:
            self._enroll(kept.id, kept.id, None, is_enabled=kept.is_enabled)
        for user in kept.users:
            id_ = resolve_channel(user).id
            update = encode_checkin(token_update(user)).decode()
            self._run(
                (
                    "INSERT INTO {}users VALUES (:id, :device, :update, :at)",
                    {"id": id_, "device": kept.id, "update": update, "at": USER_ENROLLED_AT},
                )
            )
            self._enroll(id_, kept.id, id_, is_enabled=kept.is_enabled)
        for number, (uuid, request_type, status) in enumerate(kept.commands):
            body = encode_command(Command(CommandUUID(uuid), request_type)).decode()
            self._run(
                (
                    "INSERT INTO {}commands VALUES (:uuid, :type, :body)",
                    {"uuid": uuid, "type": request_type, "body": body},
                ),
                (
                    "INSERT INTO {}enrollment_queue VALUES (:id, :uuid, :active, 0, :at)",
                    {"id": kept.id, "uuid": uuid, "active": True, "at": f"2026-10-02 08:00:0{number}"},
                ),
            )
            if status is not None:
                values = {"id": kept.id, "uuid": uuid, "status": status}
                self._run(("INSERT INTO {}command_results VALUES (:id, :uuid, :status, '<?xml')", values))

    def _enroll(self, id_: str, device: str, user: str | None, *, is_enabled: bool) -> None:
        values = {"id": id_, "device": device, "user": user, "enabled": is_enabled, "seen": SEEN_AT}
        statement = (
            "INSERT INTO {}enrollments VALUES (:id, :device, :user, 'Device', 't', 'm', '00', :enabled, 1, :seen)"
        )
        self._run((statement, values))

    def _run(self, *statements: tuple[str, Mapping[str, object]]) -> None:
        with self._engine.begin() as connection:
            for statement, values in statements:
                connection.execute(sa.text(statement.format(self._prefix)), dict(values))


def write_files(directory: Path, devices: Sequence[Kept]) -> None:
    """Keep devices in the file storage."""
    for kept in devices:
        folder = directory / kept.id
        (folder / "SubEnrollments").mkdir(parents=True)
        (folder / "Authenticate.plist").write_bytes(encode_checkin(authenticate(kept.identifiers)))
        if kept.is_complete:
            (folder / "TokenUpdate.plist").write_bytes(encode_checkin(token_update(kept.identifiers)))
        if kept.identity is not None:
            (folder / "Identity.pem").write_bytes(pem_from_der([kept.identity.certificate_der]))
        if kept.hashes:
            (folder / "CertAuth.sha256.txt").write_text(kept.hashes[-1].hex())
        if kept.bootstrap_token is not None:
            (folder / "BootstrapToken.dat").write_bytes(kept.bootstrap_token)
        if kept.unlock_token is not None:
            (folder / "UnlockToken.dat").write_bytes(kept.unlock_token)
        if not kept.is_enabled:
            (folder / "Disabled").write_bytes(b"")
        for user in kept.users:
            id_ = resolve_channel(user).id
            (folder / "SubEnrollments" / id_).write_bytes(b"")
            (directory / id_).mkdir()
            (directory / id_ / "TokenUpdate.plist").write_bytes(encode_checkin(token_update(user)))
