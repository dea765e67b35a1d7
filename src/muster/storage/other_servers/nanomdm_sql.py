"""NanoMDM's databases: PostgreSQL and MySQL, by the tables that its schemas have.

Source: NanoMDM, storage/pgsql/schema.sql and storage/mysql/schema.sql; newer ones have `nano_` before each name.
"""

import base64
import binascii
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa

from muster.crypto.certificates import der_from_pem, fingerprint
from muster.crypto.errors import CryptoError
from muster.domain.adoption import AdoptionOrder, PushCertificateElsewhere, QueuedElsewhere, Unfit, UserElsewhere
from muster.protocol.identifiers import ChannelId
from muster.storage.other_servers.errors import Unreadable

DEVICES_AT_ONCE: Final = 200
_SOCKET: Final = "/tmp/mysql.sock"  # noqa: S108 - where Go's driver looks when none is named
_PREFIXES: Final = ("nano_", "")
_NEEDED: Final = ("devices", "users", "enrollments", "push_certs", "cert_auth_associations")
_MYSQL: Final = re.compile(
    r"(?P<user>[^:]+?)(?::(?P<password>.*))?@(?P<protocol>tcp|unix|)(?:\((?P<address>[^()]+)\))?"
    r"/(?P<name>[^/?]+)(?:\?(?P<options>[^/]*))?",
    re.DOTALL,
)
"""As Go's driver writes it: USER:PASSWORD@PROTOCOL(ADDRESS)/DATABASE?OPTIONS; a password may have any character."""
_IN_THE_CLEAR: Final = frozenset({"false", "preferred"})
"""What `tls` says among the options of a connection that may go without."""


def engine_url(dsn: str) -> str:
    """Return the URL by which SQLAlchemy opens what NanoMDM's `-storage-dsn` names.

    Raises Unreadable when *dsn* is neither a URL of PostgreSQL, MySQL or SQLite, nor what Go's driver for MySQL takes.
    """
    scheme, separator, rest = dsn.partition("://")
    if separator and scheme in ("postgres", "postgresql"):
        return f"postgresql+psycopg://{rest}"
    if separator and scheme == "mysql":
        return f"mysql+pymysql://{rest}"
    if separator and scheme == "sqlite":
        return dsn
    found = _MYSQL.fullmatch(dsn)
    if found is None:
        raise Unreadable(
            "this names no database", "Give postgres://..., mysql://..., or the directory of the file storage."
        )
    return _mysql_url(found)


def _mysql_url(found: re.Match[str]) -> str:
    if dict(parse_qsl(found["options"] or "")).get("tls", "false") not in _IN_THE_CLEAR:
        raise Unreadable(
            "this asks for TLS, whose authorities it does not name",
            "Name them: mysql://USER:PASSWORD@HOST/DATABASE?ssl_ca=FILE.",
        )
    password = "" if found["password"] is None else f":{quote(found['password'], safe='')}"
    address, name = found["address"], found["name"]
    if found["protocol"] == "unix":
        host, options = "localhost", f"?{urlencode({'unix_socket': address or _SOCKET})}"
    else:
        host, options = address or "127.0.0.1:3306", ""
    return f"mysql+pymysql://{quote(found['user'], safe='')}{password}@{host}/{name}{options}"


