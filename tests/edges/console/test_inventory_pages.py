"""The page with what a device said of itself."""

from datetime import timedelta

import pytest
from tests.support import fleet
from tests.support.browser import Browser
from tests.support.runner import NOW, InlineRunner

from muster.domain.inventory.changes import Change, StoredFact, StoredItem, StoredKind
from muster.domain.inventory.kinds import InventoryKind
from muster.edges.console.inventory_pages import ITEMS_SHOWN
from muster.protocol.identifiers import ChannelId
from muster.storage import inventory, known_facts
from muster.storage.engine import Transaction

A = ChannelId("A")
APPS = InventoryKind.INSTALLED_APPLICATION_LIST
HOSTILE = "<script>alert(1)</script>"
LATELY, LONG_AGO = NOW - timedelta(hours=3), NOW - timedelta(days=5)


def tell(runner: InlineRunner, *, apps: int = 1) -> None:
    fleet.add_device(runner.engine, "A", name="Ana’s Mac", os_version="15.5", contacts=[NOW])

    def write(tx: Transaction) -> None:
        facts = {"OSVersion": StoredFact("15.5"), "HostName": StoredFact(HOSTILE, LONG_AGO, is_odd=True)}
        inventory.store(tx, A, InventoryKind.DEVICE_INFORMATION, StoredKind(LATELY, b"", facts))
        inventory.store(tx, A, APPS, StoredKind(LONG_AGO, b"", {}))
        items = {f"app-{number:05}": StoredItem("Safari", "1", {}, LONG_AGO, LATELY) for number in range(apps)}
        inventory.write_items(tx, A, APPS, items, [])
        change = Change("OSVersion", "15.4", "15.5")
        inventory.append_changes(tx, A, InventoryKind.DEVICE_INFORMATION, [change], LATELY, lambda: "one")
        known_facts.store_standing(tx, A, {"is_supervised": True}, LATELY)

    runner.engine.write(write)


def test_inventory_is_for_those_who_are_signed_in(visitor: Browser) -> None:
    reply = visitor.get("/inventory/A")

    assert (reply.status, reply.header("location")) == (303, "/sign-in")


def test_facts_lists_and_history_are_shown_with_their_age(runner: InlineRunner, ana: Browser) -> None:
    tell(runner)

    text = ana.get("/inventory/A").text

    assert "Learned longer ago than it should be: applications." in text
    assert text.count(">stale<") == 1, "the host name"
    assert "not of Apple’s type" in text
    assert "app-00000" in text
    assert "OSVersion: 15.4 → 15.5" in text
    assert HOSTILE not in text


def test_long_list_is_cut_and_says_so(runner: InlineRunner, ana: Browser) -> None:
    tell(runner, apps=ITEMS_SHOWN + 7)

    text = ana.get("/inventory/A").text

    assert "7 more are not shown" in text


def test_device_that_told_nothing_says_so(runner: InlineRunner, ana: Browser) -> None:
    fleet.add_device(runner.engine, "A", name="Ana’s Mac")

    assert "It has told nothing of itself yet" in ana.get("/inventory/A").text
    assert "nothing was asked yet" in ana.get("/devices/A").text


def test_the_devices_page_leads_there_and_names_how_it_stands(runner: InlineRunner, ana: Browser) -> None:
    tell(runner)

    text = ana.get("/devices/A").text

    assert 'href="/inventory/A"' in text
    assert "<dt>Supervised</dt><dd>yes</dd>" in text


@pytest.mark.parametrize("target", ["/inventory/nobody", "/inventory/%00"])
def test_inventory_of_nobody_is_not_there(ana: Browser, target: str) -> None:
    assert ana.get(target).status == 404


def test_the_device_leads_to_its_lists_with_count_and_age(runner: InlineRunner, ana: Browser) -> None:
    tell(runner, apps=3)

    for path in ("/devices/A", "/fragments/devices/A"):
        text = ana.get(path).text
        assert '<a href="/inventory/A#InstalledApplicationList">Applications <b>3</b></a>' in text
