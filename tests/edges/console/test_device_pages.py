"""The list of devices and the page of one."""

import re
from datetime import timedelta
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from tests.support import fleet
from tests.support.browser import Browser
from tests.support.runner import NOW, InlineRunner
from tests.support.verdicts import hold

from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState
from muster.edges.console.app import make_console
from muster.edges.console.rendering import device_url
from muster.storage import schema

HOSTILE = "<script>alert(1)</script>\" onmouseover='x' & {{ 7*7 }}"


@pytest.mark.parametrize("target", ["/devices", "/devices/A", "/devices?q=x"])
def test_pages_are_for_those_who_are_signed_in(visitor: Browser, target: str) -> None:
    reply = visitor.get(target)

    assert (reply.status, reply.header("location")) == (303, "/sign-in")


@pytest.mark.parametrize("target", ["/fragments/devices", "/fragments/devices/A"])
def test_fragments_say_401_so_that_the_page_is_loaded_anew(visitor: Browser, target: str) -> None:
    assert visitor.get(target).status == 401


def test_a_forged_session_is_none(visitor: Browser) -> None:
    visitor.cookies["muster_session"] = "forged"

    assert visitor.get("/devices").status == 303


def test_without_devices_the_list_is_three_steps(ana: Browser) -> None:
    text = ana.get("/devices").text

    assert "0 of 3 steps are done" in text
    for command in ("muster serve --public-url", "muster push-cert upload", "muster enroll link"):
        assert command in text


def test_whoever_came_by_a_link_is_told_to_set_up_how_they_return(runner: InlineRunner, ana: Browser) -> None:
    told = '<a href="/me">Set up how you sign in</a>'
    before = ana.get("/devices").text
    runner.engine.write(
        lambda tx: tx.connection.execute(sa.update(schema.administrators).values(external_id="ana@example.com"))
    )

    assert told in before
    assert told not in ana.get("/devices").text


def test_steps_that_are_done_are_ticked(runner: InlineRunner, ana: Browser) -> None:
    fleet.add_push_certificate(runner.engine, NOW + timedelta(days=300))
    ana.app = make_console(runner, secure_cookies=False, public_url="https://mdm.example.com")

    text = ana.get("/devices").text

    assert "2 of 3 steps are done" in text
    assert "Devices reach this server at https://mdm.example.com" in text
    assert "muster push-cert upload" not in text


def test_the_list_tells_each_device(runner: InlineRunner, ana: Browser) -> None:
    fleet.add_device(
        runner.engine,
        "A",
        name="Ana’s Mac",
        serial_number="C02XX1",
        os_version="15.1",
        contacts=[NOW - timedelta(minutes=4)],
        identity_not_after=NOW + timedelta(days=12),
    )
    fleet.add_push_target(runner.engine, "A", "token_unregistered")
    fleet.add_command(runner.engine, "A", "c1")

    text = ana.get("/devices").text

    for said in ("Ana’s Mac", "C02XX1", "15.1", "Not judged yet", "4 min ago", "Token unregistered", "in 12 days"):
        assert said in text
    assert '<time datetime="2026-11-22T14:27:07Z" title="22 Nov 2026, 14:27:07 UTC">4 min ago</time>' in text
    assert 'aria-label="Contact on 1 of the last 30 days"' in text


def test_names_are_text_and_never_markup(runner: InlineRunner, ana: Browser) -> None:
    fleet.add_device(runner.engine, "A", name=HOSTILE, serial_number=HOSTILE, model_name=HOSTILE, os_version=HOSTILE)
    fleet.add_user(runner.engine, "A", "U", HOSTILE)
    fleet.add_evidence(runner.engine, "A", "S5", HOSTILE, detail={"request_type": HOSTILE, HOSTILE: HOSTILE})
    fleet.add_push_target(runner.engine, "A", HOSTILE)
    fleet.add_report(runner.engine, "A", HOSTILE, HOSTILE, queued_at=NOW, reported_at=NOW)

    for target in ("/devices", "/devices/A", f"/devices?q={quote(HOSTILE)}", f"/devices/{quote(HOSTILE)}"):
        text = ana.get(target).text
        assert "alert(1)" in text
        assert "<script>alert" not in text
        assert "onmouseover='" not in text
        assert "{{ 7*7 }}" in text


@pytest.mark.parametrize("device_id", ["A:B@c d", "a/b", "ü", "100%", "?x#y", "a//b/", "%2F"])
def test_any_id_has_a_page(runner: InlineRunner, ana: Browser, device_id: str) -> None:
    fleet.add_device(runner.engine, device_id, name="Found")

    assert device_url(device_id) in ana.get("/devices").text
    assert "Found" in ana.get(device_url(device_id)).text


def test_filters_live_in_the_address(runner: InlineRunner, ana: Browser) -> None:
    fleet.add_device(runner.engine, "A", name="Ana’s Mac")
    fleet.add_device(runner.engine, "B", name="Ben’s Mac", state="ended", ended_at=NOW)
    fleet.add_device(runner.engine, "C", name="Chidi’s phone")

    text = ana.get("/devices?q=mac&state=ended").text

    assert "Ben’s Mac" in text
    assert "Ana’s Mac" not in text
    assert "Chidi" not in text
    assert 'value="mac"' in text
    assert 'data-fragment="/fragments/devices?q=mac&amp;state=ended"' in text


@pytest.mark.parametrize("target", ["/devices?state=lost", "/devices?order=colour"])
def test_an_unknown_choice_is_said_and_not_passed_over(ana: Browser, target: str) -> None:
    reply = ana.get(target)

    assert reply.status == 400
    assert "there are" in reply.text


