"""Administrators name devices by their serial numbers wherever one device is meant."""

import pytest
from tests.cli.conftest import MAC
from tests.support.command_line import CommandLine

SERIAL = "C02XK1"


def test_devices_are_put_into_a_group_and_taken_out_by_serial_number(muster: CommandLine) -> None:
    muster.run("groups", "create", "lab")

    put_in = muster("groups", "add", "lab", SERIAL)
    within = [row["id"] for row in muster("groups", "show", "lab")["devices"]]
    taken_out = muster("groups", "remove", "lab", SERIAL)

    assert (put_in["changed"], within, taken_out["members"]) == (1, [MAC], 0)


def test_a_command_is_sent_and_found_by_serial_number(muster: CommandLine) -> None:
    sent = muster("commands", "send", SERIAL, "SecurityInfo")
    listed = muster("commands", "list", SERIAL)
    cleared = muster("commands", "clear", SERIAL)

    assert sent["id"] == MAC
    assert [row["command_uuid"] for row in listed] == [sent["command_uuid"]]
    assert [row["command_uuid"] for row in cleared] == [sent["command_uuid"]]


def test_a_device_is_asked_paused_and_goes_on_by_serial_number(muster: CommandLine) -> None:
    [asked] = muster("devices", "refresh", SERIAL)
    paused = muster.run("commands", "pause", SERIAL, "--reason", "on its way")
    resumed = muster.run("commands", "resume", SERIAL)

    assert asked["channel_id"] == MAC
    assert (paused[0], resumed[0]) == (0, 0)


@pytest.mark.parametrize("asked", [("push", "explain"), ("push", "send"), ("secrets", "list")], ids=" ".join)
def test_what_is_asked_of_a_serial_number_is_told_of_its_device(muster: CommandLine, asked: tuple[str, str]) -> None:
    assert muster(*asked, SERIAL) == muster(*asked, MAC)


def test_a_serial_number_that_nobody_has_is_said(muster: CommandLine) -> None:
    code, out, said = muster.run("push", "explain", "NOBODYS")

    assert (code, out) == (3, "")
    assert "no enrollment NOBODYS is known" in said
