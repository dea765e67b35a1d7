"""`muster devices inventory` and `refresh`."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.conftest import FORMER, MAC
from tests.support.command_line import CommandLine

from muster.domain.inventory.changes import Change, StoredFact, StoredItem, StoredKind
from muster.domain.inventory.kinds import InventoryKind
from muster.protocol.identifiers import ChannelId
from muster.storage import inventory, known_facts
from muster.storage.engine import Transaction
from muster.storage.sqlite import SqliteEngine

CHANNEL = ChannelId(MAC)
APPS = InventoryKind.INSTALLED_APPLICATION_LIST


@pytest.fixture
def known(muster: CommandLine, data_dir: Path) -> CommandLine:
    """The command line where the Mac has told of itself: one fact five days ago, the rest three hours ago."""
    now = datetime.now(UTC)
    at, before = now - timedelta(hours=3), now - timedelta(days=5)
    facts = {
        "OSVersion": StoredFact("15.5"),
        "HostName": StoredFact("ada", before),
        "Model": StoredFact(7, is_odd=True),
    }

    def tell(tx: Transaction) -> None:
        inventory.store(tx, CHANNEL, InventoryKind.DEVICE_INFORMATION, StoredKind(at, b"", facts))
        inventory.store(tx, CHANNEL, APPS, StoredKind(at, b"", {}))
        item = StoredItem("Safari", "18.5", {"Identifier": "com.apple.Safari"}, before, at)
        inventory.write_items(tx, CHANNEL, APPS, {"com.apple.Safari": item}, [])
        change = Change("com.apple.Safari", {"ShortVersion": "18.4"}, {"ShortVersion": "18.5"})
        inventory.append_changes(tx, CHANNEL, APPS, [change], at, lambda: "one")
        known_facts.store_facts(tx, CHANNEL, known_facts.Facts(product_name="Mac15,3", os_version="15.5"), at)

    engine = SqliteEngine(data_dir / "muster.db")
    engine.write(tell)
    engine.close()
    return muster


def test_facts_are_shown_with_their_age_and_stale_ones_are_marked(known: CommandLine) -> None:
    code, out, said = known.run("devices", "inventory", MAC)

    rows = {line.split()[0]: line for line in out.splitlines() if line.startswith("  ")}
    assert (code, said) == (0, "")
    assert rows["OSVersion"].split()[1:] == ["15.5", "3", "h", "ago"]
    assert rows["HostName"].endswith("5 d ago*")
    assert "not of Apple's type" in rows["Model"]
    assert rows["com.apple.Safari"].split()[1:3] == ["Safari", "18.5"]


def test_one_kind_can_be_asked_for(known: CommandLine) -> None:
    shown = known("devices", "inventory", MAC, "--kind", "InstalledApplicationList")

    assert [one["kind"] for one in shown["kinds"]] == ["InstalledApplicationList"]
    assert shown["kinds"][0]["items"][0]["identifier"] == "com.apple.Safari"


def test_history_says_what_changed(known: CommandLine) -> None:
    _, out, _ = known.run("devices", "inventory", MAC, "--history")

    assert "com.apple.Safari: ShortVersion 18.4 → 18.5" in out
    assert [one["name"] for one in known("devices", "inventory", MAC, "--history")] == ["com.apple.Safari"]


def test_device_that_told_nothing_says_what_to_do(muster: CommandLine) -> None:
    _, out, _ = muster.run("devices", "inventory", MAC)
    _, history, _ = muster.run("devices", "inventory", MAC, "--history")

    assert "muster devices refresh" in out
    assert "Nothing has changed" in history


def test_inventory_of_nobody_is_absent(muster: CommandLine) -> None:
    assert muster.run("devices", "inventory", "nobody")[0] == 3


def test_refresh_asks_what_the_device_can_answer(known: CommandLine) -> None:
    code, _, said = known.run("devices", "refresh", MAC, "--kind", "SecurityInfo", "--kind", "Restrictions")

    assert code == 0
    assert f"{MAC}: asked SecurityInfo." in said
    assert f"{MAC}: it can't answer Restrictions." in said
    assert [one["request_type"] for one in known("commands", "list", MAC)] == ["SecurityInfo"]


def test_refresh_of_an_ended_device_is_refused(known: CommandLine) -> None:
    code, _, said = known.run("devices", "refresh", FORMER)

    assert code != 0
    assert "ended" in said
