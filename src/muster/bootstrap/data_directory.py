"""Where an installation lives: data directory, key ring, database and its schema."""

import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from muster.crypto.errors import CryptoError
from muster.crypto.keys import RSAPrivateKey, generate_rsa_key
from muster.crypto.sealing import KeyRing
from muster.domain.control.self_watch import BEAT_EVERY, DiskSpace
from muster.domain.policy import Policy
from muster.operations.ports import PublicTest
from muster.settings import Settings, SettingsError
from muster.storage import migrate
from muster.storage.engine import Engine
from muster.storage.postgresql import PostgresqlEngine
from muster.storage.sqlite import SqliteEngine

POLL = timedelta(seconds=1)
"""How often workers look for what another process or node has made due."""


def utc_now() -> datetime:
    """Return the time of this machine, aware UTC."""
    return datetime.now(UTC)


def measure_disk(directory: Path) -> DiskSpace | None:
    """Measure the disk that *directory* is on; None where the operating system doesn't say."""
    try:
        usage = shutil.disk_usage(directory)
    except OSError:
        return None
    return DiskSpace(usage.free, usage.total)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the laboratory replaces: the clock, randomness, keys, and how soon others' work is noticed (None: never)."""

    now: Callable[[], datetime] = utc_now
    random_bytes: Callable[[int], bytes] = secrets.token_bytes
    new_rsa_key: Callable[[int], RSAPrivateKey] = generate_rsa_key
    poll: timedelta | None = POLL
    beat: timedelta = BEAT_EVERY
    """How often the node says that it lives."""
    public_test: PublicTest | None = None
    """Looks at the server's public address in place of the network."""
    disk: Callable[[Path], DiskSpace | None] = measure_disk
    """Measures the disk of a directory; None where that can't be done."""
    durable: bool = True
    device_roots: tuple[bytes, ...] = ()
    """Who vouches for devices (DER) beside Apple's roots."""
    policy: Callable[[Policy], Policy] = lambda policy: policy


def open_engine(settings: Settings, *, connections: int = 7, durable: bool = True) -> Engine:
    """Open the database that *settings* name. SQLite's directory must exist."""
    if settings.database is not None:
        return PostgresqlEngine(settings.database.get_secret_value(), connections=connections)
    return SqliteEngine(settings.database_path, synchronous="FULL" if durable else "OFF")


def make_data_dir(settings: Settings) -> None:
    """Make the data directory, for its owner only."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)


def make_key_ring(path: Path, surroundings: Surroundings) -> KeyRing:
    """Make a key ring at *path*, readable by its owner only; one that another process made meanwhile is read."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    ring = KeyRing.generate(surroundings.random_bytes, surroundings.now())
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(ring.to_json())
        file.flush()
        os.fsync(file.fileno())
    try:
        # a hard link fails when the ring exists: two first starts agree on one
        os.link(unfinished, path)
    except FileExistsError:
        return read_key_ring(path)
    finally:
        unfinished.unlink()
    return ring


def read_key_ring(path: Path) -> KeyRing:
    """Read the key ring at *path*. Raises SettingsError when it is missing or can't be read."""
    try:
        return KeyRing.from_json(path.read_text())
    except FileNotFoundError as error:
        raise SettingsError(f"key_ring: {path} does not exist; run `muster init`, or name the ring's file") from error
    except OSError as error:
        raise SettingsError(f"key_ring: {path} can't be read: {error.strerror}") from error
    except (CryptoError, UnicodeDecodeError) as error:
        raise SettingsError(f"key_ring: {path} can't be read: {error}") from error


def initialise(settings: Settings, surroundings: Surroundings) -> None:
    """Make what a first start needs: directory, key ring, schema. Idempotent; SQLite is upgraded after a backup."""
    make_data_dir(settings)
    if not settings.key_ring_path.exists():
        make_key_ring(settings.key_ring_path, surroundings)
    bring_schema_up(settings, surroundings)


def bring_schema_up(settings: Settings, surroundings: Surroundings) -> list[str]:
    """Upgrade the schema, after a backup where the database is a file; returns the revisions applied."""
    if settings.database is None:
        # commands and reports hold secrets, and the data directory may be another's; SQLite's other files take after it
        settings.database_path.touch(mode=0o600)
    engine = open_engine(settings, connections=1)
    try:
        if settings.database is None and migrate.pending(engine) and not migrate.is_empty(engine):
            stamp = f"{surroundings.now():%Y%m%dT%H%M%SZ}"
            migrate.backup(settings.database_path, settings.data_dir / "backups", stamp)
        applied = migrate.upgrade(engine)
        engine.write(lambda tx: tx.ensure_partitions(surroundings.now()))
        return applied
    finally:
        engine.close()
