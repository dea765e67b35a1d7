"""Something is done to many only after it was seen whom it would reach, and how far it is can be found again."""

from urllib.parse import quote

import pytest
import sqlalchemy as sa
from tests.edges.console.test_people_pages import form_token, signed_in
from tests.support.browser import Browser, Reply
from tests.support.runner import InlineRunner
from tests.support.site import IPAD, MAC, Site, id_of

from muster.domain.roles import Role
from muster.operations.act_by_query import continue_bulk_acts
from muster.operations.manage_groups import GroupOrder, create_groups
from muster.storage import schema

EVERYBODY = "state = 'enrolled'"
HOSTILE = "<script>alert(1)</script>\" onmouseover='x' & {{ 7*7 }}"


@pytest.fixture
def both(site: Site) -> Site:
    """A site with a Mac and an iPad."""
    site.enroll(MAC)
    site.enroll(IPAD)
    return site


def submit(browser: Browser, **fields: str) -> Reply:
    return browser.submit("/bulk", {"form_token": form_token(browser), "query": EVERYBODY, "kind": "push", **fields})


def review(browser: Browser, **fields: str) -> Reply:
    asked = {"query": EVERYBODY, "kind": "push", **fields}
    return browser.get("/bulk?" + "&".join(f"{name}={quote(value)}" for name, value in asked.items()))


def pushes(site: Site) -> int:
    return len(site.rows(sa.select(schema.audit.c.act).where(schema.audit.c.act == "push.send")))


def test_everybody_is_pushed_after_it_was_seen(ana: Browser, both: Site) -> None:
    looked_at = review(ana).text
    nothing_yet = both.rows(sa.select(schema.bulk_acts))
    done = submit(ana)
    location = done.header("location") or ""
    before = ana.get(location).text
    both.do(continue_bulk_acts, None)

    assert "Push 2 devices?" in looked_at
    assert "Nothing was done yet" in looked_at
    assert nothing_yet == []
    assert done.status == 303
    assert "0 of 2 so far. You can leave this page" in before
    for path in (location, f"/fragments{location}"):
        assert "Pushed: 2, " in ana.get(path).text
    assert pushes(both) == 2


def test_it_is_offered_for_those_who_were_found(ana: Browser, both: Site) -> None:
    both.do(create_groups, GroupOrder("Carts"), GroupOrder("by-query", "id is known"))

    text = ana.get("/send?query=" + quote(EVERYBODY)).text

    for kind in ("push", "ask", "recover"):
        assert f'href="/bulk?kind={kind}&amp;query=state+%3D+%27enrolled%27"' in text
    assert "<option>Carts</option>" in text
    assert "<option>by-query</option>" not in text


def test_devices_are_put_into_a_group(ana: Browser, both: Site) -> None:
    both.do(create_groups, GroupOrder(HOSTILE[:60]))
    looked_at = review(ana, kind="group", group=HOSTILE[:60]).text
    location = submit(ana, kind="group", group=HOSTILE[:60]).header("location") or ""
    both.do(continue_bulk_acts, None)

    assert len(both.rows(sa.select(schema.group_members))) == 2
    for text in (looked_at, ana.get(location).text, ana.get("/sends").text):
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert" in text


def test_what_was_sent_to_many_is_listed(ana: Browser, both: Site, runner: InlineRunner) -> None:
    both.do(create_groups, GroupOrder("mine"))
    location = submit(ana).header("location") or ""

    listed = ana.get("/sends").text
    both.do(continue_bulk_acts, None)
    afterwards = ana.get("/fragments/sends").text

    assert f'href="{location}"' in listed
    assert "Under way" in listed
    assert "Done</span>" in afterwards
    assert "Nothing was sent to many yet" in signed_in(runner, "ben", Role.OPERATOR, "mine").get("/sends").text


@pytest.mark.parametrize("query", ["os_version <", "group = 'none'", "", "id = 'NOBODY'"])
def test_a_query_that_finds_nobody_has_nothing_done(ana: Browser, both: Site, query: str) -> None:
    assert review(ana, query=query).status == 409
    assert submit(ana, query=query).status in (400, 404)
    assert both.rows(sa.select(schema.bulk_acts)) == []


def test_an_act_that_there_is_not(ana: Browser, both: Site) -> None:
    assert [review(ana, kind="erase").status, submit(ana, kind="erase").status] == [404, 404]
    assert [ana.get(path).status for path in ("/bulk/none", "/fragments/bulk/%00")] == [404, 404]


def test_who_is_limited_reaches_their_own_alone(ana: Browser, both: Site, runner: InlineRunner) -> None:
    both.do(create_groups, GroupOrder("macs", f"id = '{id_of(MAC)}'"), GroupOrder("others"))
    ben, eve = signed_in(runner, "ben", Role.SECURITY, "macs"), signed_in(runner, "eve", Role.SECURITY, "macs")

    looked_at = review(ben).text
    location = submit(ben).header("location") or ""
    both.do(continue_bulk_acts, None)

    assert "Push 1 device?" in looked_at
    assert pushes(both) == 1
    assert [one.get(location).status for one in (ben, ana, eve)] == [200, 200, 404]
    assert submit(ben, kind="group", group="others").status == 403
    assert 'name="group"' not in ben.get("/send?query=" + quote(EVERYBODY)).text


@pytest.mark.parametrize(("role", "statuses"), [(Role.VIEWER, [403, 403]), (Role.HELPDESK, [303, 403])])
def test_it_takes_a_role(ana: Browser, both: Site, runner: InlineRunner, role: Role, statuses: list[int]) -> None:
    both.do(create_groups, GroupOrder("Carts"))
    eve = signed_in(runner, "eve", role)

    assert [submit(eve).status, submit(eve, kind="group", group="Carts").status] == statuses


def test_strangers_see_and_do_nothing(visitor: Browser, both: Site) -> None:
    assert [visitor.get(path).status for path in ("/bulk?kind=push", "/sends", "/fragments/sends")] == [303, 303, 401]
    assert visitor.submit("/bulk", {"query": EVERYBODY, "kind": "push"}).status == 303
    assert both.rows(sa.select(schema.bulk_acts)) == []


TOO_LONG = f"{EVERYBODY} and ({' or '.join(['name = $x$'] * 2000)})".replace("$", "'")
"""Its first part finds everybody."""


@pytest.mark.parametrize("path", ["/bulk?kind=push&query=", "/send?query=", "/devices?q="])
def test_a_query_that_is_too_long_is_refused_and_never_cut(ana: Browser, both: Site, path: str) -> None:
    shown = ana.get(path + quote(TOO_LONG))
    sent = submit(ana, query=TOO_LONG)

    assert (shown.status, sent.status) == (400, 400)
    assert "and this one has" in shown.text
    assert both.rows(sa.select(schema.bulk_acts)) == []
