"""Commands are sent from a form, and their answers are read on a page."""

import re
from urllib.parse import quote

import pytest
from tests.edges.console.test_people_pages import form_token, signed_in
from tests.support.browser import Browser
from tests.support.fleet import add_device, add_user
from tests.support.runner import InlineRunner
from tests.support.site import MAC, Site, id_of

from muster.domain.roles import Role
from muster.operations.views.audit import list_acts
from muster.operations.views.commands import CommandRow, list_commands
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import ChannelId

DEVICE = id_of(MAC)
SERIAL = "C02XK1LYJGH5"
HOSTILE = "<script>alert(1)</script>\" onmouseover='x' & {{ 7*7 }}"


def send(browser: Browser, channel_id: str = DEVICE, **fields: str) -> tuple[int, str]:
    """What became of a form, and where it led or what it said."""
    reply = browser.submit(f"/command/{quote(channel_id, safe='')}", {"form_token": form_token(browser), **fields})
    return reply.status, reply.header("location") or reply.text


def waiting(site: Site, channel_id: ChannelId = DEVICE) -> list[CommandRow]:
    rows = site.engine.read(lambda tx: list_commands(tx, channel_id))
    return list(rows or ())


def test_a_command_is_sent_and_leads_to_its_answer(ana: Browser, site: Site) -> None:
    identity = site.enroll()

    status, location = send(ana, type="DeviceInformation", **{"key.Queries": "DeviceName\r\nOSVersion"})
    before = ana.get(location).text
    [row] = waiting(site)
    site.connect(identity)

    assert status == 303
    assert location == f"/answer/{row.command_uuid}/{DEVICE}"
    assert "It waits until the device connects" in before
    assert "OSVersion" in before
    assert "not answered yet" in ana.get(location).text
    assert "not answered yet" in ana.get(f"/fragments{location}").text


def test_the_answer_is_shown(ana: Browser, site: Site) -> None:
    identity = site.enroll()
    site.answers(identity, CommandRequest("DeviceInformation", {"Queries": ["DeviceName"]}))
    [row] = waiting(site)

    text = ana.get(f"/answer/{row.command_uuid}/{DEVICE}").text

    assert '<h2 id="answer">The answer</h2>' in text
    assert "Acknowledged" in text
    assert "Take it back" not in text


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"type": "NoSuchCommand"}, "There is no command NoSuchCommand"),
        ({"type": "ProfileList", "key.ManagedOnly": "perhaps"}, "it has to be true or false"),
        ({"type": "DeviceInformation"}, "Queries is missing"),
        ({"type": "DeviceLock", "key.PIN": "12"}, "Nothing was changed"),
        ({"type": "EraseDevice", "serial": "ANOTHER"}, "is not the serial number of"),
        ({"type": "EraseDevice"}, "is not the serial number of"),
    ],
)
def test_what_can_not_be_sent_is_said_and_nothing_is_queued(
    ana: Browser, site: Site, fields: dict[str, str], says: str
) -> None:
    site.enroll()

    status, text = send(ana, **fields)

    assert status in (200, 400, 409)
    assert says in text
    assert waiting(site) == []


def test_an_erasure_takes_the_serial_number(ana: Browser, site: Site) -> None:
    site.enroll()

    status, _ = send(ana, type="EraseDevice", serial=f" {SERIAL.lower()} ", anyway="yes", **{"key.PIN": "483920"})

    assert status == 303
    assert [row.request_type for row in waiting(site)] == ["EraseDevice"]


def test_who_insists_sends_what_the_device_would_refuse(ana: Browser, site: Site) -> None:
    site.enroll()

    _, refused = send(ana, type="EnableLostMode", **{"key.Message": "Call us"})
    insists = 'name="anyway"' in refused
    status, _ = send(ana, type="EnableLostMode", anyway="yes", **{"key.Message": "Call us"})

    assert (insists, status) == (True, 303)


def test_a_command_is_taken_back(ana: Browser, site: Site) -> None:
    site.enroll()
    _, location = send(ana, type="ProfileList")
    action = location.replace("/answer/", "/cancel/")
    assert f'action="{action}"' in ana.get(location).text

    reply = ana.submit(action, {"form_token": form_token(ana)})

    assert (reply.status, reply.header("location")) == (303, location)
    assert "Take it back" not in ana.get(location).text
    assert ana.submit(action, {"form_token": form_token(ana)}).status == 404


def test_a_form_of_another_session_sends_nothing(ana: Browser, site: Site) -> None:
    site.enroll()

    reply = ana.submit(f"/command/{DEVICE}", {"form_token": "0" * 64, "type": "ProfileList"})

    assert reply.status == 400
    assert waiting(site) == []


@pytest.mark.parametrize(
    ("role", "request_type", "expected"),
    [
        (Role.VIEWER, "ProfileList", 409),
        (Role.HELPDESK, "ProfileList", 303),
        (Role.HELPDESK, "RestartDevice", 303),
        (Role.HELPDESK, "RemoveApplication", 409),
        (Role.HELPDESK, "EraseDevice", 409),
        (Role.OPERATOR, "EraseDevice", 303),
    ],
)
def test_commands_take_their_role(
    ana: Browser, site: Site, runner: InlineRunner, role: Role, request_type: str, expected: int
) -> None:
    site.enroll()
    eve = signed_in(runner, "eve", role)
    keys = {"key.Identifier": "org.example.app"} if request_type == "RemoveApplication" else {}

    status, text = send(eve, type=request_type, serial=SERIAL, anyway="yes", **keys)

    assert status == expected
    assert (waiting(site) == []) is (expected != 303)
    if expected != 303:
        assert "role" in text
        refused = site.engine.read(lambda tx: list_acts(tx, limit=5, act="refused"))
        assert len(refused) == 1


def test_only_what_the_role_may_send_is_offered(ana: Browser, site: Site, runner: InlineRunner) -> None:
    site.enroll()
    eve = signed_in(runner, "eve", Role.HELPDESK)

    assert "type=EraseDevice" in ana.get(f"/command/{DEVICE}").text
    offered = eve.get(f"/command/{DEVICE}").text
    assert "type=DeviceLock" in offered
    assert "type=EraseDevice" not in offered
    assert "Your role may not send this command" in eve.get(f"/command/{DEVICE}?type=EraseDevice").text


def test_names_are_text_on_every_page_of_acting(runner: InlineRunner, site: Site, ana: Browser) -> None:
    add_device(runner.engine, "A", name=HOSTILE, serial_number=HOSTILE, model_name=HOSTILE)
    add_user(runner.engine, "A", "U", HOSTILE)
    _, location = send(ana, "A", type="ProfileList")

    for target in (
        "/command/A",
        "/command/A:U",
        "/command/A?type=EraseDevice",
        f"/command/A?type={quote(HOSTILE)}",
        "/recovery/A",
        "/secrets/A",
        "/leaving/A",
        location,
        "/devices/A?channel=A:U",
    ):
        text = ana.get(target).text
        assert "alert(1)" in text, target
        assert "<script>alert" not in text
        assert "onmouseover='" not in text
        assert "{{ 7*7 }}" not in text or "&#39;x&#39;" in text


def test_what_was_typed_is_text_when_it_stands_there_again(ana: Browser, site: Site) -> None:
    site.enroll()

    _, text = send(ana, type="DeviceLock", **{"key.PIN": HOSTILE, "key.Message": f"</textarea>{HOSTILE}"})

    assert "<script>alert" not in text
    assert not re.search(r"</textarea><script", text)
