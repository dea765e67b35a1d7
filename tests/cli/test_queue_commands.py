"""`muster commands send` with its terms, `cancel`, `clear`, `pause` and `resume`."""

import pytest
from tests.cli.conftest import FORMER, MAC, USER
from tests.support.command_line import CommandLine


def statuses(muster: CommandLine) -> dict[str, str]:
    return {row["command_uuid"]: row["status"] for row in muster("commands", "list", MAC)}


def test_command_waits_for_the_one_before_it_and_says_so(muster: CommandLine) -> None:
    first = muster.send(MAC, "ProfileList")

    code, out, said = muster.run("commands", "send", MAC, "SecurityInfo", "--after", first, "--retries", "2")

    row = muster("commands", "list", MAC)[1]
    assert (code, row["command_uuid"]) == (0, out.strip())
    assert (row["status"], row["after_uuid"], row["retries_left"]) == ("after", first, 2)
    assert said.endswith("and is held back; see `muster commands list`.\n")
    assert f"waits for {first}" in muster.run("commands", "list", MAC)[1]


@pytest.mark.parametrize("text", ["3", "d", "0d", "-1d", "3 days", "1y", "99999999d"])
def test_expiry_that_is_no_time_is_wrong_usage(muster: CommandLine, text: str) -> None:
    code, _, said = muster.run("commands", "send", MAC, "ProfileList", "--expires", text)

    assert code == 2
    assert "3d" in said


def test_show_tells_the_times_and_the_expiry(muster: CommandLine) -> None:
    uuid = muster.send(MAC, "ProfileList", "--expires", "3d")

    _, text, _ = muster.run("commands", "show", uuid)

    (row,) = muster("commands", "show", uuid)["channels"]
    assert row["expires_at"] > row["queued_at"]
    assert [line.split()[0] for line in text.splitlines() if line.startswith("  ")] == ["queued", "expires"]


def test_follower_of_an_unknown_command_is_absent(muster: CommandLine) -> None:
    assert muster.run("commands", "send", MAC, "ProfileList", "--after", "unknown")[0] == 3
    assert muster.run("commands", "send", MAC, "ProfileList", "--after-any")[0] == 2


def test_cancel_takes_one_back_and_clear_all(muster: CommandLine) -> None:
    uuids = [muster.send(MAC, one) for one in ("ProfileList", "SecurityInfo", "CertificateList")]

    code, out, said = muster.run("commands", "cancel", uuids[0], MAC)
    cleared = muster("commands", "clear", MAC)

    assert (code, out) == (0, f"{uuids[0]} {MAC} ProfileList\n")
    assert said == "1 command(s) cancelled.\n"
    assert sorted(one["command_uuid"] for one in cleared) == sorted(uuids[1:])
    assert set(statuses(muster).values()) == {"cancelled"}
    assert muster.run("commands", "clear", MAC)[0] == 3
    assert muster.run("commands", "cancel", uuids[0])[0] == 3


def test_cancel_wants_a_command_or_all(muster: CommandLine) -> None:
    assert muster.run("commands", "cancel")[0] == 2


def test_paused_queue_says_so_until_it_is_resumed(muster: CommandLine) -> None:
    uuid = muster.send(MAC, "ProfileList")

    paused = muster("commands", "pause", MAC, "--reason", "in the workshop")
    while_paused = statuses(muster)
    resumed = muster("commands", "resume", MAC)

    assert (paused["channel_id"], paused["reason"]) == (MAC, "in the workshop")
    assert while_paused == {uuid: "paused"}
    assert resumed["was_paused"]["reason"] == "in the workshop"
    assert statuses(muster) == {uuid: "waiting"}


def test_pause_wants_a_reason_and_a_channel_that_is_known(muster: CommandLine) -> None:
    assert muster.run("commands", "pause", MAC)[0] == 2
    assert muster.run("commands", "pause", MAC, "--reason", " ")[0] == 2
    assert muster.run("commands", "pause", "nobody", "--reason", "x")[0] == 3
    assert muster.run("commands", "resume", USER)[0] == 3


def test_former_device_may_be_paused_for_its_return(muster: CommandLine) -> None:
    assert muster.run("commands", "pause", FORMER, "--reason", "sold")[0] == 0