@pytest.mark.parametrize(
    "target", ["/devices?q=%00", "/devices?after=%00&q=%ff", "/devices/%00", "/devices?q=%ed%a0%80"]
)
def test_octets_that_no_text_has_do_no_harm(ana: Browser, target: str) -> None:
    assert ana.get(target).status in {200, 404}


def test_a_long_list_has_pages(runner: InlineRunner, ana: Browser) -> None:
    for number in range(103):
        fleet.add_device(runner.engine, f"D{number:03}", contacts=[NOW - timedelta(minutes=number)])

    first = ana.get("/devices").text
    second = ana.get("/devices?after=D099").text

    assert "100 of 103 devices" in first
    assert 'href="/devices?after=D099" rel="next"' in first
    assert [name for name in ("D099", "D100", "D102") if f">{name}</a>" in second] == ["D100", "D102"]
    assert 'rel="next"' not in second


def test_a_search_without_finds_keeps_what_was_typed(runner: InlineRunner, ana: Browser) -> None:
    fleet.add_device(runner.engine, "A")

    text = ana.get("/devices?q=zzz").text

    assert "No device has “zzz”" in text
    assert 'value="zzz"' in text


def test_a_search_may_be_a_query(runner: InlineRunner, ana: Browser) -> None:
    fleet.add_device(runner.engine, "A", name="Front desk")

    found = ana.get("/devices?q=name+%3D+%27front+desk%27").text
    nobody = ana.get("/devices?q=name+%3D+%27x%27").text
    wrong = ana.get("/devices?q=name+%3D").text

    assert ">Front desk</a>" in found
    assert "The query finds no device: name = &#39;x&#39;" in nobody
    assert "The query is wrong at column" in wrong


def test_who_is_not_in_control_is_one_step_away(runner: InlineRunner, ana: Browser) -> None:
    fleet.add_device(runner.engine, "A")
    fleet.add_device(runner.engine, "B")
    hold(runner.engine, "A", ControlState.OUT_OF_CONTROL, Reason.SILENT, at=NOW)

    text = ana.get("/devices").text

    assert ">1 device is not in control</a>" in text
    assert ana.get("/devices?q=group+%3D+%27not-in-control%27").text.count(">A</a>") == 1


def test_a_device_page_tells_it_all(runner: InlineRunner, ana: Browser) -> None:
    engine = runner.engine
    fleet.add_device(engine, "A", name="Ana’s Mac", serial_number="C02", contacts=[NOW - timedelta(minutes=4)])
    fleet.add_user(engine, "A", "U1", "ana")
    fleet.add_command(engine, "A", "c1", "SecurityInfo")
    fleet.add_evidence(engine, "A", "S2", "identity_expired", count=3, first_at=NOW - timedelta(days=2))

    text = ana.get("/devices/A").text

    for said in (
        "Ana’s Mac",
        "C02",
        "SecurityInfo",
        "Waiting",
        "its identity has expired",
        "An enrollment link",
        "ana",
    ):
        assert said in text


def test_a_fragment_is_the_part_of_the_page_that_changes(runner: InlineRunner, ana: Browser) -> None:
    fleet.add_device(runner.engine, "A", name="Ana’s Mac")

    for page, fragment in (("/devices", "/fragments/devices"), ("/devices/A", "/fragments/devices/A")):
        part = ana.get(fragment).text
        assert "<html" not in part
        assert part.strip() in ana.get(page).text


def test_a_stranger_has_no_page(ana: Browser) -> None:
    reply = ana.get("/devices/stranger")

    assert reply.status == 404
    assert "stranger" in reply.text


def test_devices_with_one_serial_number_link_to_each_other(runner: InlineRunner, ana: Browser) -> None:
    for device_id in ("A", "B/2"):
        fleet.add_device(runner.engine, device_id, serial_number="C02XX1")

    assert 'Same serial as</dt><dd class="code"><a href="/devices/B%2F2">B/2</a>' in ana.get("/devices/A").text
    assert '<a href="/devices/A">A</a>' in ana.get(device_url("B/2")).text


def test_the_page_of_a_device_says_whether_it_is_pushed_and_why(runner: InlineRunner, ana: Browser) -> None:
    fleet.add_device(runner.engine, "A", contacts=[NOW - timedelta(days=3)])
    fleet.add_push_target(runner.engine, "A", "accepted")
    fleet.add_command(runner.engine, "A", "c1")
    fleet.add_push_wish(runner.engine, "A", due_at=NOW)

    text = ana.get("/devices/A").text

    assert "Held: there is no push certificate for its topic" in text
    assert "<code>muster push-cert upload</code>" in text
    assert "minute ago</time>, for a command was queued" in text
    assert re.search(r'title="Held: [^"]*"><span class="mark warning">', text)


def test_a_device_that_is_gone_is_not_explained(runner: InlineRunner, ana: Browser) -> None:
    fleet.add_device(runner.engine, "A", state="ended", ended_at=NOW)
    fleet.add_push_target(runner.engine, "A", "accepted")

    assert "<dt>Pushing</dt>" not in ana.get("/devices/A").text


def test_last_enrollment_and_end_of_identity_stand_beside_the_verdict(runner: InlineRunner, ana: Browser) -> None:
    fleet.add_device(runner.engine, "A", identity_not_after=NOW + timedelta(days=12), is_profile_known=True)
    hold(runner.engine, "A", ControlState.IN_CONTROL, Reason.NONE, at=NOW)

    text = ana.get("/devices/A").text

    beside = re.sub(r"<[^>]+>", "", text[text.index('class="rests"') : text.index('class="acts"')])
    assert "Enrolled 3 months ago (14 Aug 14:31), by an enrollment link" in beside
    assert "Identity expires in 12 days (4 Dec 14:31)" in beside
    assert "renewal" not in beside
