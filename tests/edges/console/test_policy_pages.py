"""Policies are seen with what each comes from, and set by those who may."""

import pytest
from tests.edges.console.test_people_pages import form_token, signed_in
from tests.support.browser import Browser, Reply
from tests.support.runner import InlineRunner
from tests.support.site import IPAD, Site

from muster.domain.roles import Role
from muster.edges.console import policy_pages
from muster.edges.console.app import make_console
from muster.operations import control_policies as limits
from muster.operations.manage_groups import GroupOrder, create_groups
from muster.operations.sign_in import create_sign_in_links
from muster.operations.views.policies import list_standing_policies, show_control_limits
from muster.storage import control_policies
from muster.storage.sqlite import SqliteEngine


def submit(browser: Browser, **fields: str) -> Reply:
    return browser.submit("/policies", {"form_token": form_token(browser), **fields})


def limit(runner: InlineRunner, name: str) -> tuple[str, str, tuple[str, ...]]:
    """What a limit is by itself, for all, and for each group."""
    shown = runner.engine.read(show_control_limits)
    [row] = [one for one in shown.rows if one.name == name]
    return row.default, row.of_all, row.of_groups


@pytest.fixture
def groups(ana: Browser, runner: InlineRunner) -> None:
    """Two groups."""
    context = runner.context()
    runner.engine.write(lambda tx: create_groups(tx, [GroupOrder("lab"), GroupOrder("<b>field")], context))


def test_limits_are_set_for_all_and_for_groups_and_unset(ana: Browser, runner: InlineRunner, groups: None) -> None:
    assert submit(ana, act="set", group="", setting="tolerance", value=" 9d ").status == 303
    assert submit(ana, act="set", group="lab", setting="tolerance", value="10d").status == 303
    assert submit(ana, act="set", group="<b>field", setting="quiet_hours", value="22:00-06:30+01:00").status == 303
    assert limit(runner, "tolerance") == ("7d", "9d", ("10d", ""))
    assert limit(runner, "quiet_hours") == ("none", "", ("", "22:00-06:30+01:00"))

    page = ana.get("/policies").text
    assert ("<b>10d</b>" in page, "&lt;b&gt;field" in page, "<b>field" in page) == (True, True, False)

    assert submit(ana, act="order", order="<b>field\r\nlab").status == 303
    assert limit(runner, "tolerance") == ("7d", "9d", ("", "10d"))
    assert submit(ana, act="unset", group="lab", setting="tolerance", value="").status == 303
    assert limit(runner, "tolerance") == ("7d", "9d", ("",))


@pytest.mark.parametrize(
    "fields",
    [
        {"act": "set", "group": "", "setting": "tolerance", "value": "soon"},
        {"act": "set", "group": "", "setting": "tolerance", "value": "1h"},
        {"act": "set", "group": "", "setting": "colour", "value": "7d"},
        {"act": "set", "group": "nobody", "setting": "tolerance", "value": "7d"},
        {"act": "set", "group": "not-in-control", "setting": "tolerance", "value": "7d"},
        {"act": "unset", "group": "", "setting": "colour"},
        {"act": "order", "order": "lab"},
        {"act": "policy", "name": "on_enroll", "value": "maybe"},
        {"act": "policy", "name": "colour", "value": "red"},
        {"act": "burn"},
    ],
)
def test_what_no_policy_can_be_is_refused(
    ana: Browser, runner: InlineRunner, groups: None, fields: dict[str, str]
) -> None:
    reply = submit(ana, **fields)

    assert reply.status == 400
    assert "Nothing was changed" in reply.text or fields.get("name") == "colour"
    assert runner.engine.read(control_policies.read) == ()


def test_a_standing_policy_is_set_and_who_did_is_shown(ana: Browser, runner: InlineRunner) -> None:
    assert submit(ana, act="policy", name="on_enroll", value="refuse").status == 303
    assert submit(ana, act="policy", name="rotate_on_reveal", value='["filevault_key"]').status == 303

    standing = {one.name: one for one in runner.engine.read(list_standing_policies)}
    assert (standing["on_enroll"].value, standing["on_enroll"].changed_by) == ("refuse", "ana")
    assert standing["rotate_on_reveal"].value == ["filevault_key"]
    assert "[&#34;filevault_key&#34;]" in ana.get("/policies").text


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_who_sets_no_policies_sees_them(ana: Browser, runner: InlineRunner, role: Role) -> None:
    eve = signed_in(runner, "eve", role)

    page = eve.get("/policies")
    assert (page.status, 'name="act"' in page.text) == (200, False)
    for fields in ({"act": "policy", "name": "on_enroll", "value": "refuse"}, {"act": "unset", "setting": "tolerance"}):
        assert submit(eve, **fields).status == 403
    assert ana.submit("/policies", {"act": "policy", "name": "on_enroll", "value": "refuse"}).status == 400
    assert all(one.changed_at is None for one in runner.engine.read(list_standing_policies))


@pytest.fixture
def owner(sqlite_engine: SqliteEngine) -> tuple[Browser, Site]:
    """An owner, signed in where two devices were silent for nine days."""
    site = Site(sqlite_engine)
    site.enroll()
    site.enroll(IPAD)
    site.wait(days=9)
    [link] = site.do(create_sign_in_links, "ana")
    browser = Browser(make_console(site.runner, secure_cookies=False))
    assert browser.post(f"/sign-in/{link.token}").status == 303
    return browser, site


def test_whose_state_a_limit_would_change_is_told_before_it_is_set(owner: tuple[Browser, Site]) -> None:
    ana, site = owner
    fields = {"act": "set", "group": "", "setting": "tolerance", "value": "10d"}

    asked = submit(ana, **fields)
    assert (asked.status, site.engine.read(control_policies.read)) == (200, ())
    assert "2 enrollments would change their state: 2 from “Inactive” to “" in asked.text
    assert ("Set it all the same" in asked.text, 'value="10d"' in asked.text) == (True, True)

    assert submit(ana, **fields, sure="yes").status == 303
    assert [one.settings for one in site.engine.read(control_policies.read)] == [{"tolerance": "10d"}]
    assert "Leave it as it comes all the same" in submit(ana, **{**fields, "act": "unset"}).text


def test_no_more_is_looked_at_than_there_is_time_for(
    owner: tuple[Browser, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, _ = owner
    for module, name in ((policy_pages, "LOOKED_AT"), (policy_pages, "AT_A_TIME"), (limits, "AT_A_TIME")):
        monkeypatch.setattr(module, name, 1)

    page = submit(ana, act="set", group="", setting="tolerance", value="10d").text

    assert "1 enrollment of the first 1 would change" in page
