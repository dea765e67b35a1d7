"""A command goes to many only after it was seen whom it would reach."""

import re
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from tests.edges.console.test_people_pages import form_token, signed_in
from tests.support import fleet
from tests.support.browser import Browser, Reply
from tests.support.runner import NOW, InlineRunner
from tests.support.site import IPAD, MAC, Site, id_of
from tests.support.verdicts import hold

from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState
from muster.domain.roles import Role
from muster.operations.manage_groups import GroupOrder, create_groups
from muster.operations.send_by_query import continue_sends
from muster.storage import schema

HOSTILE = "<script>alert(1)</script>\" onmouseover='x' & {{ 7*7 }}"


@pytest.fixture
def both(site: Site) -> Site:
    """A site with a Mac and an iPad."""
    site.enroll(MAC)
    site.enroll(IPAD)
    return site


def submit(browser: Browser, **fields: str) -> Reply:
    whole = {"form_token": form_token(browser), "query": "state = 'enrolled'", "type": "ProfileList", **fields}
    return browser.submit("/send", whole)


def test_a_command_is_reviewed_then_sent_and_its_progress_is_shown(ana: Browser, both: Site) -> None:
    review = submit(ana)
    nothing_yet = both.rows(sa.select(schema.sends))
    sent = submit(ana, act="send")
    location = sent.header("location") or ""
    before = ana.get(location).text
    both.do(continue_sends, None)

    assert "Send ProfileList to 2 devices?" in review.text
    assert "Nothing was sent yet" in review.text
    assert nothing_yet == []
    assert sent.status == 303
    assert "You can leave this page" in before
    for path in (location, f"/fragments{location}"):
        assert "Queued for 2, " in ana.get(path).text
    assert len(both.queued(MAC)) == len(both.queued(IPAD)) == 1


def test_what_stops_work_takes_the_count(ana: Browser, both: Site) -> None:
    review = submit(ana, type="RestartDevice")

    assert "This stops people’s work" in review.text
    assert [submit(ana, type="RestartDevice", act="send", count=one).status for one in ("", "3", "two", "2" * 20)] == [
        409
    ] * 4
    assert both.rows(sa.select(schema.sends)) == []
    assert submit(ana, type="RestartDevice", act="send", count=" 2").status == 303


def test_who_would_be_left_out_is_said(ana: Browser, both: Site) -> None:
    text = submit(ana, type="EnableLostMode", **{"key.Message": "Call us"}).text

    assert "Left out" in text
    assert '<dd class="code">Call us</dd>' in text


def test_a_secret_is_not_read_from_the_review(ana: Browser, both: Site) -> None:
    text = submit(ana, type="DeviceLock", **{"key.PIN": "483920"}).text

    assert '<dt>PIN</dt><dd class="code">…</dd>' in text


def test_devices_are_chosen_one_by_one(ana: Browser, both: Site) -> None:
    listed = ana.get("/devices").text
    text = ana.get(f"/send?id={id_of(MAC)}&id=UNKNOWN").text

    assert f'name="id" value="{id_of(MAC)}"' in listed
    assert "Act on 1 device" in text
    assert f"id in (&#39;{id_of(MAC)}&#39;, &#39;UNKNOWN&#39;)" in text


@pytest.mark.parametrize("query", ["os_version <", "group = 'none'", "", "x" * 200])
def test_a_query_that_can_not_be_read_reaches_nobody(ana: Browser, both: Site, query: str) -> None:
    assert "There is nobody whom it finds" in ana.get(f"/send?query={quote(query)}").text
    assert submit(ana, query=query, act="send").status == 409
    assert both.rows(sa.select(schema.sends)) == []


def test_what_is_wrong_is_said_beside_what_was_typed(ana: Browser, both: Site) -> None:
    reply = submit(ana, **{"key.ManagedOnly": "perhaps"})

    assert reply.status == 400
    assert "it has to be true or false" in reply.text


def test_who_is_limited_reaches_their_own_alone(ana: Browser, both: Site, runner: InlineRunner) -> None:
    query = f"id = '{id_of(MAC)}'"
    both.do(create_groups, GroupOrder("macs", query))
    ben, eve = signed_in(runner, "ben", Role.OPERATOR, "macs"), signed_in(runner, "eve", Role.OPERATOR, "macs")

    page = ben.get("/send?query=" + quote("state = 'enrolled'")).text
    review = submit(ben).text
    sent = submit(ben, act="send")
    both.do(continue_sends, None)

    assert "Act on 1 device" in page
    assert "Send ProfileList to 1 device?" in review
    assert (len(both.queued(MAC)), both.queued(IPAD)) == (1, [])
    location = sent.header("location") or ""
    assert [one.get(location).status for one in (ben, ana, eve)] == [200, 200, 404]


