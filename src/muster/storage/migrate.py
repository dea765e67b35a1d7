"""Bring a database to the schema of this version, and tell whether it is there."""

import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path

import sqlalchemy as sa

from muster.storage.engine import Engine, Transaction
from muster.storage.errors import SchemaOutdated

_SCRIPTS = Path(__file__).parent / "migrations" / "versions"


def upgrade(engine: Engine) -> list[str]:
    """Bring the schema to this version's, in one transaction, alone among all processes.

    Returns the revisions applied, oldest first; none when there was nothing to do. Nothing is printed, and no backup
    is made: call `backup` before. Raises SchemaOutdated when a newer version's schema is in the database, and
    Unavailable when the database can't be reached.
    """
    from muster.storage.migrations.alembic_run import upgrade_to_head  # noqa: PLC0415 - slow to load, seldom needed

    with engine.migrating() as connection:
        applied = _missing(_revision(connection))
        upgrade_to_head(connection)
    return applied


def pending(engine: Engine) -> bool:
    """Tell whether `upgrade` has anything to do; an empty database needs it too.

    Raises SchemaOutdated when a newer version's schema is in the database.
    """
    return bool(_missing(engine.read(_read_revision)))


def is_empty(engine: Engine) -> bool:
    """Tell whether the database has never had a schema of ours."""
    return engine.read(_read_revision) is None


def check_schema(engine: Engine) -> None:
    """Make sure that the schema is this version's; raises SchemaOutdated, which says what to do."""
    if pending(engine):
        raise SchemaOutdated("the database's schema is older than this version of Muster: run `muster migrate`")


def head() -> str:
    """Name the revision of this version's schema."""
    return _revisions()[0]


def backup(path: Path, backups: Path, stamp: str) -> Path:
    """Copy the SQLite database *path* into the directory *backups*, whole although others may be writing.

    Returns the copy, readable by its owner only and named by *stamp*; one of that name is replaced. *path* exists.
    """
    backups.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = backups / f"{path.stem}-{stamp}{path.suffix}"
    unfinished = target.with_name(f"{target.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(unfinished)) as copy:
        source.backup(copy)
    unfinished.replace(target)
    return target


def _read_revision(tx: Transaction) -> str | None:
    return _revision(tx.connection)


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return revision


def _missing(present: str | None) -> list[str]:
    """Return the revisions that a database at *present* lacks, oldest first."""
    known = _revisions()
    if present is not None and present not in known:
        raise SchemaOutdated(
            f"the database's schema ({present}) is of a newer version of Muster: start that version, "
            "or restore a backup made before its `muster migrate`"
        )
    missing = known if present is None else known[: known.index(present)]
    return list(reversed(missing))


@cache
def _revisions() -> tuple[str, ...]:
    """Return the revisions of this version, the newest first: the numbers that begin the names of their scripts."""
    return tuple(sorted((script.name.partition("_")[0] for script in _SCRIPTS.glob("[0-9]*_*.py")), reverse=True))
