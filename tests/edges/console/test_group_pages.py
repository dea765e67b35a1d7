"""Groups are made, tried, changed and deleted in the console, by those who may."""

import pytest
from tests.edges.console.test_people_pages import form_token, signed_in
from tests.support.browser import Browser, Reply
from tests.support.fleet import add_device
from tests.support.runner import InlineRunner

from muster.domain.roles import Role
from muster.operations.views.groups import list_groups
from muster.storage import groups


def submit(browser: Browser, path: str, **fields: str) -> Reply:
    return browser.submit(path, {"form_token": form_token(browser), **fields})


def counts(runner: InlineRunner) -> dict[str, int | None]:
    rows = runner.engine.read(lambda tx: list_groups(tx, runner.now()))
    return {row.name: row.devices for row in rows if row.created_at is not None}


@pytest.fixture
def fleet(runner: InlineRunner) -> None:
    """Three devices."""
    for number in range(3):
        add_device(runner.engine, f"DEV-{number}", serial_number=f"C02X{number}", os_version=f"15.{number}")


def test_a_query_is_tried_before_it_is_kept(ana: Browser, runner: InlineRunner, fleet: None) -> None:
    page = submit(ana, "/groups", act="try", name="old", query="serial != 'C02X2'").text

    assert "finds <b>2</b> devices now: C02X0, C02X1." in page
    assert "serial != &#39;C02X2&#39;</textarea>" in page
    assert counts(runner) == {}


def test_a_group_by_query_is_made_changed_renamed_and_deleted(ana: Browser, runner: InlineRunner, fleet: None) -> None:
    assert submit(ana, "/groups", act="create", name="old/er", query="serial != 'C02X2'").status == 303
    assert counts(runner) == {"old/er": 2}
    assert "/devices?q=group+%3D+%27old%2Fer%27" in ana.get("/groups/old%2Fer").text

    assert submit(ana, "/groups/old%2Fer", act="query", query="serial = 'C02X0'").status == 303
    assert counts(runner) == {"old/er": 1}
    assert submit(ana, "/groups/old%2Fer", act="rename", name="old").header("location") == "/groups/old"
    assert submit(ana, "/groups/old", act="delete").header("location") == "/groups"
    assert counts(runner) == {}
    assert ana.get("/groups/old").status == 404


def test_devices_are_put_in_by_serial_number_or_id_and_taken_out(
    ana: Browser, runner: InlineRunner, fleet: None
) -> None:
    submit(ana, "/groups", act="create", name="mine")
    assert submit(ana, "/groups/mine", act="add", devices="c02x0\nDEV-1 C02X2").status == 303
    assert counts(runner) == {"mine": 3}

    assert submit(ana, "/groups/mine", act="remove", devices="C02X0").status == 303
    assert counts(runner) == {"mine": 2}

    refused = submit(ana, "/groups/mine", act="add", devices="C02X0 NOBODY")
    assert (refused.status, "NOBODY" in refused.text, counts(runner)) == (400, True, {"mine": 2})
    assert submit(ana, "/groups/mine", act="add", devices="").status == 400


@pytest.mark.parametrize("query", ["os_version <", "colour = 'red'", "group = 'new'", "(" * 100])
def test_a_query_that_can_not_be_read_is_shown_beside_its_error(ana: Browser, runner: InlineRunner, query: str) -> None:
    reply = submit(ana, "/groups", act="create", name="new", query=query)

    assert (reply.status, 'role="alert"' in reply.text, 'value="new"' in reply.text) == (400, True, True)
    assert counts(runner) == {}


def test_a_group_whose_query_can_not_be_read_any_more_says_why(ana: Browser, runner: InlineRunner) -> None:
    submit(ana, "/groups", act="create", name="broken", query="state = 'enrolled'")
    [group] = [one for one in runner.engine.read(groups.read_all).values() if one.name == "broken"]
    runner.engine.write(lambda tx: groups.set_query(tx, group.id, "colour = 'red'"))

    for path in ("/groups", "/groups/broken"):
        assert "the query is wrong at column 1" in ana.get(path).text


@pytest.mark.parametrize("act", ["", "burn"])
def test_an_act_that_no_form_has_is_refused(ana: Browser, act: str) -> None:
    submit(ana, "/groups", act="create", name="mine")

    assert submit(ana, "/groups/mine", act=act).status == 400


def test_queries_that_come_with_muster_stay(ana: Browser) -> None:
    assert '<form class="fields"' not in ana.get("/groups/not-in-control").text
    assert submit(ana, "/groups/not-in-control", act="delete").status == 400


@pytest.mark.parametrize("role", [Role.VIEWER, Role.HELPDESK])
def test_who_may_not_make_groups_sees_them(ana: Browser, runner: InlineRunner, role: Role) -> None:
    submit(ana, "/groups", act="create", name="mine")
    eve = signed_in(runner, "eve", role)

    assert [eve.get(path).status for path in ("/groups", "/groups/mine")] == [200, 200]
    for path, act in (("/groups", "create"), ("/groups", "try"), ("/groups/mine", "delete")):
        assert submit(eve, path, act=act, name="x", query="").status == 403
    assert ana.submit("/groups/mine", {"act": "delete"}).status == 400
    assert counts(runner) == {"mine": 0}


def test_names_are_shown_as_they_are(ana: Browser) -> None:
    submit(ana, "/groups", act="create", name="<script>alert(1)</script>", query="name = '<b>'")

    for path in ("/groups", "/groups/%3Cscript%3Ealert(1)%3C%2Fscript%3E"):
        page = ana.get(path)
        assert (page.status, "<script>alert" in page.text, "<b>'" in page.text) == (200, False, False)
