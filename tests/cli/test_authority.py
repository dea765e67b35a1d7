"""`muster authority`."""

from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from tests.support.command_line import CommandLine
from tests.support.fleet import AUTHORITY, add_device
from tests.support.runner import NOW

from muster.storage import schema
from muster.storage.engine import Transaction
from muster.storage.sqlite import SqliteEngine


def _have_it_issued_by_the_real_authority(tx: Transaction) -> None:
    real = sa.select(schema.authorities.c.fingerprint).where(schema.authorities.c.fingerprint != AUTHORITY)
    tx.connection.execute(sa.update(schema.identities).values(authority=real.scalar_subquery()))
    tx.connection.execute(sa.delete(schema.authorities).where(schema.authorities.c.fingerprint == AUTHORITY))


def test_show_tells_programs_which_authorities_there_are(muster: CommandLine) -> None:
    rows = muster("authority", "show")

    assert [(row["name"], row["is_current"], row["devices"]) for row in rows] == [
        ("Muster Device Identity Authority", True, 0)
    ]


def test_rotate_says_what_follows_and_does_nothing_without_yes(muster: CommandLine, data_dir: Path) -> None:
    engine = SqliteEngine(data_dir / "muster.db", synchronous="OFF")
    add_device(engine, "OF-AN-UNKNOWN-PROFILE", identity_not_after=NOW + timedelta(days=100))
    engine.write(_have_it_issued_by_the_real_authority)
    engine.close()

    code, _, said = muster.run("authority", "rotate")

    assert code == 2
    assert "0 devices will be sent a renewal, over 30 days" in said
    assert "1 more can't be renewed" in said
    assert "nothing was done" in said
    assert [row["name"] for row in muster("authority", "show")] == ["Muster Device Identity Authority"]


def test_rotate_makes_a_new_authority_and_keeps_the_former(muster: CommandLine, data_dir: Path) -> None:
    made = muster("authority", "rotate", "--yes")

    rows = muster("authority", "show")
    assert [(row["name"], row["is_current"]) for row in rows] == [
        ("Muster Device Identity Authority 2", True),
        ("Muster Device Identity Authority", False),
    ]
    assert made["fingerprint"] == rows[0]["fingerprint"]
    assert list((data_dir / "journal").glob("*-cli-*.journal"))


def test_show_gives_people_a_table(muster: CommandLine) -> None:
    code, out, _ = muster.run("authority", "show")

    assert code == 0
    assert out.splitlines()[1].startswith("Muster Device Identity Authority")