class NanomdmDatabase:
    """One database of NanoMDM, read only. Raises Unreadable wherever it can't be read."""

    def __init__(self, dsn: str) -> None:
        try:
            self._engine = _engine(engine_url(dsn))
        except ModuleNotFoundError as error:
            raise Unreadable(
                f"the driver for this database is not installed ({error.name})", "Install it beside Muster: PyMySQL."
            ) from error
        except (sa.exc.ArgumentError, ValueError) as error:
            raise Unreadable(f"this names no database: {error}") from error
        try:
            names = set(sa.inspect(self._engine).get_table_names())
            self._zone = _zone_of_times(self._engine)
        except sa.exc.SQLAlchemyError as error:
            raise Unreadable(f"the database can't be read: {_first_line(error)}") from error
        prefix = next((one for one in _PREFIXES if all(f"{one}{name}" in names for name in _NEEDED)), None)
        if prefix is None:
            raise Unreadable("these are not the tables of a NanoMDM")
        self._prefix = prefix

    def close(self) -> None:
        """Let go of it."""
        self._engine.dispose()

    def push_certificates(self) -> list[PushCertificateElsewhere]:
        """Read the push certificates, by topic."""
        rows = self._read("SELECT topic, cert_pem, key_pem FROM {}push_certs ORDER BY topic")
        return [PushCertificateElsewhere(row.topic, _bytes(row.cert_pem), _bytes(row.key_pem)) for row in rows]

    def devices(self, *, with_queue: bool = True) -> Iterator[AdoptionOrder | Unfit]:
        """Read device after device, in the order of their ids."""
        after = ""
        while True:
            rows = self._read(
                "SELECT d.id, d.identity_cert, d.unlock_token, d.bootstrap_token_b64, d.authenticate, "
                "d.authenticate_at, d.token_update, d.token_update_at, e.enabled, e.last_seen_at "
                "FROM {0}devices d LEFT JOIN {0}enrollments e ON e.id = d.id "
                "WHERE d.id > :after ORDER BY d.id LIMIT :many",
                after=after,
                many=DEVICES_AT_ONCE,
            )
            if not rows:
                return
            ids = [row.id for row in rows]
            users, hashes = self._users(ids), self._hashes(ids)
            queues = self._queues(ids) if with_queue else {}
            for row in rows:
                yield _device(row, self._zone, users.get(row.id, ()), hashes.get(row.id, ()), queues.get(row.id, ()))
            after = ids[-1]

    def _users(self, device_ids: Sequence[str]) -> dict[str, tuple[UserElsewhere, ...]]:
        rows = self._read(
            "SELECT u.device_id, u.token_update, u.token_update_at, e.last_seen_at "
            "FROM {0}users u JOIN {0}enrollments e ON e.user_id = u.id "
            "WHERE u.device_id IN :ids AND u.token_update IS NOT NULL AND e.enabled ORDER BY u.id",
            ids=device_ids,
        )
        return _grouped((row.device_id, _user(row, self._zone)) for row in rows)

    def _hashes(self, device_ids: Sequence[str]) -> dict[str, tuple[bytes, ...]]:
        """Read the hashes of certificates that each device used, the latest last; what is no hash is left out."""
        rows = self._read(
            "SELECT id, sha256 FROM {}cert_auth_associations WHERE id IN :ids ORDER BY created_at", ids=device_ids
        )
        return _grouped((row.id, found) for row in rows if len(found := _hex(row.sha256)) == 32)

    def _queues(self, device_ids: Sequence[str]) -> dict[str, tuple[QueuedElsewhere, ...]]:
        """Read what waits for devices and their users: what is active, and not answered but by NotNow."""
        rows = self._read(
            "SELECT e.device_id, q.id, q.priority, c.command FROM {0}enrollment_queue q "
            "JOIN {0}enrollments e ON e.id = q.id JOIN {0}commands c ON c.command_uuid = q.command_uuid "
            "LEFT JOIN {0}command_results r ON r.command_uuid = q.command_uuid AND r.id = q.id "
            "WHERE e.device_id IN :ids AND q.active AND e.enabled AND (r.status IS NULL OR r.status = 'NotNow') "
            "ORDER BY q.priority DESC, q.created_at",
            ids=device_ids,
        )
        return _grouped(
            (row.device_id, QueuedElsewhere(ChannelId(row.id), _bytes(row.command), int(row.priority))) for row in rows
        )

    def _read(self, statement: str, **values: object) -> Sequence[sa.Row[Any]]:
        text = sa.text(statement.format(self._prefix))
        if "ids" in values:
            text = text.bindparams(sa.bindparam("ids", expanding=True))
        try:
            with self._engine.connect() as connection:
                return connection.execute(text, values).all()
        except sa.exc.SQLAlchemyError as error:
            raise Unreadable(f"the database can't be read: {_first_line(error)}") from error


