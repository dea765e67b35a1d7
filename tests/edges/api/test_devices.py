"""Devices by the interface: lists, pages, files, and one of them."""

import csv
import io
import json

import pytest
from tests.support.admin_api import Program, program
from tests.support.pushed_fleet import add_fleet
from tests.support.site import Site

from muster.operations.views import device_lists
from muster.storage.schema import device_facts


@pytest.fixture
def owner(site: Site) -> Program:
    return program(site)


@pytest.mark.parametrize("order", ["id", "silent", "recent", "gravity"])
def test_pages_have_each_device_once(site: Site, owner: Program, order: str) -> None:
    ids = add_fleet(site, 7)
    seen, cursor, totals = [], "", set()

    while True:
        page = owner.get(f"/devices?order={order}&limit=3{cursor}")
        seen += [one["id"] for one in page["items"]]
        totals.add(page["total"])
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"

    assert sorted(seen) == sorted(ids)
    assert totals == {7}


def test_cursor_of_another_list_is_refused(site: Site, owner: Program) -> None:
    add_fleet(site, 2)
    cursor = owner.get("/devices?limit=1")["next"]

    reply = owner.ask("GET", f"/devices?limit=1&order=recent&cursor={cursor}")

    assert (reply.status, reply.json()["errors"][0]["path"]) == (400, "query.cursor")


def test_query_and_search_narrow_each_other(site: Site, owner: Program) -> None:
    add_fleet(site, 4)
    _name(site, "A001", "Ada's Mac")
    _name(site, "A002", "Ada's iPad")

    found = owner.get("/devices?search=ada&where=id%20in%20('A002','A003')")
    by_query = owner.get("/devices?where=id%20in%20('A002','A003')")

    assert [one["id"] for one in found["items"]] == ["A002"]
    assert by_query["total"] == 2


def _name(site: Site, device_id: str, name: str) -> None:
    insert = device_facts.insert().values(channel_id=device_id, device_name=name, learned_at=site.now)
    site.engine.write(lambda tx: tx.connection.execute(insert))


def test_export_has_all_of_a_fleet(site: Site, owner: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = add_fleet(site, 5)
    monkeypatch.setattr(device_lists, "PAGE_LIMIT", 2)
    monkeypatch.setattr("muster.edges.api.resources.devices.PAGE_LIMIT", 2)

    reply = owner.ask("GET", "/devices/export")
    some = owner.ask("GET", "/devices/export?where=id%20%3D%20'A003'")

    assert reply.header("content-type") == "application/x-ndjson"
    assert reply.header("content-disposition") == 'attachment; filename="devices.ndjson"'
    assert [json.loads(line)["id"] for line in reply.text.splitlines()] == ids
    assert [json.loads(line)["id"] for line in some.text.splitlines()] == ["A003"]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\n=1", "\uff1d1+1"])
def test_name_of_a_device_is_no_formula_in_csv(site: Site, owner: Program, name: str) -> None:
    add_fleet(site, 1)
    _name(site, "A000", name)

    reply = owner.ask("GET", "/devices/export?format=csv")

    [row] = csv.DictReader(io.StringIO(reply.text, newline=""))
    assert row["name"] == f"'{name}"
    assert row["id"] == "A000"


def test_one_device_is_shown_with_its_channels(site: Site, owner: Program) -> None:
    [one] = add_fleet(site, 1)

    found = owner.get(f"/devices/{one}")

    assert found["details"]["device"]["id"] == one
    assert [channel["id"] for channel in found["details"]["channels"]] == [one]


@pytest.mark.parametrize("device_id", ["X", "X%2FY", "X%3AY", "%20", "export.csv"])
def test_device_that_is_not_there_is_not_found(owner: Program, device_id: str) -> None:
    reply = owner.ask("GET", f"/devices/{device_id}")

    assert (reply.status, reply.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("device_id", ["%00", "", "x" * 513])
def test_what_is_no_id_is_refused(owner: Program, device_id: str) -> None:
    assert owner.ask("GET", f"/devices/{device_id}").status == 400
