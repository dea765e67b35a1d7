"""`muster incidents`: one line for one cause, those that last first."""

from datetime import timedelta
from pathlib import Path

from tests.support.command_line import CommandLine
from tests.support.runner import NOW

from muster.domain.control.incidents import Incident
from muster.domain.control.own_side import EVERYTHING, Scope, ScopeKind
from muster.domain.control.reasons import Reason
from muster.storage import incidents
from muster.storage.sqlite import SqliteEngine

HOUR = timedelta(hours=1)
OVER = Incident("1", Reason.OWN_DOWNTIME, EVERYTHING, NOW - 9 * HOUR, NOW, NOW, NOW, "our server was down", 40)
SITE = Scope(ScopeKind.SITE, "198.51.100.1")
LASTING = Incident("2", Reason.SILENT, SITE, NOW - 30 * HOUR, NOW - HOUR, NOW - HOUR, None, "6 devices are silent", 6)


def store(data_dir: Path) -> None:
    engine = SqliteEngine(data_dir / "muster.db")
    engine.write(lambda tx: incidents.add(tx, [OVER, LASTING]))
    engine.close()


def test_incidents_are_listed_those_that_last_first(muster: CommandLine, data_dir: Path) -> None:
    before = muster.run("incidents")[1]
    store(data_dir)

    listed = muster("incidents")
    lasting = muster("incidents", "--open")
    table = muster.run("incidents")[1].splitlines()

    assert before == "No incident.\n"
    assert [(one["id"], one["reason"], one["scope"], one["is_ours"]) for one in listed] == [
        ("2", "silent", "site:198.51.100.1", False),
        ("1", "own_downtime", "", True),
    ]
    assert listed[1]["title"] == "our server was down"
    assert [one["id"] for one in lasting] == ["2"]
    assert ["lasts" in line for line in table] == [False, True, False]
    assert "6 devices are silent" in table[1]
