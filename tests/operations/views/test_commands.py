"""Commands of a device, on both engines."""

from datetime import timedelta

from tests.support import fleet
from tests.support.runner import NOW

from muster.operations.views.commands import list_commands, list_device_commands, show_command
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage.engine import Engine


def test_a_devices_commands_are_those_of_all_its_channels_waiting_first(engine: Engine) -> None:
    fleet.add_device(engine, "A")
    user = fleet.add_user(engine, "A", "U1", "ana")
    fleet.add_device(engine, "B")
    fleet.add_command(engine, "A", "waits")
    fleet.add_command(engine, "B", "of-another")
    for uuid, hours in (("older", 5), ("newer", 2)):
        at = NOW - timedelta(hours=hours)
        fleet.add_report(engine, user, uuid, "Acknowledged", queued_at=at, reported_at=at)

    rows = engine.read(lambda tx: list_device_commands(tx, ChannelId("A")))

    assert [(row.channel_id, row.command_uuid, row.status) for row in rows] == [
        ("A", "waits", "waiting"),
        ("A:U1", "newer", "Acknowledged"),
        ("A:U1", "older", "Acknowledged"),
    ]


def test_commands_of_an_unknown_channel_or_uuid_are_none(engine: Engine) -> None:
    assert engine.read(lambda tx: list_commands(tx, ChannelId("A"))) is None
    assert engine.read(lambda tx: show_command(tx, CommandUUID("c"))) is None


def test_one_command_is_shown_with_where_it_stands(engine: Engine) -> None:
    fleet.add_device(engine, "A")
    fleet.add_command(engine, "A", "c1", "SecurityInfo")

    command = engine.read(lambda tx: show_command(tx, CommandUUID("c1")))

    assert command is not None
    assert command.request_type == "SecurityInfo"
    assert [(row.channel_id, row.status) for row in command.rows] == [("A", "waiting")]