def test_a_role_without_it_sends_nothing(ana: Browser, both: Site, runner: InlineRunner) -> None:
    eve = signed_in(runner, "eve", Role.VIEWER)

    assert [submit(eve, act=act).status for act in ("", "send")] == [409, 409]
    assert both.rows(sa.select(schema.sends)) == []
    listed = eve.get("/devices").text
    assert "/send" not in listed
    assert 'type="checkbox"' not in listed


def test_names_are_text_where_many_are_meant(ana: Browser, both: Site) -> None:
    fleet.add_device(both.engine, "A", name=HOSTILE)
    query = "id = 'A'"
    for text in (
        ana.get("/send?query=" + quote(query)).text,
        submit(ana, query=query).text,
        ana.get("/send?query=" + quote(HOSTILE)).text,
        ana.get("/devices?platform=macOS&group=" + quote(HOSTILE)).text,
        submit(ana, query=query, type=HOSTILE).text,
    ):
        assert "<script>alert" not in text
        assert "onmouseover='" not in text


# --- filters ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def judged(site: Site) -> Site:
    """Three that are held to be this or that."""
    for name in ("LONG", "SHORT", "WELL"):
        fleet.add_device(site.engine, name, name=f"{name}’s Mac")
    lost = ControlState.OUT_OF_CONTROL
    for name, days in (("LONG", 20), ("SHORT", 2)):
        hold(site.engine, name, lost, Reason.SILENT, at=NOW, since=NOW.replace(day=NOW.day - days))
    hold(site.engine, "WELL", ControlState.IN_CONTROL, Reason.NONE, at=NOW, since=NOW.replace(month=1))
    return site


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("reason=silent", ["LONG", "SHORT"]),
        ("since=7", ["LONG"]),
        ("since=1&reason=silent", ["LONG", "SHORT"]),
        ("group=not-in-control&q=short", ["SHORT"]),
        ("reason=silent&q=id+%3D+'SHORT'+or+id+%3D+'WELL'", ["SHORT"]),
        ("platform=tvOS", []),
        ("group=none", []),
    ],
)
def test_filters_narrow_the_list(ana: Browser, judged: Site, address: str, expected: list[str]) -> None:
    text = ana.get(f"/devices?{address}").text

    assert sorted(re.findall(r">([A-Z]+)’s Mac</a>", text)) == expected


def test_a_wrong_query_is_pointed_out_beside_what_was_typed(ana: Browser, judged: Site) -> None:
    text = ana.get("/devices?q=" + quote("reason = 'silent' and os_version <")).text

    assert 'aria-invalid="true" aria-describedby="fault"' in text
    assert re.search(r'id="fault" role="alert">.*\^</span>', text, re.DOTALL)
    assert 'value="reason = &#39;silent&#39; and os_version &lt;"' in text


def test_a_query_is_saved_and_filtered_by(ana: Browser, judged: Site) -> None:
    shown = ana.get("/devices?reason=silent&since=7").text
    [query] = re.findall(r'<input type="hidden" name="query" value="([^"]+)">', shown)
    fields = {
        "form_token": form_token(ana),
        "name": "long lost",
        "query": query.replace("&#39;", "'").replace("&lt;", "<"),
    }

    saved = ana.submit("/save-query", fields)

    assert (saved.status, saved.header("location")) == (303, "/devices?group=long+lost")
    text = ana.get("/devices?group=long+lost").text
    assert re.findall(r">([A-Z]+)’s Mac</a>", text) == ["LONG"]
    assert "<option selected>long lost</option>" in text
    assert ana.submit("/save-query", fields).status == 409


def test_saving_takes_a_role(ana: Browser, judged: Site, runner: InlineRunner) -> None:
    eve = signed_in(runner, "eve", Role.HELPDESK)

    assert eve.submit("/save-query", {"form_token": form_token(eve), "name": "x", "query": "is_lost"}).status == 403
    assert "Save this query" not in eve.get("/devices?reason=silent").text