def _user(row: sa.Row[Any], zone: tzinfo) -> UserElsewhere:
    seen_at = _instant(row.last_seen_at, zone)
    updated_at = seen_at if row.token_update_at is None else _instant(row.token_update_at, zone)
    return UserElsewhere(_bytes(row.token_update), updated_at, seen_at)


def _device(
    row: sa.Row[Any],
    zone: tzinfo,
    users: tuple[UserElsewhere, ...],
    hashes: tuple[bytes, ...],
    queue: tuple[QueuedElsewhere, ...],
) -> AdoptionOrder | Unfit:
    if row.enabled is None or not row.token_update:
        return Unfit(row.id, "its enrollment was never complete")
    if not row.enabled:
        return Unfit(row.id, "it is not enrolled there any more")
    certificate_der, awaited = known_identity(None if row.identity_cert is None else _bytes(row.identity_cert), hashes)
    return AdoptionOrder(
        kept_as=row.id,
        authenticate=_bytes(row.authenticate),
        token_update=_bytes(row.token_update),
        authenticated_at=_instant(row.authenticate_at, zone),
        updated_at=_instant(row.token_update_at or row.authenticate_at, zone),
        certificate_der=certificate_der,
        awaited=awaited,
        unlock_token=_binary(row.unlock_token),
        bootstrap_token=_base64(row.bootstrap_token_b64),
        users=users,
        queue=queue,
        last_seen_at=_instant(row.last_seen_at, zone),
    )


def known_identity(certificate_pem: bytes | None, hashes: Sequence[bytes]) -> tuple[bytes | None, bytes | None]:
    """Tell by what a device is known: its certificate (DER), or the SHA-256 of it, the last of *hashes*.

    A certificate that is none of those that the device used counts only where it used none.
    """
    try:
        certificate_der = None if certificate_pem is None else der_from_pem(certificate_pem)[0]
    except CryptoError:
        certificate_der = None
    if certificate_der is not None and (not hashes or fingerprint(certificate_der) == hashes[-1]):
        return certificate_der, None
    return None, hashes[-1] if hashes else None


def _grouped(pairs: Iterator[tuple[str, Any]]) -> dict[str, tuple[Any, ...]]:
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for name, value in pairs:
        found[name].append(value)
    return {name: tuple(values) for name, values in found.items()}


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


def _hex(value: str) -> bytes:
    try:
        return bytes.fromhex(value.strip())
    except ValueError:
        return b""


def _base64(value: str | None) -> bytes | None:
    if not value:
        return None
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None


def _binary(value: str | bytes | None) -> bytes | None:
    """Read a secret of octets, which PostgreSQL's schema has as text: in hexadecimal, base64, or as it is."""
    if not value:
        return None
    if not isinstance(value, str):
        return bytes(value)
    return _hex(value[2:]) if value.startswith("\\x") else _base64(value) or value.encode()


def _engine(url: str) -> sa.Engine:
    """Open a database. MySQL tells times in the zone of the session, and shall tell them in UTC.

    PostgreSQL's text comes as UTF-8, in which NanoMDM writes: from a database without an encoding it would be octets.
    """
    if url.startswith("postgresql"):
        return sa.create_engine(url, connect_args={"client_encoding": "utf8"})
    if not url.startswith("mysql"):
        return sa.create_engine(url)
    return sa.create_engine(url, connect_args={"init_command": "SET time_zone = '+00:00'"})


def _zone_of_times(engine: sa.Engine) -> tzinfo:
    """Tell the zone of times that name none: on PostgreSQL the server's own, by which they were kept."""
    if engine.dialect.name != "postgresql":
        return UTC
    with engine.connect() as connection:
        name = str(connection.execute(sa.text("SHOW TimeZone")).scalar_one())
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC  # one that is written as a rule


def _instant(value: datetime | str, zone: tzinfo) -> datetime:
    """Read a time; one that names no zone is one of *zone*."""
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return (at.replace(tzinfo=zone) if at.tzinfo is None else at).astimezone(UTC)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
